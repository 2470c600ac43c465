"""Makes a script smaller while what it shows in two releases stays the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.bisection.reduction import Exhausted, minimal
from service.catalog.interfaces import parsed_tree
from service.causes.script_parts import (
    Group,
    Part,
    arguments,
    statements,
    undefined,
    without,
    without_comments,
    wrappers,
)

DEEPEST = 12
MOST_ROUNDS = 4

Shows = Callable[[str], bool]
"""Says whether a script shows the same in both releases."""
Tell = Callable[["Minimised"], None]


@dataclass
class Minimised:
    """The smallest script so far."""

    source: str
    budget: int
    shows: Shows
    tell: Tell = lambda _: None
    tried: int = 0
    """Scripts that ran."""
    refused: int = 0
    """Scripts that no run was needed for: names without a definition, or no Python."""
    known: dict[str, bool] = field(default_factory=dict)
    exhausted: bool = False

    def attempt(self, candidate: str) -> bool:
        """Say whether a smaller script still shows the same, and keep it if so.

        Raises:
            Exhausted: the budget is used up.
        """
        if candidate == self.source:
            return True
        if candidate not in self.known:
            self.known[candidate] = self._shows(candidate)
        if self.known[candidate]:
            self.source = candidate
            self.tell(self)
        return self.known[candidate]

    def _shows(self, candidate: str) -> bool:
        if parsed_tree(candidate) is None or undefined(candidate) - undefined(self.source):
            self.refused += 1
            return False
        if self.tried >= self.budget:
            self.exhausted = True
            raise Exhausted
        self.tried += 1
        return self.shows(candidate)


def minimised(source: str, shows: Shows, budget: int, tell: Tell = lambda _: None) -> Minimised:
    """Return the smallest script found that shows the same as a script in both releases.

    Statements are left out first, block by block from the outermost to the innermost, then what only wraps others, then
    arguments and items of lists; all of it again while anything is left out.

    Args:
        source: the script.
        shows: runs a smaller one in both releases and compares what it shows.
        budget: scripts that are run at most.
        tell: is told of each smaller script.
    """
    best = Minimised(source, budget, shows, tell)
    try:
        best.attempt(without_comments(source))
        for _ in range(MOST_ROUNDS):
            before = best.source
            for depth in range(DEEPEST):
                _leave_out(best, lambda depth=depth: statements(best.source, depth))  # type: ignore[misc]
            _unwrap(best)
            _leave_out(best, lambda: arguments(best.source))
            if best.source == before:
                break
    except Exhausted:
        best.exhausted = True
    return best


def _leave_out(best: Minimised, groups: Callable[[], Sequence[Group]]) -> None:
    """Leave out what can be of each group; texts move, so that a group is read again each time."""
    for number in range(len(groups())):
        there = groups()
        if number >= len(there):
            break
        source, group = best.source, there[number]

        def holds(kept: Sequence[Part], source: str = source, group: Group = group) -> bool:
            return best.attempt(group.only(source, kept))

        minimal(group.parts, holds)
        if best.exhausted:
            raise Exhausted


def _unwrap(best: Minimised) -> None:
    tried: set[str] = set()
    while True:
        candidates = [without(best.source, [part]) for part in wrappers(best.source)]
        fresh = next((each for each in candidates if each not in tried), None)
        if fresh is None:
            return
        tried.add(fresh)
        best.attempt(fresh)
