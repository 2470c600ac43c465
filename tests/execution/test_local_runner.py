"""Processes of this machine: what ends them from outside is no behaviour of a release, where it can be told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.bisection.outcomes import Lost, Outcome, classify
from service.errors import EngineLost
from service.execution.processes import descendants
from service.execution.sandbox import Sandbox
from service.execution.sessions import Place, Start
from service.scratch import scratch_folder
from tests.execution.conftest import TARGET, BareEnvironments, Stage, local_runner


def _enclosures() -> Iterator[int]:
    """Yield the processes of bubblewrap that this one has started, those on the outside first."""
    for pid in descendants(os.getpid()):
        if Path(f"/proc/{pid}/comm").read_text().strip() == "bwrap":
            yield pid


@pytest.mark.local
def test_a_run_whose_bubblewrap_somebody_ended_is_lost(bubblewrap_stage: Stage) -> None:
    before = set(_enclosures())
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(bubblewrap_stage.run, "waits_for_nothing", timeout_seconds=60)
        until = time.monotonic() + 30
        while not (found := [pid for pid in _enclosures() if pid not in before]) and time.monotonic() < until:
            time.sleep(0.05)  # nothing tells when it has started
        os.kill(found[0], signal.SIGKILL)
        report = run.result(60)
    assert type(classify(report, lambda _: Outcome("measured"))) is Lost, report


@pytest.mark.local
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_somebody_ended_inside_its_bubblewrap_is_asked_again(
    bubblewrap_stage: Stage, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    # A child of the waiting process is doubted anyway.
    monkeypatch.setattr(bubblewrap_stage.runner, "_can_fork", lambda _place: False)
    before = set(_enclosures())
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(bubblewrap_stage.run, "import time\ntime.sleep(2)\nx = 5", timeout_seconds=60)
        until = time.monotonic() + 30
        while not (found := _sleeping(before)) and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(found[0], number)
        report = run.result(60)
    assert (report.ending, report.signal) == ("answered", None)
    assert report.result == {"kind": "measured", "measurements": {"x": 5}}


def _sleeping(before: set[int]) -> list[int]:
    """Return the processes in bubblewraps that have come as far as to run a snippet that sleeps."""
    inside = [pid for enclosure in _enclosures() if enclosure not in before for pid in descendants(enclosure)]
    return [pid for pid in inside if "nanosleep" in Path(f"/proc/{pid}/wchan").read_text()]


@pytest.mark.local
def test_a_script_that_ends_itself_behaves_so_each_time(bubblewrap_stage: Stage) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        report = bubblewrap_stage.run(f"import os\nos.kill(os.getpid(), {number})\nwhile True: pass")
        assert (report.ending, report.signal) == ("signalled", number)


def test_a_process_that_cannot_start_leaves_no_folder(tmp_path: Path) -> None:
    runner = local_runner(tmp_path, Sandbox())
    without_python = Place(str(tmp_path / "removed"), BareEnvironments("3").resolve(TARGET))
    with scratch_folder() as own:
        before = set(own.parent.iterdir())
        with pytest.raises(EngineLost, match="cannot start a process for tensorflow"):
            runner._start(without_python, "tensorflow", Start("", ""))
        assert set(own.parent.iterdir()) == before
