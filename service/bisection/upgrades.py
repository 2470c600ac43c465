"""Which packages' upgrades, together, change what a script does: delta debugging over packages with their needs. Pure.

A package that cannot be installed without others moves together with them. Whether packages go together is for a
resolver to say, which costs a fraction of a run: only combinations that can be installed are run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Literal

from service.bisection.reduction import Exhausted, minimal

Combination = frozenset[str]
"""The packages that have the version of the new lock; all others have that of the old one."""
Behaviour = Literal["old", "new", "other", "cannot"]
"""What a combination shows; `cannot`: it does not answer."""
Goes = Callable[[Combination], bool]
Shows = Callable[[Combination], Behaviour]
MOST_RUNS = 60
MOST_PARTS = 128
"""How many parts of a combination a resolver is asked about: all of them for seven packages."""


@dataclass(frozen=True)
class Upgrades:
    """The packages whose upgrades, together, change it."""

    packages: tuple[str, ...]
    """Without any one of them the old behaviour is back."""
    along: tuple[str, ...]
    """What had to come along, and does nothing by itself; or could not be told apart, where it is tied."""
    tied: bool
    """No combination that can be installed tells `along` from `packages`."""
    reverting_restores: bool | None
    """With all of the new lock but these, the old behaviour is back; None: that cannot be installed."""
    runs: int


@dataclass(frozen=True)
class Unexplained:
    """No combination explains it."""

    reason: Literal["budget", "neither", "cannot"]
    runs: int


@dataclass
class _Search:
    parts: tuple[str, ...]
    goes: Goes
    shows: Shows
    most_runs: int
    resolved: dict[Combination, bool] = field(default_factory=dict)
    shown: dict[Combination, Behaviour] = field(default_factory=dict)
    closures: dict[Combination, Combination] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What both locks show is known: that is why there is a search.
        self.shown |= {frozenset(): "old", self.everything: "new"}
        self.known = len(self.shown)

    @property
    def runs(self) -> int:
        """Return the combinations that were run."""
        return len(self.shown) - self.known

    @property
    def everything(self) -> Combination:
        return frozenset(self.parts)

    def fits(self, moved: Combination) -> bool:
        if moved in (frozenset(), self.everything):
            return True
        if moved not in self.resolved:
            self.resolved[moved] = self.goes(moved)
        return self.resolved[moved]

    def closed(self, moved: Combination) -> Combination:
        """Return a combination that can be installed and has no more than what some packages need."""
        if moved not in self.closures:
            rest = [part for part in self.parts if part not in moved]
            extra = minimal(rest, lambda more: self.fits(moved | frozenset(more)))
            self.closures[moved] = moved | self._fewest(moved, extra)
        return self.closures[moved]

    def _fewest(self, moved: Combination, extra: Sequence[str]) -> Combination:
        """Return the fewest of the extra packages that suffice: some that need each other go only together."""
        parts = (frozenset(some) for size in range(1, len(extra)) for some in combinations(extra, size))
        return next((some for some in islice(parts, MOST_PARTS) if self.fits(moved | some)), frozenset(extra))

    def run(self, moved: Combination) -> Behaviour:
        """Say what a combination that can be installed shows.

        Raises:
            Exhausted: nothing more may be run.
        """
        if moved not in self.shown:
            if self.runs >= self.most_runs:
                raise Exhausted
            self.shown[moved] = self.shows(moved)
        return self.shown[moved]

    def is_new(self, moved: Iterable[str]) -> bool:
        return self.run(self.closed(frozenset(moved))) == "new"


def upgrades_behind(
    parts: Sequence[str], goes: Goes, shows: Shows, most_runs: int = MOST_RUNS
) -> Upgrades | Unexplained:
    """Return the packages whose upgrades change what a script does.

    Args:
        parts: all packages that differ, the likeliest first; all together show the new behaviour, none the old one.
        goes: says whether a combination can be installed.
        shows: runs a combination that can be.
        most_runs: combinations that are run at most.
    """
    search = _Search(tuple(parts), goes, shows, most_runs)
    try:
        found = search.closed(frozenset(_explain(search, (), False, tuple(parts))))
        if search.run(found) != "new":
            return Unexplained("neither", search.runs)
        return _told_apart(search, found)
    except Exhausted:
        return Unexplained("budget", search.runs)


def _explain(search: _Search, kept: Sequence[str], grown: bool, suspects: Sequence[str]) -> list[str]:
    """Return the suspects that are needed beside what is kept.

    Source: QuickXplain (Junker, AAAI 2004).
    """
    if grown and search.is_new(kept):
        return []
    if len(suspects) <= 1:
        return list(suspects)
    middle = (len(suspects) + 1) // 2
    likely, others = suspects[:middle], suspects[middle:]
    second = _explain(search, (*kept, *likely), True, others)
    first = _explain(search, (*kept, *second), bool(second), likely)
    return [*first, *second]


def _told_apart(search: _Search, found: Combination) -> Upgrades:
    """Tell what causes it from what came along, of a combination that shows the new behaviour."""
    kept = found
    while (smaller := _smaller(search, kept)) is not None:
        kept = smaller
    # What can be left out, alone, and brings the old behaviour back is a cause.
    needed = [part for part in search.parts if part in kept and search.fits(kept - {part})]
    unclear = [part for part in search.parts if part in kept and part not in needed]
    # What others cannot be installed without may have been seen to do nothing by itself.
    along = {
        each for part in unclear for each in search.closed(frozenset({part})) if search.closed(frozenset({part})) < kept
    }
    if needed:
        return Upgrades(tuple(needed), tuple(unclear), False, _reverting(search, kept), search.runs)
    packages = tuple(part for part in unclear if part not in along)
    came = tuple(part for part in unclear if part in along)
    return Upgrades(packages, came, len(packages) > 1, _reverting(search, kept), search.runs)


def _smaller(search: _Search, kept: Combination) -> Combination | None:
    """Return a smaller combination that shows the new behaviour too: without one, one alone, or without several."""
    parts = [part for part in search.parts if part in kept]
    rests = [rest for part in parts if search.fits(rest := kept - {part})]
    alone = [each for part in parts if (each := search.closed(frozenset({part}))) < kept]
    found = next((each for each in [*rests, *alone] if search.run(each) == "new"), None)
    if found is not None:
        return found
    # Some that need each other: without one of them it cannot be installed, or breaks in a way of its own.
    torn = [part for part in parts if (rest := kept - {part}) not in search.shown or search.shown[rest] == "other"]
    groups = (kept - set(some) for size in range(2, len(torn) + 1) for some in combinations(torn, size))
    rests = [rest for rest in islice(groups, MOST_PARTS) if rest and search.fits(rest)]
    return next((rest for rest in rests if search.run(rest) == "new"), None)


def _reverting(search: _Search, found: Combination) -> bool | None:
    """Say whether the new lock without what was found has the old behaviour."""
    rest = search.everything - found
    if not search.fits(rest):
        return None
    return search.run(rest) == "old"
