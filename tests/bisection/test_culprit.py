"""Which definitions a change comes from, in made-up worlds; brute force is the judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from service.bisection.culprit import (
    BUDGET,
    CONTROL,
    Culprits,
    Effect,
    Finding,
    Hypothesis,
    HypothesisAnswer,
    Unresolved,
    next_hypothesis,
)

NAMES = tuple("abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class World:
    """What every set of definitions does: the culprits restore, unless one of the set misses a companion."""

    definitions: tuple[str, ...]
    culprits: frozenset[str]
    needs: frozenset[tuple[str, str]] = frozenset()
    """(one, other): one raises without the other."""
    never: frozenset[str] = frozenset()
    """They raise in any set."""
    says_who: bool = True

    def __call__(self, tried: Hypothesis) -> HypothesisAnswer:
        broken = sorted(tried & self.never) + sorted(
            one for one, other in self.needs if one in tried and other not in tried
        )
        if broken:
            return HypothesisAnswer("raises", broken[0] if self.says_who else "")
        return HypothesisAnswer("restored" if self.culprits <= tried and self.culprits else "none")

    def smallest(self, most: int) -> set[Hypothesis]:
        """Return every restoring set of at most so many definitions that has no smaller one in it."""
        found: set[Hypothesis] = set()
        for size in range(1, most + 1):
            for some in combinations(self.definitions, size):
                tried = frozenset(some)
                if not any(less <= tried for less in found) and self(tried).effect == "restored":
                    found.add(tried)
        return found


def searched(
    world: Callable[[Hypothesis], HypothesisAnswer], groups: Sequence[Sequence[str]], budget: int = BUDGET
) -> tuple[Finding, dict[Hypothesis, HypothesisAnswer]]:
    seen: dict[Hypothesis, HypothesisAnswer] = {}
    while isinstance(step := next_hypothesis(groups, seen, budget), frozenset):
        assert step not in seen
        seen[step] = world(step)
        assert len(seen) <= budget
    return step, seen


def culprits(world: World, *, budget: int = BUDGET) -> frozenset[str]:
    found, _ = searched(world, [world.definitions], budget)
    assert isinstance(found, Culprits)
    return frozenset(found.definitions)


def test_a_pair_that_only_works_together_is_found_among_many() -> None:
    names = tuple(f"d{number}" for number in range(146))
    world = World(names, frozenset({"d17", "d101"}))
    found, seen = searched(world, [names])
    assert found == Culprits(("d17", "d101"), True, {"d17": "none", "d101": "none"})
    assert len(seen) <= 40


def test_a_companion_that_the_culprit_cannot_do_without_is_named_with_it() -> None:
    world = World(NAMES, frozenset("c"), frozenset({("c", "q")}))
    found, _ = searched(world, [NAMES])
    assert found == Culprits(("c", "q"), True, {"c": "none", "q": "raises"})


def test_whoever_raises_in_any_set_is_left_out_by_the_traceback() -> None:
    names = tuple(f"d{number}" for number in range(200))
    world = World(names, frozenset({"d3"}), never=frozenset({"d7", "d90", "d91", "d199"}))
    assert culprits(world) == {"d3"}


def test_without_a_traceback_it_grows_by_halves() -> None:
    assert culprits(World(NAMES, frozenset("cx"), never=frozenset("ht"), says_who=False)) == set("cx")


def test_a_likelier_group_is_tried_alone_first() -> None:
    world = World(NAMES, frozenset("b"))
    _, seen = searched(world, [NAMES[:5], NAMES[5:]])
    assert all(tried <= set(NAMES[:5]) for tried in seen)


def test_culprits_in_two_groups_are_found_together() -> None:
    world = World(NAMES, frozenset("bz"))
    found, _ = searched(world, [NAMES[:5], NAMES[5:]])
    assert isinstance(found, Culprits)
    assert set(found.definitions) == set("bz")


def test_a_culprit_that_raises_is_not_named_and_nothing_else_is() -> None:
    found, _ = searched(World(NAMES, frozenset("c"), never=frozenset("c")), [NAMES])
    assert found == Unresolved("nothing", ("c",))


def test_a_control_that_shows_something_else_ends_the_search_at_once() -> None:
    for effect in ("restored", "another", "raises", "lost"):
        answer = HypothesisAnswer(_effect(effect))
        found, seen = searched(lambda _tried, answer=answer: answer, [NAMES])  # type: ignore[misc]
        assert (found, list(seen)) == (Unresolved("control"), [CONTROL])


def _effect(word: str) -> Effect:
    known: dict[str, Effect] = {"restored": "restored", "another": "another", "raises": "raises", "lost": "lost"}
    return known[word]


def test_nothing_that_changed_was_executed() -> None:
    assert next_hypothesis([(), ()], {}) == Unresolved("candidates")


def test_when_the_budget_ends_the_smallest_set_so_far_is_told_as_not_minimal() -> None:
    found, seen = searched(World(NAMES, frozenset("cx")), [NAMES], budget=6)
    assert isinstance(found, Culprits)
    assert not found.minimal
    assert len(seen) == 6
    assert set("cx") <= set(found.definitions)
    assert searched(World(NAMES, frozenset("cx"), never=frozenset("c")), [NAMES], budget=2)[0] == Unresolved("budget")


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = NAMES[: draw(st.integers(1, 9))]
    chosen = st.frozensets(st.sampled_from(names), max_size=3)
    pairs = st.frozensets(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=3)
    return World(names, draw(chosen), draw(pairs), draw(chosen), draw(st.booleans()))


@settings(max_examples=300, deadline=None)
@given(worlds(), st.integers(0, 9))
def test_what_is_found_is_smallest_by_brute_force_and_nothing_is_found_that_is_not_there(
    world: World, first: int
) -> None:
    groups = [world.definitions[:first], world.definitions[first:]]
    found, seen = searched(world, groups)
    truth = world.smallest(len(world.definitions))
    if isinstance(found, Culprits):
        assert found.minimal
        assert frozenset(found.definitions) in truth
        assert world(frozenset(found.definitions)).effect == "restored"
    elif world.says_who:
        assert not truth
    assert len(seen) <= BUDGET


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0, 149), min_size=1, max_size=4))
def test_up_to_four_culprits_of_150_cost_at_most_what_quickxplain_promises(numbers: set[int]) -> None:
    names = tuple(f"d{number}" for number in range(150))
    world = World(names, frozenset(f"d{number}" for number in numbers))
    found, seen = searched(world, [names])
    assert isinstance(found, Culprits)
    assert set(found.definitions) == world.culprits
    many = len(numbers)
    assert len(seen) <= 2 + 2 * many * (8 - many.bit_length() + 2) + 2 * many


@given(worlds())
@settings(max_examples=50, deadline=None)
def test_a_search_goes_on_from_any_of_its_answers(world: World) -> None:
    found, seen = searched(world, [world.definitions])
    for kept in range(len(seen)):
        again = dict(list(seen.items())[:kept])
        while isinstance(step := next_hypothesis([world.definitions], again), frozenset):
            again[step] = world(step)
        assert (step, list(again)) == (found, list(seen))
