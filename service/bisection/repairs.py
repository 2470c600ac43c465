"""Searches for the smallest edit that makes a script run in both releases: which edit to try next, or the finding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

MOST_TRIES = 16
DEEPEST = 4
"""Edits on top of each other: a session needs a graph, and that another import."""


@dataclass(frozen=True)
class Tried:
    """What a script does in both releases."""

    old: str
    """What it raises in the release where the original runs; "" where it runs."""
    new: str
    """What it raises in the other release; "" where it runs."""

    @property
    def runs(self) -> bool:
        return not self.old and not self.new


@dataclass(frozen=True)
class Candidate:
    """An edited script, and the edits that led there."""

    source: str
    titles: tuple[str, ...]


@dataclass(frozen=True)
class Repair:
    """What the search found."""

    titles: tuple[str, ...]
    """Of the edits; empty if none was found."""
    source: str
    tries: int
    partial: tuple[str, ...] = ()
    """An edit that makes it run in the release that raised, but not in the other one any more."""
    ruled_out: tuple[str, ...] = field(default=())

    @property
    def found(self) -> bool:
        return bool(self.titles)


Next = Callable[[str, str], Sequence[tuple[str, str]]]
"""Script and what it raises -> edits of it: title and script."""
Try = Callable[[str], Tried]


def repaired(source: str, raises: str, following: Next, attempt: Try, most_tries: int = MOST_TRIES) -> Repair:
    """Return the first edit under which a script runs in both releases, edits on top of each other included.

    Args:
        source: the script as it is.
        raises: what it raises.
        following: proposes edits of a script that raises something.
        attempt: runs a script in both releases.
        most_tries: scripts that are tried at most.
    """
    seen, tries = {source}, 0
    partial: tuple[str, ...] = ()
    ruled_out: list[str] = []
    level = [(Candidate(source, ()), raises)]
    for _ in range(DEEPEST):
        deeper: list[tuple[Candidate, str]] = []
        for one, said in level:
            for title, edited in following(one.source, said):
                if edited in seen or tries >= most_tries:
                    continue
                seen.add(edited)
                tries += 1
                shown = attempt(edited)
                titles = (*one.titles, title)
                if shown.runs:
                    return Repair(titles, edited, tries)
                if not shown.new:
                    partial = partial or titles
                elif shown.new != said and not shown.old:
                    # It comes further than before: what it raises now may have an edit of its own.
                    deeper.append((Candidate(edited, titles), shown.new))
                    continue
                ruled_out.append(", ".join(titles))
        if not deeper or tries >= most_tries:
            break
        level = deeper
    return Repair((), source, tries, partial, tuple(ruled_out))
