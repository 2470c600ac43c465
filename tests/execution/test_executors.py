"""Runs on a real Dask cluster of processes: the hardware they need, what a killed worker costs, how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from service.bisection.outcomes import RunReport
from service.catalog.targets import Hardware, Target
from service.errors import NoRunner, Unavailable
from service.execution.dask_cluster import DaskCluster, security_of, serve_worker, worker_resources
from service.execution.executors import Ran, RemoteRuns, executor
from service.execution.placement import choose_worker, slots
from service.execution.runner import RunRequest
from service.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # Dask's own


def request_for(seconds: float, hardware: Hardware = "cpu") -> RunRequest:
    return RunRequest("run", Target("x", "1", hardware), "", "", "", str(seconds))


@pytest.fixture(scope="module")
def workers() -> dict[str, subprocess.Popen[bytes]]:
    return {}


@pytest.fixture(scope="module")
def cluster(workers: dict[str, subprocess.Popen[bytes]]) -> Iterator[DaskCluster]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    port = address.rpartition(":")[2]
    scheduler = _start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    for name, gpus in (("plain", "0"), ("gpu", "1")):
        workers[name] = _start("tests.execution.dask_worker", address, name, gpus)
    opened = DaskCluster(Settings(scheduler=address))
    opened.client.wait_for_workers(2, timeout=60)
    yield opened
    opened.close()
    for process in (*workers.values(), scheduler):
        process.kill()
        process.wait()


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    silent = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=silent, stderr=silent)


def _in_background(runs: RemoteRuns, request: RunRequest, cancelled: threading.Event) -> Future[RunReport]:
    pool = executor(1)
    future = pool.submit(runs, request, cancelled)
    pool.shutdown(wait=False)
    return future


def test_a_run_for_an_accelerator_goes_to_the_worker_that_has_one(
    cluster: DaskCluster, workers: dict[str, subprocess.Popen[bytes]]
) -> None:
    runs = RemoteRuns(cluster)
    reports = [runs(request_for(0, "cuda"), threading.Event()) for _ in range(3)]
    assert {report.device for report in reports} == {str(workers["gpu"].pid)}


def test_a_cancelled_run_is_stopped_on_its_worker(cluster: DaskCluster) -> None:
    cancelled = threading.Event()
    future = _in_background(RemoteRuns(cluster), request_for(120), cancelled)
    time.sleep(0.5)
    cancelled.set()
    assert future.result(30).ending == "lost"
    quick = RemoteRuns(cluster)
    assert [quick(request_for(0), threading.Event()).ending for _ in range(4)] == ["answered"] * 4


def test_a_run_whose_worker_is_killed_is_answered_by_another(
    cluster: DaskCluster, workers: dict[str, subprocess.Popen[bytes]]
) -> None:
    runs, never = RemoteRuns(cluster), threading.Event()
    futures = [_in_background(runs, request_for(3), never) for _ in range(2)]
    time.sleep(1)
    os.kill(workers["plain"].pid, signal.SIGKILL)
    reports = [future.result(60) for future in futures]
    assert [(report.ending, report.device) for report in reports] == [("answered", str(workers["gpu"].pid))] * 2


class _Broken:
    def submit(self, request: RunRequest, ticket: str, avoided: Collection[str] = ()) -> Future[Ran]:
        future: Future[Ran] = Future()
        future.set_exception(ConnectionError("the scheduler is gone"))
        return future

    def cancel(self, ticket: str) -> None:
        raise AssertionError("nobody cancelled")

    def lacking(self, hardware: Hardware) -> str | None:
        return None

    def others(self, hardware: Hardware, avoided: Collection[str]) -> bool:
        return False

    def expects_others(self) -> bool:
        return False


def test_an_engine_that_fails_makes_a_run_lost() -> None:
    report = RemoteRuns(_Broken())(request_for(0), threading.Event())
    assert (report.ending, report.reason) == ("lost", "the workers failed: ConnectionError: the scheduler is gone")


class _Elsewhere:
    """A cluster with one run in it, which listens to nobody."""

    def __init__(self, future: Future[Ran], lacking: str | None = None) -> None:
        self.future = future
        self.told: list[str] = []
        self._lacking = lacking

    def submit(self, request: RunRequest, ticket: str, avoided: Collection[str] = ()) -> Future[Ran]:
        return self.future

    def cancel(self, ticket: str) -> None:
        self.told.append(ticket)

    def lacking(self, hardware: Hardware) -> str | None:
        return self._lacking

    def others(self, hardware: Hardware, avoided: Collection[str]) -> bool:
        return False

    def expects_others(self) -> bool:
        return False


def _ends(runs: RemoteRuns, cancelled: threading.Event) -> RunReport:
    """Return a report that comes by itself; a wait without end would keep the test's own process."""
    reports: list[RunReport] = []
    waiting = threading.Thread(target=lambda: reports.append(runs(request_for(0), cancelled)), daemon=True)
    waiting.start()
    waiting.join(30)
    assert reports, "it waits without end"
    return reports[0]


def test_a_run_that_raises_a_timeout_elsewhere_is_lost_and_not_waited_for_without_end() -> None:
    future: Future[Ran] = Future()
    future.set_exception(TimeoutError("a worker did not answer in time"))
    report = _ends(RemoteRuns(_Elsewhere(future)), threading.Event())
    assert (report.ending, report.reason) == (
        "lost",
        "the workers failed: TimeoutError: a worker did not answer in time",
    )


def test_a_cancelled_run_that_listens_to_nobody_is_left_to_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.execution.executors.STOP_SECONDS", 0.1)
    future: Future[Ran] = Future()
    future.set_running_or_notify_cancel()  # under way: it cannot be taken back
    cluster, cancelled = _Elsewhere(future), threading.Event()
    cancelled.set()
    report = _ends(RemoteRuns(cluster), cancelled)
    assert (report.ending, report.reason, len(cluster.told)) == ("lost", "cancelled", 1)


def test_a_cancel_that_cannot_be_told_ends_the_waiting_all_the_same() -> None:
    class Deaf(_Elsewhere):
        def cancel(self, ticket: str) -> None:
            raise ConnectionError("the scheduler is gone")

    cancelled = threading.Event()
    cancelled.set()
    assert _ends(RemoteRuns(Deaf(Future())), cancelled).ending == "lost"


def test_a_run_that_nobody_could_have_is_lost_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.execution.executors.ALONE_SECONDS", 0.1)
    report = _ends(RemoteRuns(_Elsewhere(Future(), lacking="no worker is there")), threading.Event())
    assert (report.ending, report.reason) == ("lost", "no worker is there")


class _Workers(_Broken):
    """Workers of which each has its own answer; the first that is not avoided gets the run."""

    def __init__(self, answers: dict[str, RunReport]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def submit(self, request: RunRequest, ticket: str, avoided: Collection[str] = ()) -> Future[Ran]:
        worker = next(iter([name for name in self.answers if name not in avoided] or self.answers))
        self.asked.append(worker)
        future: Future[Ran] = Future()
        future.set_result(Ran(self.answers[worker], worker))
        return future

    def others(self, hardware: Hardware, avoided: Collection[str]) -> bool:
        return bool(self.answers.keys() - set(avoided))

    def expects_others(self) -> bool:
        return False


FULL, ANSWER = RunReport("lost", "the disk is full", hopeless=True), RunReport("exited", "ended with 1", exit_code=1)


@pytest.mark.parametrize(
    ("answers", "asked", "ending"),
    [
        ({"a": FULL, "b": ANSWER}, ["a", "b"], "exited"),
        ({"a": FULL, "b": FULL}, ["a", "b"], "lost"),
        ({"a": FULL}, ["a"], "lost"),
        ({"a": ANSWER, "b": FULL}, ["a"], "exited"),
    ],
)
def test_a_run_that_one_worker_loses_goes_to_the_next(
    answers: dict[str, RunReport], asked: list[str], ending: str
) -> None:
    workers = _Workers(answers)
    assert _ends(RemoteRuns(workers), threading.Event()).ending == ending
    assert workers.asked == asked


@pytest.mark.parametrize(
    ("able", "busy", "avoided", "home", "chosen"),
    [
        ({"a": 2, "b": 1}, {}, (), "", "a"),
        ({"a": 2, "b": 1}, {"a": 1}, (), "", "b"),
        ({"a": 2, "b": 1}, {}, (), "b", "b"),
        ({"a": 2, "b": 1}, {"b": 1}, (), "b", "a"),
        ({"a": 2, "b": 1}, {}, ("a",), "a", "b"),
        ({"a": 1, "b": 1}, {"a": 1, "b": 1}, (), "a", None),
        ({"a": 1, "b": 1}, {"b": 1}, ("a",), "", "b"),
        ({"a": 1}, {}, ("a",), "", "a"),
        ({}, {}, (), "", None),
    ],
)
def test_a_run_goes_where_its_release_waits_else_where_most_is_free_and_never_first_to_who_lost_one(
    able: dict[str, int], busy: dict[str, int], avoided: tuple[str, ...], home: str, chosen: str | None
) -> None:
    assert choose_worker(able, busy, avoided, home) == chosen


def test_a_run_on_an_accelerator_takes_a_place_of_both_kinds() -> None:
    offers = {"a": {"run": 4.0, "cuda": 1.0}, "b": {"run": 2.0}, "c": {}}
    assert (slots(offers, "cpu"), slots(offers, "cuda")) == ({"a": 4, "b": 2}, {"a": 1})


def test_no_scheduler_is_said_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.execution.dask_cluster.CONNECT_SECONDS", 1)
    cluster = DaskCluster(Settings(scheduler="tcp://127.0.0.1:1"))
    said = cluster.problem() or ""
    assert "127.0.0.1:1 " in said
    assert "`tfbisect scheduler`" in said
    began = time.monotonic()
    assert cluster.problem() == said
    assert time.monotonic() - began < 0.5, "whoever asks again at once waits again"


def test_certificates_are_named_together_and_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="TFBISECT_TLS_KEY"):
        security_of(Settings(tls_ca=tmp_path / "ca"))
    with pytest.raises(Unavailable, match="is not there"):
        security_of(Settings(tls_ca=tmp_path / "a", tls_certificate=tmp_path / "b", tls_key=tmp_path / "c"))
    assert security_of(Settings()) is None


@pytest.mark.parametrize(("gpus", "offered"), [(0, {"run": 3}), (2, {"run": 3, "cuda": 2})])
def test_a_worker_offers_what_its_settings_say(gpus: int, offered: dict[str, int]) -> None:
    assert worker_resources(Settings(parallel=3, gpus=gpus)) == offered


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1", "carrier-pigeon://host:8786", "tcp://host:port"])
def test_a_worker_of_what_is_no_scheduler_says_so_in_words(address: str) -> None:
    def run(_request: RunRequest, _cancelled: threading.Event) -> RunReport:
        raise AssertionError("nobody asks it")

    with pytest.raises(NoRunner, match=f"cannot work for {address}: .+; name the address of a Dask scheduler"):
        asyncio.run(serve_worker(Settings(scheduler=address, parallel=1), run))
