"""Whose turn it is, as tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from service.coordination.turns import HELD_AT_MOST, WAITED_SECONDS, Wish, allot, next_waiting
from service.storage.records import Waiting

A, B, NIGHT = Wish("a", False, 9), Wish("b", False, 9), Wish("a", True, 9)


@pytest.mark.parametrize(
    ("wishes", "workers", "given", "why"),
    [
        ([], 2, [], "nobody is there"),
        ([A], 2, [2], "one bisection has all workers"),
        ([replace(A, wanted=1)], 4, [1], "nobody gets more than is wanted"),
        ([replace(A, running=2)], 2, [0], "no worker is free"),
        ([replace(A, running=3), B], 2, [0, 0], "more runs than workers leave none"),
        ([A, B], 2, [1, 1], "two submitters share"),
        ([A, A, A, B], 2, [1, 0, 0, 1], "by submitters, not by bisections"),
        ([A, A, A, B], 4, [1, 1, 0, 2], "half for each submitter, however many bisections one has"),
        ([A, A], 2, [1, 1], "two bisections of one submitter share"),
        ([replace(A, running=1), A], 2, [0, 1], "a long bisection gives its next worker to the one that came after"),
        ([replace(A, last_turn=7), replace(A, last_turn=3)], 1, [0, 1], "one worker goes round"),
        ([replace(A, last_turn=7), replace(B, last_turn=3)], 1, [0, 1], "round the submitters"),
        ([A, replace(A, last_turn=7), replace(B, last_turn=3)], 1, [0, 0, 1], "a submitter's newcomer does not jump"),
        ([NIGHT, B], 1, [0, 1], "interactive before nightly"),
        ([NIGHT, replace(B, wanted=1)], 3, [2, 1], "the nightly has what is left over"),
        ([replace(NIGHT, running=1), replace(B, running=1)], 3, [0, 1], "also where the nightly has fewer"),
    ],
)
def test_workers_are_shared_out(wishes: list[Wish], workers: int, given: list[int], why: str) -> None:
    assert allot(wishes, workers) == given, why


def test_nobody_starves_beside_submitters_with_any_number_of_bisections() -> None:
    wishes = [A] * 20 + [B]
    turns: Counter[str] = Counter()
    for turn in range(1000):  # one worker: each run ends before the next turn
        chosen = allot(wishes, 1).index(1)
        wishes[chosen] = replace(wishes[chosen], last_turn=turn)
        turns[f"{wishes[chosen].submitter}{chosen}"] += 1
    assert turns["b20"] == 500
    assert {turns[f"a{place}"] for place in range(20)} == {25}


def waits(name: str, submitter: str = "", *, seconds: float = 0, nightly: bool = False) -> Waiting:
    return Waiting(name, submitter, nightly, seconds)


LONG = WAITED_SECONDS + 1


@pytest.mark.parametrize(
    ("waiting", "held", "idle", "chosen", "why"),
    [
        ([], {}, 2, None, "nothing waits"),
        ([waits("1"), waits("2")], {}, 2, "1", "the oldest first"),
        ([waits("1", "a"), waits("2", "b")], {"a": 1}, 1, "2", "who has nothing yet is next"),
        ([waits("1", nightly=True), waits("2")], {}, 1, "2", "interactive before nightly"),
        ([waits("1", nightly=True)], {}, 1, "1", "the nightly where nobody else waits"),
        ([waits("1")], {"": 1}, 0, None, "another coordinator may have an idle worker"),
        ([waits("1", seconds=LONG)], {"": 1}, 0, "1", "a long bisection does not hold up the queue"),
        ([waits("1", seconds=LONG, nightly=True)], {"": 1}, 0, None, "the nightly waits for an idle worker"),
        ([waits("1", seconds=LONG)], {"": 4}, 0, None, "so many of one submitter share; more only end later together"),
        ([waits("1", seconds=LONG), waits("2", "b", seconds=LONG)], {"": 4}, 0, "2", "another submitter may come in"),
        ([waits("1", "b", seconds=LONG)], {"a": HELD_AT_MOST}, 1, None, "a process holds so many"),
    ],
)
def test_the_next_of_the_queue_is_taken_up(
    waiting: list[Waiting], held: dict[str, int], idle: int, chosen: str | None, why: str
) -> None:
    assert next_waiting(waiting, held, 2, idle) == chosen, why
