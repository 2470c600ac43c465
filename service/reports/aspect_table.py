"""The picture of several aspects: a row each, a column for each release, a letter for each behaviour. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from service.bisection.releases import MAINLINE
from service.bisection.verdict import change_of
from service.bisection.words import change_in_short

MOST_COLUMNS = 14
"""More releases are not drawn: those beside a change, and the ends."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NOT_SHOWN = "·"
SHOWN_VALUES = 8
SHOWN_LINES = 16
IN_LINES = frozenset({"ends", "prints"})
"""Aspects whose difference reads as a diff; of the others the values side by side do."""


@dataclass(frozen=True)
class ShownDifference:
    """What differs at one change, ready to show."""

    title: str
    lines: tuple[str, ...]
    more: int
    """Lines that are left out."""


@dataclass(frozen=True)
class AspectRow:
    name: str
    letters: tuple[str, ...]
    """By column: equal letters, equal behaviour."""
    note: str
    differences: tuple[ShownDifference, ...]


@dataclass(frozen=True)
class AspectTable:
    releases: tuple[str, ...]
    rows: tuple[AspectRow, ...]


def aspect_table(verdict: Mapping[str, Any]) -> AspectTable | None:
    """Return the picture of a verdict's aspects, the leading one first; None where it has none."""
    aspects = verdict.get("aspects") or ()
    if not aspects:
        return None
    ordered = sorted(aspects, key=lambda aspect: aspect["name"] != verdict.get("leading"))
    outcomes = [_outcomes(aspect) for aspect in ordered]
    releases = _columns([release for shown in outcomes for release in shown], ordered)
    rows = (_row(aspect, shown, releases) for aspect, shown in zip(ordered, outcomes, strict=True))
    return AspectTable(releases, tuple(rows))


def _outcomes(aspect: Mapping[str, Any]) -> dict[str, str]:
    """Map each release of the mainline to what the aspect shows there."""
    return {
        release: str(segment["outcome"])
        for segment in aspect["segments"]
        if segment["line"] == MAINLINE
        for release in (*segment["measured"], *segment["inferred"])
    }


def _columns(releases: Sequence[str], aspects: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the releases that are drawn, oldest first."""
    known = sorted(set(releases), key=Version)
    if len(known) <= MOST_COLUMNS:
        return tuple(known)
    sides = {change[side] for aspect in aspects if not aspect["drifts"] for change in aspect["changes"]
             for side in ("before", "after")}  # fmt: skip
    return tuple(release for release in known if release in sides | {known[0], known[-1]})


def _row(aspect: Mapping[str, Any], shown: Mapping[str, str], releases: Sequence[str]) -> AspectRow:
    behaviours = list(dict.fromkeys(shown[release] for release in sorted(shown, key=Version)))
    letters = tuple(_letter(behaviours, shown.get(release)) for release in releases)
    return AspectRow(str(aspect["name"]), letters, _note(aspect), tuple(_differences(aspect)))


def _letter(behaviours: Sequence[str], outcome: str | None) -> str:
    if outcome is None:
        return NOT_SHOWN
    return LETTERS[behaviours.index(outcome) % len(LETTERS)]


def _note(aspect: Mapping[str, Any]) -> str:
    """Say what a row's letters do not."""
    if aspect["drifts"]:
        return "differs in most releases: not searched further"
    changes = [change for change in aspect["changes"] if change["line"] == MAINLINE]
    said = ", ".join(change_in_short(change_of(change)) for change in changes[:3])
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    wavers = " (partly unsteady, compared over several runs)" if aspect["unsteady"] else ""
    return f"{said or 'alike'}{more}{wavers}"


def _differences(aspect: Mapping[str, Any]) -> list[ShownDifference]:
    if aspect["drifts"]:
        return []
    return [_shown(str(aspect["name"]), found) for found in aspect.get("differences", ())]


def _shown(name: str, found: Mapping[str, Any]) -> ShownDifference:
    """Return a difference in lines: a diff, or values side by side."""
    if name in IN_LINES:
        lines = [line for line in str(found["diff"]).splitlines() if not line.startswith(("---", "+++"))]
        most = SHOWN_LINES
    else:
        lines = [f"{each['name']}: {each['before']} → {each['after']}" for each in found["values"]]
        most = SHOWN_VALUES
    title = f"{name}, {found['before']} → {found['after']}"
    return ShownDifference(title, tuple(lines[:most]), max(0, len(lines) - most))
