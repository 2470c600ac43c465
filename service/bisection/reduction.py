"""Finds a small part of something that still shows what the whole shows: delta debugging, level by level.

After Zeller and Hildebrandt (2002) for one level, and Misherghi and Su (2006) for a tree of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")

Holds = Callable[[Sequence[T]], bool]
"""Says whether a part, in the order of the whole, still shows it."""


class Exhausted(Exception):
    """The budget is used up."""


def minimal(items: Sequence[T], holds: Holds[T]) -> list[T]:
    """Return a part of items that shows what all of them show, and from which no single one can be left out.

    Where the budget runs out, the smallest part so far.

    Args:
        items: all of them show it; that is not asked again.
        holds: says whether a part does; raises Exhausted once nothing more may be asked.
    """
    kept, parts = list(items), 2
    try:
        if items and holds([]):
            return []
        while len(kept) > 1:
            smaller = _smaller(kept, min(parts, len(kept)), holds)
            if smaller is not None:
                kept, parts = smaller, max(parts - 1, 2)
            elif parts >= len(kept):
                break
            else:
                parts = min(parts * 2, len(kept))
    except Exhausted:
        pass
    return kept


def _smaller(kept: Sequence[T], parts: int, holds: Holds[T]) -> list[T] | None:
    """Return what is left without one of some equal parts and still holds; the later parts are left out first.

    What comes late in a script is needed by less of the rest.
    """
    bounds = [len(kept) * number // parts for number in range(parts + 1)]
    for first, last in reversed(list(pairwise(bounds))):
        rest = [*kept[:first], *kept[last:]]
        if holds(rest):
            return rest
    return None
