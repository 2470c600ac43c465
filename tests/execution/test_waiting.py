"""Which processes are kept waiting where memory is short."""

from __future__ import annotations

from typing import Any, cast

from service.catalog.targets import Target
from service.execution.channel import Ready, Transcript
from service.execution.conversation import Conversation, Process
from service.execution.waiting import Purpose, Started, WaitingProcesses
from service.settings import MIB


def started(release: str, process: int = 0) -> tuple[Purpose, Started]:
    """Return a process of a hundred MiB that a bisection asked."""
    transcript = Transcript(output_bytes=1, flood_bytes=1)
    transcript.ready = Ready(event="ready", forks=True, memory_bytes=100 * MIB)
    nobody: Any = None
    one = Started(cast("Process", nobody), transcript, cast("Conversation", nobody), 0.0, f"{release}/{process}")
    return Purpose(one.process, "mine", (Target("tensorflow", release), process)), one


def kept(*releases: str, room: int, wanted: tuple[tuple[str, int], ...]) -> list[str]:
    """Return what is left of processes that are put aside one after the other."""
    shelf = WaitingProcesses(slots=0, most_bytes=room * 100 * MIB, lifetime_seconds=900)
    shelf.expect("mine", [(Target("tensorflow", release), process) for release, process in wanted])
    left: list[str] = []
    for release in releases:
        purpose, one = started(release)
        gone = [each.process for each in shelf.put(purpose, one)]
        left = [name for name in [*left, one.process] if name not in gone]
    return left


def test_what_is_asked_next_is_kept_longest() -> None:
    wanted = (("1.9.0", 0), ("1.11.0", 0))
    assert kept("1.9.0", "1.10.0", "1.11.0", room=1, wanted=wanted) == ["1.9.0/0"]
    assert kept("1.9.0", "1.10.0", "1.11.0", room=2, wanted=wanted) == ["1.9.0/0", "1.11.0/0"]


def test_another_process_of_a_release_is_not_the_one_that_is_asked_next() -> None:
    assert kept("1.9.0", "1.10.0", room=1, wanted=(("1.9.0", 1), ("1.10.0", 0))) == ["1.10.0/0"]


def test_of_what_nobody_is_about_to_ask_the_oldest_goes_first() -> None:
    assert kept("1.9.0", "1.10.0", "1.11.0", room=2, wanted=()) == ["1.10.0/0", "1.11.0/0"]
