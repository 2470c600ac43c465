"""Causes of changes beside a verdict, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.bisection.aspects import LIKE
from service.bisection.verdict import change_of
from service.bisection.words import change_in_short, counted
from service.errors import NotFound
from service.printable import in_code_block, in_code_span, in_markdown
from service.reports.links import history_command, source_url
from service.storage.records import Bisection, StoredExplanation, Viewer
from service.storage.store import Store


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


MOST_LIKE = 20
"""Changes with the same cause that are told at most."""


def changes_like(store: Store, bisection_id: str, viewer: Viewer) -> dict[int, list[tuple[str, int]]]:
    """Return, for each change whose cause is confirmed, other changes with the same cause that a viewer may see.

    Returns:
        By the change's place in the verdict, 0-based: bisections and places in their verdicts, newest first.
    """
    found = {}
    for number, explanation in store.explanations_of(bisection_id).items():
        if explanation.fingerprint is not None:
            others = store.like_explanations(explanation.fingerprint)[: MOST_LIKE + 1]
            seen = [each for each in others if each != (bisection_id, number) and _sees(store, each[0], viewer)]
            found[number] = seen[:MOST_LIKE]
    return found


def _sees(store: Store, bisection_id: str, viewer: Viewer) -> bool:
    try:
        return store.bisection(bisection_id).seen_by(viewer)
    except NotFound:
        return False  # deleted meanwhile


def with_likes(verdict: Mapping[str, Any], likes: Mapping[int, Sequence[tuple[str, int]]]) -> dict[str, Any]:
    """Return a verdict whose causes say where else they are the cause."""
    found = {
        number: {
            **verdict["changes"][number]["cause"],
            "also": [{"bisection": name, "change": place + 1} for name, place in several],
        }
        for number, several in likes.items()
        if number < len(verdict["changes"]) and verdict["changes"][number].get("cause")
    }
    return verdict_explained(verdict, found)


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
    signatures: tuple[tuple[str, str], ...] = ()
    """Of what raises: release and signature, the one that works first."""
    edit: str = ""
    """A unified diff of the script that makes it run on both sides."""


def cause_cards(verdict: Mapping[str, Any]) -> tuple[CauseCard, ...]:
    """Return a card for each change whose cause was looked for."""
    return tuple(
        _card(number, change)
        for number, change in enumerate(verdict.get("changes", ()), start=1)
        if "stages" in (change.get("cause") or {})
    )


def _card(number: int, change: Mapping[str, Any]) -> CauseCard:
    cause = change["cause"]
    title = change_in_short(change_of(change)).capitalize()
    if str(change["old"]).startswith(LIKE) or str(change["new"]).startswith(LIKE):
        # Such a label is a place, not a behaviour: the aspect says what differs.
        title += f": {change.get('aspect') or 'another behaviour'}"
    else:
        title += f": {change['old']} in {change['before']}, {change['new']} in {change['after']}"
    error = cause.get("error") or {}
    signatures = tuple((str(release), str(each)) for release, each in error.get("signatures", {}).items())
    edit = str((error.get("edit") or {}).get("diff", ""))
    return CauseCard(number, title, tuple(_facts(cause)), tuple(_culprits(change)), signatures, edit)


def _facts(cause: Mapping[str, Any]) -> Iterator[str]:
    yield _axis(cause)
    yield from (str(stage["said"]) for stage in cause["stages"])
    for stage, reason in cause.get("unfinished", {}).items():
        yield f"Not finished, {stage}: {reason}. `tfbisect why` goes on."
    if also := cause.get("also"):
        places = ", ".join(f"{each['bisection']} (change {each['change']})" for each in also)
        yield f"The same cause as in {counted(len(also), 'other change')}: {places}."


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
    lines += [f"- {in_markdown(release)}: {in_code_span(signature)}" for release, signature in card.signatures]
    edit = [in_code_block(card.edit, "diff")] if card.edit else []
    return "\n\n".join(["\n".join(lines), *edit, *map(_culprit_markdown, card.culprits)])


def _culprit_markdown(culprit: Culprit) -> str:
    shown = f"[{in_code_span(culprit.place)}]({culprit.url})" if culprit.url else in_code_span(culprit.place)
    licence = f" · {in_markdown(culprit.licence)}" if culprit.licence else ""
    parts = [f"{in_code_span(culprit.name)} in {shown}{licence}", in_code_block(culprit.diff, "diff")]
    return "\n\n".join([*parts, *([in_code_block(culprit.history, "sh")] if culprit.history else [])])
