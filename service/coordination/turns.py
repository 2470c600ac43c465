"""Whose turn it is: pure decisions, without clocks, threads or a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from service.storage.records import Waiting

HELD_AT_MOST = 64
"""Bisections that one process works on at once; each costs a thread that mostly waits."""
SHARING_AT_LEAST = 4
"""How many bisections of one submitter share few workers; with more, all of them end later."""
WAITED_SECONDS = 2.0
"""After this long in the queue no other coordinator has an idle worker for a bisection either: they look twice a
second."""


@dataclass(frozen=True)
class Wish:
    """What one bisection wants of the workers."""

    submitter: str
    nightly: bool
    wanted: int
    """Runs that it could start now."""
    running: int = 0
    last_turn: int = -1
    """When it was last given a worker, counted; -1: never."""


def allot(wishes: Sequence[Wish], workers: int) -> list[int]:
    """Share out the workers that are free and return how many each bisection gets.

    Interactive bisections come before those of the nightly. Among them the submitter with the fewest runs under way
    is next, then whoever waits longest for a turn; among the bisections of one submitter likewise.
    """
    given = [0] * len(wishes)
    state = list(wishes)
    free = workers - sum(wish.running for wish in wishes)
    turn = max((wish.last_turn for wish in wishes), default=-1)
    while free > 0 and (chosen := _next(state)) is not None:
        turn, free = turn + 1, free - 1
        given[chosen] += 1
        wish = state[chosen]
        state[chosen] = replace(wish, wanted=wish.wanted - 1, running=wish.running + 1, last_turn=turn)
    return given


def _next(wishes: Sequence[Wish]) -> int | None:
    """Return the place of the bisection whose turn it is, or None where nobody wants anything."""
    running: Counter[str] = Counter()
    last_turn: dict[str, int] = {}
    for wish in wishes:
        running[wish.submitter] += wish.running
        last_turn[wish.submitter] = max(wish.last_turn, last_turn.get(wish.submitter, -1))

    def rank(place: int) -> tuple[bool, int, int, int, int, int]:
        wish = wishes[place]
        return (
            wish.nightly,
            running[wish.submitter],
            last_turn[wish.submitter],
            wish.running,
            wish.last_turn,
            place,
        )

    return min((place for place, wish in enumerate(wishes) if wish.wanted > 0), key=rank, default=None)


def next_waiting(waiting: Sequence[Waiting], held: Mapping[str, int], workers: int, idle_workers: int) -> str | None:
    """Return which bisection of the queue to take up now, or None.

    Where a worker idles one is taken at once. Where none does, one that has waited for a while is taken all the same,
    so that long bisections give up some of their workers to it; the nightly's are not.

    Args:
        waiting: the queue, oldest first.
        held: bisections that this process works on, by submitter.
        workers: how many there are.
        idle_workers: those of them that no bisection here has a use for.
    """
    if sum(held.values()) >= HELD_AT_MOST:
        return None
    sharing = max(2 * workers, SHARING_AT_LEAST)
    ready = [
        one
        for one in waiting
        if idle_workers > 0
        or (one.waited_seconds >= WAITED_SECONDS and not one.nightly and held.get(one.submitter, 0) < sharing)
    ]
    first = min(ready, key=lambda one: (one.nightly, held.get(one.submitter, 0)), default=None)
    return None if first is None else first.bisection_id
