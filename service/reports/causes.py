"""Causes of changes beside a verdict, and what is told of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.bisection.verdict import change_of
from service.bisection.words import change_in_short, counted
from service.storage.records import Bisection, StoredExplanation


def with_causes_found(bisection: Bisection, explanations: Mapping[int, StoredExplanation]) -> Bisection:
    """Return a bisection whose verdict says what is known of the causes of its changes."""
    if bisection.verdict is None or not explanations:
        return bisection
    found = {number: explanation.found for number, explanation in explanations.items()}
    return replace(bisection, verdict=verdict_explained(bisection.verdict, found))


def verdict_explained(verdict: Mapping[str, Any], found: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a verdict with causes, by the place of their change in it, 0-based."""
    changes = [
        {**change, "cause": dict(found[number])} if number in found else change
        for number, change in enumerate(verdict.get("changes", ()))
    ]
    return {**verdict, "changes": changes}


@dataclass(frozen=True)
class Culprit:
    """One definition as it is told."""

    name: str
    place: str
    """File and line."""
    diff: str
    url: str
    history: str
    """The command that shows its commits."""
    note: str


@dataclass(frozen=True)
class CauseCard:
    """What is told of one change's cause."""

    number: int
    """From 1 on, as a reader counts."""
    title: str
    facts: tuple[str, ...]
    culprits: tuple[Culprit, ...] = ()


def cause_cards(verdict: Mapping[str, Any]) -> tuple[CauseCard, ...]:
    """Return a card for each change whose cause was looked for."""
    return tuple(
        _card(number, change)
        for number, change in enumerate(verdict.get("changes", ()), start=1)
        if "stages" in (change.get("cause") or {})
    )


def _card(number: int, change: Mapping[str, Any]) -> CauseCard:
    cause = change["cause"]
    title = f"{change_in_short(change_of(change)).capitalize()}: {change['old']} in {change['before']}, "
    title += f"{change['new']} in {change['after']}"
    return CauseCard(number, title, tuple(_facts(cause)), tuple(_culprits(cause["definitions"])))


def _facts(cause: Mapping[str, Any]) -> Iterator[str]:
    yield _axis(cause)
    yield from (str(stage["said"]) for stage in cause["stages"])


def _axis(cause: Mapping[str, Any]) -> str:
    package = cause.get("package")
    step = f"{package['name']} {package['before']} to {package['after']}" if package else ""
    match cause["axis"]:
        case "release":
            return f"It comes from the release itself: {step}." if step else "It comes from the release itself."
        case "unknown":
            return f"Release or environment: not known, {cause.get('reason') or 'nothing has shown it'}."
        case _:
            named = step or ", ".join(str(each["name"]) for each in cause.get("named", ()))
            return f"It comes from what came along: {named}."


def _culprits(definitions: Sequence[Mapping[str, Any]]) -> Iterator[Culprit]:
    for each in definitions:
        yield Culprit(
            str(each["name"]),
            f"{each['file']}:{each['line']}",
            str(each.get("diff", "")),
            str(each.get("url", "")),
            str(each.get("history", "")),
            str(each.get("note", "")),
        )


def runs_spent(cause: Mapping[str, Any]) -> str:
    """Say how many runs a cause took."""
    return counted(int(cause.get("runs", 0)), "run")
