"""A verdict in one sentence for people: "Dropout stops working in 1.11.0 and works again in 1.13.1". Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from service.bisection.outcomes import is_failure
from service.bisection.releases import MAINLINE
from service.bisection.verdict import Change, change_of
from service.bisection.words import counted, named, place_of

SUBJECTS: Mapping[str, str] = {
    "dropout": "Dropout",
    "keras-author-check": "Dropout",
    "training-accuracy": "Dropout",
    "learning-phase": "The training phase of a layer",
    "ends": "The script",
    "script": "The script",
}
"""What works or does not, by the probe or the aspect that a verdict leads with."""
TOLD_CHANGES = 4


def sentence_of(verdict: Mapping[str, Any], probe: str) -> str:
    """Return the changes of the mainline as a sentence; "" where none of them is right or wrong.

    Args:
        verdict: as in the contract.
        probe: its name, where the verdict names no aspect.
    """
    about = str(verdict.get("leading") or probe)
    found = [change_of(each) for each in verdict.get("changes", ()) if each["line"] == MAINLINE]
    changes = [told_by_its_end(change) if about == "ends" else change for change in found]
    subject = SUBJECTS.get(about, "")
    if not subject or not changes or any(change.kind == "changed" for change in changes):
        return ""
    told = [f"{_verb(changes, index)} {place_of(change, 'short')}" for index, change in enumerate(changes)]
    more = len(told) - TOLD_CHANGES
    shown = [*told[:TOLD_CHANGES], counted(more, "more change")] if more > 0 else told
    return f"{subject} {named(shown)}"


def told_by_its_end(change: Change) -> Change:
    """Return a change of how a script ends as right or wrong: that it fails on one side only says which."""
    failed, fails = is_failure(change.old), is_failure(change.new)
    if failed == fails:
        return change
    return replace(change, kind="introduced" if fails else "fixed")


def _verb(changes: Sequence[Change], index: int) -> str:
    """Return what happens at one change, given those before it."""
    again = " again" if index else ""
    return f"stops working{' again' if index > 1 else ''}" if changes[index].kind == "introduced" else f"works{again}"
