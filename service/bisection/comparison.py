"""Whether a verdict differs from an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.bisection.verdict import Change, change_of
from service.bisection.words import place_of

Said = Mapping[str, Any]
"""A verdict as JSON, schema tfbisect/verdict/1: what is stored of an earlier one."""


def differences(earlier: Said, later: Said) -> tuple[str, ...]:
    """Describe how a later verdict differs from an earlier one; empty if it does not.

    New releases that behave like the ones before them are no difference, nor is a release that was inferred and is
    now measured; a change that came, went, moved or was narrowed down is one.
    """
    before, after = _changes(earlier), _changes(later)
    came = [f"new: {text}" for place, text in after.items() if place not in before]
    went = [f"no longer: {text}" for place, text in before.items() if place not in after]
    return (*came, *went, *_outlook(earlier, later))


def _changes(verdict: Said) -> dict[tuple[str, ...], str]:
    """Return each change by what it claims."""
    changes = map(change_of, verdict["changes"])
    return {(each.line, each.before, each.after, each.old, each.new): _told(each) for each in changes}


def _told(change: Change) -> str:
    where = f"on {change.line} {place_of(change, 'short')} (after {change.before})"
    return f"{change.kind} {where}: {change.old} became {change.new}"


def _outlook(earlier: Said, later: Said) -> tuple[str, ...]:
    """Describe a difference of verdicts without a difference of changes, such as another single behaviour."""
    old, new = _standing(earlier), _standing(later)
    unlike = old != new and not earlier["changes"] and not later["changes"]
    return (f"{old} before, {new} now",) if unlike else ()


def _standing(verdict: Said) -> str:
    """Return the one behaviour of a verdict without changes."""
    outcomes = [segment["outcome"] for segment in verdict["segments"]]
    return str(outcomes[0]) if outcomes else "nothing testable"
