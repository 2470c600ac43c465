"""Short ways to write a history down, and to read a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.bisection.planner import Policy
from service.bisection.verdict import Verdict, changes_of
from service.coordination.replay import ReplayResult, replay

LABELS = {"w": "works", "b": "broken", "c": "crashes", "d": "drifts"}
WORKS = frozenset({"works"})


def rows(letters: str) -> list[dict[str, Any]]:
    """Return a mainline from letters, oldest first: w b c d are outcomes, u is untestable, l is always lost.

    "~" answers works and broken in equal parts; "1" to "9" are lost once to nine times and then work.
    """
    return [{"release": f"1.{index}.0", **_cell(letter)} for index, letter in enumerate(letters)]


def _cell(letter: str) -> dict[str, Any]:
    match letter:
        case "u":
            return {"untestable": "no wheel"}
        case "l":
            return {"outcome": "works", "lost": 99}
        case "~":
            return {"outcomes": {"works": 0.5, "broken": 0.5}}
        case _ if letter.isdigit():
            return {"outcome": "works", "lost": int(letter)}
    return {"outcome": LABELS[letter]}


def branch(minor: int, letters: str) -> list[dict[str, Any]]:
    """Return patch releases of a minor, .1 the oldest."""
    return [{"release": f"1.{minor}.{patch}", **_cell(letter)} for patch, letter in enumerate(letters, start=1)]


def policy(**changed: Any) -> Policy:
    """Return a policy in which "works" is expected."""
    return Policy(**{"expected": WORKS, "resolution": 1, **changed})


def bisected(table: Sequence[dict[str, Any]] | str, seed: int = 0, **changed: Any) -> ReplayResult:
    """Replay a world under a policy."""
    return replay(rows(table) if isinstance(table, str) else list(table), policy(**changed), seed)


def spoken(verdict: Verdict) -> list[str]:
    """Return the changes as short texts: kind, line, after, and the gap in brackets."""
    texts = []
    for change in changes_of(verdict):
        gap = f" after {change.before}" if change.between else ""
        line = "" if change.line == "mainline" else f" on {change.line}"
        texts.append(f"{change.kind} {change.after}{line}{gap}")
    return texts
