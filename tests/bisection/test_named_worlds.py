"""Histories with a name, and what is said of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from service.bisection.verdict import Changes, NothingTestable, Unchanged, Verdict
from tests.bisection.worlds import bisected, branch, rows, spoken


@dataclass(frozen=True)
class Named:
    """A history, and the changes that must be found in it with at most that many runs."""

    name: str
    world: Any
    changes: list[str] = field(default_factory=list)
    at_most: int | None = None
    policy: dict[str, Any] = field(default_factory=dict)
    kind: type[Verdict] = Changes


SEED = 5  # One in which the flaky releases show it; how often they do is claimed in test_settling.py.


def at(resolution: int, **more: Any) -> dict[str, Any]:
    return {"resolution": resolution, **more}


ISLAND_WITH_PATCHES = [*rows("wwbbw"), *branch(2, "b"), *branch(3, "bb")]

WORLDS = [
    # One line, clean.
    Named("one release that works", "w", [], 1, kind=Unchanged),
    Named("one release that is broken", "b", [], 1, kind=Unchanged),
    Named("two releases alike", "ww", [], 2, kind=Unchanged),
    Named("two releases that differ", "wb", ["introduced 1.1.0"], 4),
    Named("two releases, mended", "bw", ["fixed 1.1.0"], 4),
    Named("nothing ever changes", "wwwwwwwwww", [], 10, kind=Unchanged),
    Named("nothing ever changes, coarse", "w" * 30, [], 7, at(5), kind=Unchanged),
    Named("broken from the first release to the last", "bbbbb", [], 5, kind=Unchanged),
    Named("broken for good", "wwwwbbbb", ["introduced 1.4.0"]),
    Named("broken for good, ends only", "w" * 8 + "b" * 9, ["introduced 1.8.0"], 2 + 4 + 2, at(16)),
    Named("change at the first step", "wbbbbbbbb", ["introduced 1.1.0"], 2 + 3 + 2, at(8)),
    Named("change at the last step", "wwwwwwwwb", ["introduced 1.8.0"], 2 + 3 + 2, at(8)),
    Named("equal ends with an island", "wwwbbww", ["introduced 1.3.0", "fixed 1.5.0"]),
    Named("equal ends with an island, coarse", "wwwbbww", ["introduced 1.3.0", "fixed 1.5.0"], 10, at(2)),
    Named("an island of one release", "wwwbwww", ["introduced 1.3.0", "fixed 1.4.0"]),
    Named("an island shorter than the resolution may hide", "wbwwwwwww", [], 3, at(4), kind=Unchanged),
    Named("an island at the very start", "bwwwww", ["fixed 1.1.0"]),
    Named("an island at the very end", "wwwwwb", ["introduced 1.5.0"]),
    Named("two islands", "wbbwwbbw", ["introduced 1.1.0", "fixed 1.3.0", "introduced 1.5.0", "fixed 1.7.0"]),
    Named("every release differs from the one before", "wbwbw", [f"{kind} 1.{at}.0" for kind, at in zip(
        ["introduced", "fixed", "introduced", "fixed"], range(1, 5), strict=True)]),
    Named("three behaviours", "wwbbcc", ["introduced 1.2.0", "changed 1.4.0"]),
    Named("three behaviours and back", "wwbbccww", ["introduced 1.2.0", "changed 1.4.0", "fixed 1.6.0"]),
    Named("a behaviour that comes back is no cure", "bbccbb", ["changed 1.2.0", "changed 1.4.0"]),
    Named("four behaviours, coarse", "www" + "bbb" + "ccc" + "ddd", [
        "introduced 1.3.0", "changed 1.6.0", "changed 1.9.0"], policy=at(3)),
    Named("two changes between two posts of the survey", "wwww" + "bbbb" + "cccc", [
        "introduced 1.4.0", "changed 1.8.0"], policy=at(4)),
    # Gaps.
    Named("nothing can be tested", "uuuuu", [], 5, kind=NothingTestable),
    Named("only one release can be tested", "uuwuu", [], 5, kind=Unchanged),
    Named("a gap between equal neighbours", "wwuuww", [], 6, kind=Unchanged),
    Named("a gap beside the change", "wwubb", ["introduced 1.3.0 after 1.1.0"]),
    Named("a gap just after the change", "wwbuubb", ["introduced 1.2.0"]),
    Named("a gap just before the change", "wwuuwbb", ["introduced 1.5.0"]),
    Named("a wide gap in the change", "wwuuuubb", ["introduced 1.6.0 after 1.1.0"]),
    Named("gaps on both sides of an island", "wwubuww", ["introduced 1.3.0 after 1.1.0", "fixed 1.5.0 after 1.3.0"]),
    Named("a gap around an island, coarse", "wwwuubbbbuuwww", [
        "introduced 1.5.0 after 1.2.0", "fixed 1.11.0 after 1.8.0"], policy=at(3)),
    Named("a gap inside an island", "wwbuubww", ["introduced 1.2.0", "fixed 1.6.0"]),
    Named("an island swallowed by a gap", "wwuuuww", [], 7, kind=Unchanged),
    Named("a gap at the start", "uuuwwbb", ["introduced 1.5.0"]),
    Named("a gap at the end", "wwbbuuu", ["introduced 1.2.0"]),
    Named("a gap of a hundred in the change is not walked through", "w" * 50 + "u" * 100 + "b" * 50, [
        "introduced 1.150.0 after 1.49.0"], 40, at(25)),
    Named("a gap of a hundred between equals is not walked through", "w" * 50 + "u" * 100 + "w" * 50, [], 20, at(25),
          kind=Unchanged),
    Named("every second release cannot be tested", "wuwuwubububu", ["introduced 1.6.0 after 1.4.0"]),
    # Infrastructure.
    Named("a run lost in the middle is asked again", "ww2ww", [], 7, kind=Unchanged),
    Named("a release whose runs are always lost is a gap", "wwlbb", ["introduced 1.3.0 after 1.1.0"]),
    Named("everything is lost", "lll", [], 9, kind=NothingTestable),
    Named("a neighbour of the change is lost twice", "w2bb", ["introduced 1.2.0"]),
    # Branches.
    Named("a branch that never got the fix", ISLAND_WITH_PATCHES, ["introduced 1.2.0", "fixed 1.4.0"]),
    Named("a branch fixed, the mainline not", [*rows("wbbb"), *branch(1, "bww")], [
        "introduced 1.1.0", "fixed 1.1.2 on 1.1"]),
    Named("a fix ported to the branch and on the mainline", [*rows("wbww"), *branch(1, "w")], [
        "introduced 1.1.0", "fixed 1.2.0", "fixed 1.1.1 on 1.1"]),
    Named("a fault ported to an older branch", [*rows("wwbb"), *branch(1, "wbb")], [
        "introduced 1.2.0", "introduced 1.1.2 on 1.1"]),
    Named("branches are left alone when told to", [*rows("wbb"), *branch(1, "ww")], ["introduced 1.1.0"], 5,
          at(1, branches="none")),
    Named("a branch far from any change is left alone", [*rows("wwwwwb"), *branch(1, "bb")], ["introduced 1.5.0"]),
    Named("all branches find what tips would not", [*rows("wwwwwb"), *branch(1, "bw")], [
        "introduced 1.5.0", "introduced 1.1.1 on 1.1", "fixed 1.1.2 on 1.1"], policy=at(1, branches="all")),
    Named("the newest patch cannot be tested", [*rows("wbbw"), *branch(1, "wuu")], [
        "introduced 1.1.0", "fixed 1.3.0", "fixed 1.1.1 on 1.1"]),
    Named("a gap inside the branch", [*rows("wbbw"), *branch(1, "bbuw")], [
        "introduced 1.1.0", "fixed 1.3.0", "fixed 1.1.4 on 1.1 after 1.1.2"]),
    Named("a branch whose first release cannot be tested", [*rows("wubb"), *branch(1, "bb")], [
        "introduced 1.2.0 after 1.0.0"]),
    Named("only patches of one minor", [*rows("w"), *branch(0, "wwbb")], ["introduced 1.0.3 on 1.0"]),
    # Flaky.
    Named("one flaky release among working ones", "ww~ww", ["introduced 1.2.0", "fixed 1.3.0"]),
    Named("flaky from a release on", "www~~~", ["introduced 1.3.0"], policy=at(1, repeats=5)),
    Named("flaky at one side of a real change only", "ww~bb", ["introduced 1.2.0", "changed 1.3.0"],
          policy=at(1, repeats=5)),
]  # fmt: skip


@pytest.mark.parametrize("named", WORLDS, ids=lambda named: named.name)
def test_world(named: Named) -> None:
    result = bisected(named.world, seed=SEED, **named.policy)
    assert spoken(result.verdict) == named.changes
    assert isinstance(result.verdict, named.kind)
    assert result.verdict.coverage.complete
    assert named.at_most is None or result.runs <= named.at_most


def test_there_are_at_least_forty_worlds_and_no_name_twice() -> None:
    names = {named.name for named in WORLDS}
    assert len(names) == len(WORLDS) >= 40
