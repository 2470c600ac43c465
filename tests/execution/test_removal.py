"""Removing what runs leave: again until it is gone, and none behind another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from service.errors import EngineLost
from service.execution.removal import CLOSING_TRIES, LONGEST_PAUSE_SECONDS, Removals, pause_seconds

QUICK = 0.001


@contextmanager
def removals(remove: Callable[[str], None], orphans: Callable[[], list[str]] = list) -> Iterator[Removals]:
    made = Removals(remove, orphans, first_pause_seconds=QUICK, orphans_seconds=QUICK)
    try:
        yield made
    finally:
        made.close(5)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (4, 8), (100, LONGEST_PAUSE_SECONDS)])
def test_the_pauses_between_tries_grow_up_to_a_minute(failures: int, seconds: float) -> None:
    assert pause_seconds(failures) == seconds


def test_a_removal_that_fails_is_tried_until_it_works() -> None:
    tries: list[str] = []

    def remove(container: str) -> None:
        tries.append(container)
        if len(tries) < 4:
            raise EngineLost("the engine restarts")

    with removals(remove) as all_of_them:
        all_of_them.add("a")
        assert all_of_them.wait(10)
    assert tries == ["a"] * 4


def test_a_removal_that_ends_in_an_error_of_another_kind_is_tried_again_too() -> None:
    tries: list[str] = []

    def remove(container: str) -> None:
        tries.append(container)
        if len(tries) == 1:
            raise ValueError("nobody thought of this")

    with removals(remove) as all_of_them:
        all_of_them.add("a")
        assert all_of_them.wait(10)
    assert tries == ["a", "a"]


def test_a_slow_removal_does_not_hold_up_another() -> None:
    slow, gone = threading.Event(), threading.Event()

    def remove(container: str) -> None:
        if container == "slow":
            slow.wait(30)
        else:
            gone.set()

    with removals(remove) as all_of_them:
        all_of_them.add("slow")
        all_of_them.add("quick")
        assert gone.wait(10)
        assert all_of_them.waiting() >= {"slow"}
        slow.set()


def test_orphans_are_looked_for_again_and_again_even_when_the_engine_is_away_for_a_while() -> None:
    removed, looks = threading.Event(), []

    def orphans() -> list[str]:
        looks.append(1)
        if len(looks) < 3:
            raise EngineLost("away")
        return ["orphan"]

    def remove(container: str) -> None:
        assert container == "orphan"
        removed.set()

    with removals(remove, orphans):
        assert removed.wait(10)


def test_closing_gives_up_on_an_engine_that_never_removes_and_says_what_is_left() -> None:
    def remove(_: str) -> None:
        raise EngineLost("away for good")

    made = Removals(remove, list, first_pause_seconds=QUICK)
    made.add("a")
    made.close(0.05)
    assert made.waiting() == {"a"}


def test_closing_does_not_wait_for_an_engine_that_refuses_again_and_again() -> None:
    tries: list[str] = []

    def remove(container: str) -> None:
        tries.append(container)
        raise EngineLost("gone")

    made = Removals(remove, list, first_pause_seconds=QUICK, orphans_seconds=60)
    made.add("a")
    closing = threading.Thread(target=made.close, args=(600,))
    closing.start()
    closing.join(30)
    assert not closing.is_alive(), "it would wait ten minutes"
    assert made.waiting() == {"a"}
    assert len(tries) >= CLOSING_TRIES
