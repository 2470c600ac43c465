"""Attacks, run for real in every kind of runner: each ends as named, and the service lives on."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from service.bisection.outcomes import Outcome, RunReport, classify
from service.settings import MIB
from tests.execution.conftest import LIMITS, Stage, processes_with

SHORT_SECONDS = 4


def measured(report: RunReport) -> object:
    assert report.ending == "answered", (report.ending, report.reason, report.output)
    assert report.result is not None
    assert report.result["kind"] == "measured", report.result
    return report.result["measurements"]["x"]


def untestable_reason(report: RunReport) -> str:
    assert report.ending == "answered", (report.ending, report.reason)
    assert report.result is not None
    assert report.result["kind"] == "untestable", report.result
    return str(report.result["message"])


def test_a_fork_bomb_ends_at_the_time_limit_and_the_machine_lives(stage: Stage) -> None:
    if stage.lacks("no limit of processes"):
        pytest.skip("this runner says that it cannot limit processes here")
    report = stage.run("fork_bomb", timeout_seconds=SHORT_SECONDS)
    assert report.ending == "timed-out"
    assert stage.is_alive()


def test_a_memory_hog_ends_as_out_of_memory(stage: Stage) -> None:
    assert stage.run("memory_hog").ending == "out-of-memory"


def test_memory_is_limited_for_all_processes_of_a_run_together(stage: Stage) -> None:
    report = stage.run("memory_hog_in_children")
    if stage.kind == "docker":
        killed = measured(report)
        assert isinstance(killed, int)
        assert killed > 0
    else:
        assert report.ending == "out-of-memory"


@pytest.mark.parametrize("snippet", ["endless_loop", "ignores_signals", "waits_for_nothing"])
def test_what_never_ends_is_stopped_at_the_time_limit(stage: Stage, snippet: str) -> None:
    began = time.monotonic()
    report = stage.run(snippet, timeout_seconds=1)
    assert report.ending == "timed-out"
    assert "within 1 s" in report.reason
    assert time.monotonic() - began < 30


def test_a_gigabyte_of_printing_is_stopped_and_only_head_and_tail_are_kept(stage: Stage) -> None:
    report = stage.run("prints_a_gigabyte")
    assert report.ending == "output-flood"
    assert len(report.output) < LIMITS.output_bytes + 100


def test_much_printing_is_cut_in_the_middle_and_the_answer_still_comes(stage: Stage) -> None:
    report = stage.run("prints_much")
    assert measured(report) == 1
    assert report.output.startswith("first words")
    assert report.output.rstrip().endswith("last words")
    assert "bytes cut" in report.output


@pytest.mark.parametrize("snippet", ["garbles_channel", "forges_result", "endless_message"])
def test_writing_to_the_result_channel_never_makes_an_outcome(stage: Stage, snippet: str) -> None:
    assert "something other than the probe wrote" in untestable_reason(stage.run(snippet))


@pytest.mark.parametrize("line", [b"\n", b"null\n", b'{"event": "ready"}\n'])
def test_a_flood_of_lines_on_the_result_channel_is_read_up_to_its_first_fault(stage: Stage, line: bytes) -> None:
    assert "something other than the probe wrote" in untestable_reason(stage.run("floods_channel", LINE=line))


def test_a_text_of_megabytes_comes_as_its_head_its_length_and_its_digest(stage: Stage) -> None:
    said = measured(stage.run("huge_result"))
    assert said == "x" * 200 + f" ({8 << 20} characters, sha256:{hashlib.sha256(b'x' * (8 << 20)).hexdigest()})"


def test_a_result_of_megabytes_in_many_pieces_is_refused(stage: Stage) -> None:
    assert "bytes" in untestable_reason(stage.run("x = ['y' * 1000] * 5000"))


CLOCKS = {
    "frozen": "lambda: 0.0",
    "set back": "lambda: -1e12",
    "no number": "lambda: None",
}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_a_snippet_that_steps_its_clocks_is_an_honest_one(stage: Stage, clock: str) -> None:
    names = ", ".join(f"time.{name}" for name in ("time", "monotonic", "perf_counter"))
    assert measured(stage.run(f"import os, time\nclock = {clock}\n{names} = [clock] * 3\nos.times = clock\nx = 1")) == 1


def test_a_run_sees_no_processes_files_or_secrets_of_the_host(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stage.lacks("no file system isolation"):
        pytest.skip("this runner says that it cannot hide the host's files here")
    monkeypatch.setenv("TFBISECT_TEST_SECRET", "hunter2")
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    seen = measured(stage.run("looks_around", SECRET_FILE=secret))
    assert isinstance(seen, dict)
    assert seen["processes"] <= 3
    assert "hunter2" not in str(seen)
    assert (seen["home_of_root"], seen["sockets"], seen["secret"]) == ([], [], False)


def test_the_services_own_environment_does_not_reach_a_run(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFBISECT_TEST_SECRET", "hunter2")
    assert "hunter2" not in str(measured(stage.run("import os\nx = dict(os.environ)")))


def test_a_run_reaches_no_network_not_even_the_host(stage: Stage) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        addresses = ["127.0.0.1", "172.17.0.1", *socket.gethostbyname_ex(socket.gethostname())[2]]
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass  # the listener can be reached at all, so the claim can fail
        reached = measured(stage.run("connects", ADDRESSES=sorted(set(addresses)), PORT=port))
    assert bool(reached) == stage.lacks("no network isolation")


def test_a_run_writes_to_its_own_tmp_and_nowhere_else(stage: Stage) -> None:
    if stage.lacks("no file system isolation") and stage.lacks("runs as root"):
        pytest.skip("this runner says that it cannot protect files here")
    written = measured(stage.run("writes_everywhere"))
    assert isinstance(written, list)
    assert set(written) - {"/var/tmp"} == {"/tmp"}
    assert stage.lacks("no file system isolation") or "/var/tmp" not in written


def test_tmp_is_bounded(stage: Stage) -> None:
    megabytes = measured(stage.run("fills_tmp"))
    assert isinstance(megabytes, int)
    assert megabytes <= LIMITS.tmpfs_bytes // MIB


def test_empty_files_are_bounded(stage: Stage) -> None:
    if stage.lacks("no limit of files in /tmp"):
        pytest.skip("this runner says that it cannot bound them here")
    report = stage.run("fills_tmp_with_names", timeout_seconds=60)
    if stage.kind == "docker":
        assert measured(report) == LIMITS.tmpfs_files - 1
    else:
        assert report.ending == "out-of-memory"
    assert stage.is_alive()


def test_leaving_without_an_answer_gives_the_exit_code(stage: Stage) -> None:
    report = stage.run("exits_at_once")
    assert (report.ending, report.exit_code) == ("exited", 3)


@pytest.mark.parametrize(("snippet", "signal"), [("kills_itself", 9), ("crashes", 11)])
def test_dying_by_a_signal_gives_the_signal(stage: Stage, snippet: str, signal: int) -> None:
    report = stage.run(snippet)
    assert (report.ending, report.signal) == ("signalled", signal)
    assert classify(report, lambda _: Outcome("measured")) == Outcome(f"raises:signal-{signal}", report.reason)


def test_a_run_that_turns_deaf_and_mute_is_stopped(stage: Stage) -> None:
    report = stage.run("closes_all_descriptors", timeout_seconds=SHORT_SECONDS)
    assert report.ending == "timed-out"


def test_processes_that_a_run_leaves_behind_are_killed(stage: Stage) -> None:
    duration = f"{900 + os.getpid() / 1e7:.7f}"
    assert measured(stage.run("leaves_children", DURATION=duration)) == 1
    until = time.monotonic() + 20
    while processes_with(duration) and time.monotonic() < until:
        time.sleep(0.1)  # the engine removes a container beside the next run
    assert processes_with(duration) == []


def test_a_child_that_holds_the_channel_open_does_not_hold_up_the_answer(stage: Stage) -> None:
    report = stage.run("children_hold_the_channel")
    assert measured(report) == 1
    assert report.seconds["total"] < 30


def test_garbage_in_printing_and_messages_becomes_text_that_can_be_stored(stage: Stage) -> None:
    report = stage.run("says_garbage")
    assert report.result is not None
    assert (report.result["kind"], report.result["exception"]) == ("raised", "ValueError")
    text = json.dumps([report.output, dict(report.result)], ensure_ascii=False)
    text.encode("utf-8")
    assert not [part for part in ("\x00", "\x1b", "\\u0000", "\\u001b") if part in text]


def test_a_run_cannot_become_root_mount_or_change_its_root(stage: Stage) -> None:
    if stage.lacks("runs as root"):
        pytest.skip("this runner says that it runs as root here")
    assert measured(stage.run("escalates")) == []


def test_a_snippet_that_asks_for_input_gets_none(stage: Stage) -> None:
    assert measured(stage.run("asks_for_input")) == ""


def test_a_cancelled_run_is_lost_and_stopped_at_once(stage: Stage) -> None:
    cancelled = threading.Event()
    threading.Timer(1, cancelled.set).start()
    report = stage.run("waits_for_nothing", timeout_seconds=60, cancelled=cancelled)
    assert (report.ending, report.reason) == ("lost", "cancelled")
    assert report.seconds["total"] < 30
