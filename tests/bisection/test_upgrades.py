from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from service.bisection.upgrades import Behaviour, Combination, Unexplained, Upgrades, upgrades_behind


@dataclass
class World:
    """Packages of two locks: what needs what, and whose upgrades change the script."""

    parts: tuple[str, ...]
    culprits: tuple[frozenset[str], ...]
    """Any of them, whole, shows the new behaviour."""
    needs: dict[str, set[str]] = field(default_factory=dict)
    """A new package -> others that must be new with it."""
    broken: frozenset[Combination] = frozenset()
    ran: list[Combination] = field(default_factory=list)

    def goes(self, moved: Combination) -> bool:
        return all(self.needs.get(part, set()) <= moved for part in moved)

    def shows(self, moved: Combination) -> Behaviour:
        assert self.goes(moved), "what cannot be installed was run"
        assert moved not in self.ran, "a combination was run twice"
        self.ran.append(moved)
        if moved in self.broken:
            return "other"
        return "new" if any(culprit <= moved for culprit in self.culprits) else "old"

    def search(self, most_runs: int = 60) -> Upgrades | Unexplained:
        return upgrades_behind(self.parts, self.goes, self.shows, most_runs)


LETTERS = tuple("abcdefgh")


def test_one_of_eight_is_found_in_a_few_runs() -> None:
    for culprit in LETTERS:
        world = World(LETTERS, (frozenset(culprit),))
        found = world.search()
        assert isinstance(found, Upgrades)
        assert (found.packages, found.along, found.reverting_restores) == ((culprit,), (), True)
        assert found.runs <= 8


def test_two_that_only_work_together_are_both_named() -> None:
    for pair in combinations(LETTERS, 2):
        found = World(LETTERS, (frozenset(pair),)).search()
        assert isinstance(found, Upgrades)
        assert (found.packages, found.along) == (pair, ())


def test_what_comes_along_with_the_culprit_is_not_blamed() -> None:
    found = World(LETTERS, (frozenset("c"),), {"c": {"g"}}).search()
    assert isinstance(found, Upgrades)
    assert (found.packages, found.along, found.tied) == (("c",), ("g",), False)


def test_what_needs_the_culprit_is_not_blamed() -> None:
    found = World(LETTERS, (frozenset("g"),), {"a": {"g"}, "b": {"g"}}).search()
    assert isinstance(found, Upgrades)
    assert (found.packages, found.along) == (("g",), ())


def test_two_that_need_each_other_cannot_be_told_apart_and_that_is_said() -> None:
    found = World(LETTERS, (frozenset("c"),), {"c": {"d"}, "d": {"c"}}).search()
    assert isinstance(found, Upgrades)
    assert set(found.packages) == {"c", "d"}
    assert found.tied


def test_a_second_cause_shows_where_reverting_the_first_does_not_restore() -> None:
    found = World(LETTERS, (frozenset("a"), frozenset("f"))).search()
    assert isinstance(found, Upgrades)
    assert len(found.packages) == 1
    assert found.reverting_restores is False


def test_a_budget_is_kept() -> None:
    found = World(LETTERS, (frozenset("ah"),)).search(most_runs=3)
    assert found == Unexplained("budget", 3)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_brute_force_agrees(data: st.DataObject) -> None:
    parts = LETTERS[: data.draw(st.integers(1, 7))]
    letter = st.sampled_from(parts)
    culprit = data.draw(st.frozensets(letter, min_size=1, max_size=3))
    needs = data.draw(st.dictionaries(letter, st.sets(letter, max_size=2), max_size=4))
    world = World(parts, (culprit,), needs)
    found = world.search()
    assert isinstance(found, Upgrades)
    possible = [frozenset(each) for size in range(len(parts) + 1) for each in combinations(parts, size)]
    shown = [each for each in possible if world.goes(each) and culprit <= each]
    least = min(shown, key=len)
    named = frozenset(found.packages) | frozenset(found.along)
    assert named == least
    # A culprit is only missing from the names where no combination could show that it is one.
    if not found.tied:
        assert frozenset(found.packages) <= culprit
