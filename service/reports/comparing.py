"""Two bisections side by side: releases, changes, snippets, questions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import unified_diff
from typing import Any

from packaging.version import Version

SAME = ("kind", "line", "before", "after", "old", "new")


def outcomes_by_release(verdict: Mapping[str, Any]) -> dict[str, str]:
    """Map each release of a verdict to its outcome, inferred ones included."""
    found: dict[str, str] = {}
    for segment in verdict.get("segments", ()):
        for release in (*segment.get("measured", ()), *segment.get("inferred", ())):
            found.setdefault(release, str(segment["outcome"]))
    return found


def compare_verdicts(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Compare two verdicts, release by release and change by change."""
    sides = outcomes_by_release(left), outcomes_by_release(right)
    releases = [_side(release, *sides) for release in sorted({*sides[0], *sides[1]}, key=Version)]
    ours, theirs = _changes(left), _changes(right)
    changes = {
        "both": [change for key, change in ours.items() if key in theirs],
        "left": [change for key, change in ours.items() if key not in theirs],
        "right": [change for key, change in theirs.items() if key not in ours],
    }
    same = not any(side["differs"] for side in releases) and not changes["left"] and not changes["right"]
    return {"same": same, "releases": releases, "changes": changes}


def _side(release: str, left: Mapping[str, str], right: Mapping[str, str]) -> dict[str, Any]:
    """Compare one release; one that only one side has does not differ."""
    ours, theirs = left.get(release), right.get(release)
    return {"release": release, "left": ours, "right": theirs, "differs": None not in (ours, theirs) and ours != theirs}


def _changes(verdict: Mapping[str, Any]) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """Return the changes of a verdict by what makes two of them the same."""
    return {tuple(str(change[name]) for name in SAME): change for change in verdict.get("changes", ())}


def snippet_difference(left: str, right: str) -> list[str]:
    """Return two sources as the lines of a unified diff, without its head; none where they are equal."""
    lines = unified_diff(left.splitlines(), right.splitlines(), lineterm="", n=3)
    return [line for place, line in enumerate(lines) if place > 1]


def asked_differently(left: Sequence[tuple[str, str]], right: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Return the lines of two questions that differ: label, left, right."""
    ours, theirs = dict(left), dict(right)
    labels = dict.fromkeys((*ours, *theirs))
    return [
        (label, ours.get(label, ""), theirs.get(label, ""))
        for label in labels
        if ours.get(label, "") != theirs.get(label, "")
    ]
