"""How a run ended: one decision over why the conversation stopped and how the process ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.bisection.outcomes import RunReport
from service.catalog.targets import Hardware
from service.execution.channel import Transcript
from service.execution.conversation import Exit, Stop, exit_of
from service.execution.sessions import killed_for_memory, on_its_hardware, report_of_ending

RESULT = {"event": "result", "result": {"kind": "measured", "measurements": {}}}


def transcript_of(*, result: bool = False, fault: bool = False) -> Transcript:
    transcript = Transcript(output_bytes=10, flood_bytes=10_000)
    if result:
        transcript.add_protocol(json.dumps(RESULT).encode() + b"\n")
    if fault:
        transcript.add_protocol(b"nonsense\n")
    return transcript


@pytest.mark.parametrize(
    ("stop", "ended", "ending", "words"),
    [
        ("cancelled", None, "lost", "cancelled"),
        ("timed-out", None, "timed-out", "no answer within 5 s; stopped while it imported the framework"),
        ("output-flood", None, "output-flood", "printed without end"),
        ("out-of-memory", None, "out-of-memory", "more memory than it may"),
        ("ended", None, "timed-out", "closed its channels"),
        ("ended", Exit(3), "exited", "exit code 3"),
        ("ended", Exit(None, 11), "signalled", "signal 11 (SIGSEGV)"),
        ("ended", Exit(None, 60), "signalled", "signal 60 (unknown)"),
        ("ended", Exit(None, 9, out_of_memory=True), "out-of-memory", "ended by the kernel"),
        ("ended", Exit(None, 9), "signalled", "signal 9 (SIGKILL)"),
        ("ended", Exit(None, 9, from_outside=True), "lost", "from outside"),
    ],
)
def test_without_a_result_the_ending_is(stop: Stop, ended: Exit | None, ending: str, words: str) -> None:
    report = report_of_ending(RunReport("lost"), transcript_of(), stop, ended, 5)
    assert report.ending == ending
    assert words in report.reason
    assert report.result is None


def test_the_kernels_own_count_of_processes_that_it_ended_is_read(tmp_path: Path) -> None:
    counters = tmp_path / "vmstat"
    assert killed_for_memory(counters) == 0
    counters.write_text("nr_free_pages 12\noom_kill 3\noom_kill_disable 1\n")
    assert killed_for_memory(counters) == 3


@pytest.mark.parametrize("stop", ["answered", "ended", "timed-out", "output-flood", "out-of-memory"])
def test_a_result_counts_whatever_came_after_it(stop: Stop) -> None:
    report = report_of_ending(RunReport("lost"), transcript_of(result=True), stop, Exit(None, 11), 5)
    assert report.ending == "answered"
    assert report.result == {"kind": "measured", "measurements": {}}


def test_a_cancelled_run_is_lost_even_with_a_result() -> None:
    assert report_of_ending(RunReport("lost"), transcript_of(result=True), "cancelled", None, 5).ending == "lost"


def test_a_fault_on_the_channel_ends_the_conversation_as_untestable() -> None:
    report = report_of_ending(RunReport("lost"), transcript_of(fault=True), "tampered", None, 5)
    assert report.ending == "answered"
    assert report.result is not None
    assert report.result["kind"] == "untestable"


@pytest.mark.parametrize(("result", "code"), [(True, 0), (False, 0), (True, 1), (False, 1)])
def test_a_channel_that_was_tampered_with_gives_no_outcome(result: bool, code: int) -> None:
    report = report_of_ending(RunReport("lost"), transcript_of(result=result, fault=True), "ended", Exit(code), 5)
    assert report.ending == "answered"
    assert report.result is not None
    assert report.result["kind"] == "untestable"


@pytest.mark.parametrize(("code", "ended"), [(0, Exit(0)), (3, Exit(3)), (137, Exit(None, 9)), (255, Exit(255))])
def test_codes_above_128_are_signals(code: int, ended: Exit) -> None:
    assert exit_of(code) == ended


@pytest.mark.parametrize(
    ("hardware", "device", "kind"),
    [
        ("cpu", "cpu", "measured"),
        ("cuda", "GPU 0", "measured"),
        ("cuda", "cpu", "untestable"),
        ("cuda", "", "untestable"),
    ],
)
def test_a_run_for_an_accelerator_never_counts_on_the_cpu(hardware: Hardware, device: str, kind: str) -> None:
    report = RunReport("answered", result={"kind": "measured", "measurements": {}}, device=device)
    result = on_its_hardware(report, hardware).result
    assert result is not None
    assert result["kind"] == kind
