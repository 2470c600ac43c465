from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bisection.reduction import Exhausted, minimal


class World:
    """Shows it if all of some needed sets are there, and never without what something needs."""

    def __init__(self, wanted: set[int], budget: int = 10_000) -> None:
        self.wanted, self.budget, self.asked = wanted, budget, 0

    def holds(self, part: Sequence[int]) -> bool:
        if self.asked >= self.budget:
            raise Exhausted
        self.asked += 1
        return self.wanted <= set(part)


@given(st.integers(0, 40), st.data())
def test_exactly_what_is_needed_is_kept(size: int, data: st.DataObject) -> None:
    wanted = data.draw(st.sets(st.integers(0, max(0, size - 1)), max_size=size)) if size else set()
    world = World(wanted)
    assert minimal(range(size), world.holds) == sorted(wanted)


def test_one_of_a_thousand_is_found_in_a_few_questions() -> None:
    world = World({700})
    assert minimal(range(1000), world.holds) == [700]
    assert world.asked < 60


def test_nothing_is_kept_if_nothing_is_needed() -> None:
    world = World(set())
    assert minimal(range(50), world.holds) == []
    assert world.asked == 1


def test_what_was_found_when_the_budget_ends_still_shows_it() -> None:
    world = World({3, 60}, budget=8)
    kept = minimal(range(64), world.holds)
    assert {3, 60} <= set(kept)
    assert len(kept) < 64


@pytest.mark.parametrize("size", [6])
def test_no_single_item_can_be_left_out_of_a_world_that_is_not_monotone(size: int) -> None:
    shown = {frozenset(part) for count in (2, 4) for part in combinations(range(size), count)} | {
        frozenset(range(size))
    }
    kept = minimal(range(size), lambda part: frozenset(part) in shown)
    assert frozenset(kept) in shown
    assert not any(frozenset(kept) - {one} in shown for one in kept)
