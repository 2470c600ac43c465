"""Tells the environment from the release at a change: which bridge to run next, or what the cause is. Pure.

A bridge is a release in the environment of the other side of a change, or in one between the two. If the older release
behaves like the newer one as soon as it has the newer one's NumPy, NumPy is the cause and not the release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from service.bisection.verdict import Axis

Side = Literal["before", "after"]
Shown = Literal["before", "after", "neither", "cannot"]
"""Whose behaviour a bridge shows; `cannot`: it cannot be installed, or does not answer."""
PYTHON = "python"
"""Stands for the interpreter among what differs."""
OTHER_SIDE: Mapping[Side, Side] = {"before": "after", "after": "before"}


@dataclass(frozen=True)
class Bridge:
    """A run that shows what a change depends on."""

    release: Side
    """Which of the two releases runs."""
    moved: frozenset[str]
    """What is taken from the other side's environment; the rest is as the release has it."""


@dataclass(frozen=True)
class Cause:
    """What bridges have shown of a change."""

    axis: Axis
    names: tuple[str, ...] = ()
    """What of the environment it is, or, where that is unknown, what it may be as well as the release."""
    reason: str = ""
    """Why it is unknown, or why several names could not be told apart."""


TOGETHER = "only together"
TIED = "no environment has one without the other"
NEITHER = "in the other's environment each release behaves in a third way"


def next_bridge(parts: Sequence[str], seen: Mapping[Bridge, Shown]) -> Bridge | Cause:
    """Return the next bridge to run, or the cause.

    The first bridge is the older release in the whole environment of the newer one, then the reverse. If one of them
    shows the other side's behaviour, halving finds which part of the environment it is.

    Args:
        parts: the names of all that differs between the environments of the two sides, at least one.
        seen: what bridges have shown so far.
    """
    for release in OTHER_SIDE:
        whole = Bridge(release, frozenset(parts))
        if whole not in seen:
            return whole
        if seen[whole] == release:
            return Cause("release")
        if seen[whole] == OTHER_SIDE[release]:
            return _narrowed(release, parts, seen)
    return _as_far_as_possible(parts, seen)


def _narrowed(release: Side, suspects: Sequence[str], seen: Mapping[Bridge, Shown]) -> Bridge | Cause:
    """Halve the parts that make a release behave like the other one; with all of them moved, it does."""
    while len(suspects) > 1:
        middle = len(suspects) // 2
        for half in (suspects[:middle], suspects[middle:]):
            bridge = Bridge(release, frozenset(half))
            if bridge not in seen:
                return bridge
            if seen[bridge] == OTHER_SIDE[release]:
                suspects = half
                break
        else:
            return Cause("environment", tuple(suspects), TOGETHER)
    return Cause("interpreter" if suspects[0] == PYTHON else "environment", tuple(suspects))


def _as_far_as_possible(parts: Sequence[str], seen: Mapping[Bridge, Shown]) -> Bridge | Cause:
    """Return what the largest bridge that could be installed shows, where none has all parts of the other side."""
    for bridge in _largest_first(seen):
        moved = [part for part in parts if part in bridge.moved]
        if seen[bridge] == OTHER_SIDE[bridge.release]:
            return _narrowed(bridge.release, moved, seen)
        if seen[bridge] == bridge.release:
            return Cause("unknown", tuple(part for part in parts if part not in bridge.moved), TIED)
    neither = any(shown == "neither" for shown in seen.values())
    return Cause("unknown", tuple(parts), NEITHER if neither else TIED)


def _largest_first(seen: Mapping[Bridge, Shown]) -> Iterator[Bridge]:
    yield from sorted(seen, key=lambda bridge: (-len(bridge.moved), bridge.release, sorted(bridge.moved)))
