"""Causes of changes beside a verdict, and what is told of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from service.bisection.verdict import change_of
from service.bisection.words import change_in_short
from service.printable import in_code_block, in_code_span, in_markdown
from service.reports.links import history_command, source_url
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
    """The command that shows its commits, in a clone; "" where there is none."""
    note: str
    licence: str = ""


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
    return CauseCard(number, title, tuple(_facts(cause)), tuple(_culprits(change)))


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


def _culprits(change: Mapping[str, Any]) -> Iterator[Culprit]:
    for each in change["cause"]["definitions"]:
        package, release, file = str(each["package"]), str(each["release"]), str(each["file"])
        first, last = int(each["line"]), int(each["end"])
        yield Culprit(
            name=str(each["name"]),
            place=f"{file}:{first}",
            diff=str(each["diff"]),
            url=source_url(package, release, file, first, last),
            # What is gone has no lines in the newer release.
            history=history_command(package, str(change["before"]), release, file, (first, last))
            if each["kind"] != "added"
            else "",
            note=str(each["note"]),
            licence=str(each["licence"]),
        )


def cause_markdown(verdict: Mapping[str, Any]) -> str:
    """Return the causes as a report has them."""
    return "\n\n".join(_card_markdown(card) for card in cause_cards(verdict))


def _card_markdown(card: CauseCard) -> str:
    lines = [f"**Cause {card.number}**, {in_markdown(card.title)}", ""]
    lines += [f"- {in_markdown(fact)}" for fact in card.facts]
    return "\n\n".join(["\n".join(lines), *map(_culprit_markdown, card.culprits)])


def _culprit_markdown(culprit: Culprit) -> str:
    shown = f"[{in_code_span(culprit.place)}]({culprit.url})" if culprit.url else in_code_span(culprit.place)
    licence = f" · {in_markdown(culprit.licence)}" if culprit.licence else ""
    parts = [f"{in_code_span(culprit.name)} in {shown}{licence}", in_code_block(culprit.diff, "diff")]
    return "\n\n".join([*parts, *([in_code_block(culprit.history, "sh")] if culprit.history else [])])
