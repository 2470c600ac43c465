"""What variants of a snippet, run over the same releases, say about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.bisection.verdict import NothingTestable, Unchanged, Verdict

Effect = Literal["cures", "same", "differs", "unknown"]


@dataclass(frozen=True)
class Comparison:
    name: str
    effect: Effect
    """cures: the snippet misbehaves somewhere and the variant nowhere; unknown: one of the two has no outcome."""
    wrong: tuple[str, ...]
    """Releases in which the variant was measured to misbehave."""


def outcomes_of(verdict: Verdict) -> Mapping[str, str]:
    """Return the outcome of each measured release."""
    return {release: segment.outcome for segment in verdict.segments for release in segment.measured}


def compare_variant(name: str, subject: Verdict, variant: Verdict) -> Comparison:
    """Say how a variant behaves beside the snippet, by the releases that both were measured in."""
    mine, others = outcomes_of(subject), outcomes_of(variant)
    shared = mine.keys() & others.keys()
    wrong = tuple(release for release, outcome in others.items() if outcome not in subject.expected)
    return Comparison(name, _effect(subject, mine, others, shared, wrong), wrong)


def _effect(
    subject: Verdict,
    mine: Mapping[str, str],
    others: Mapping[str, str],
    shared: frozenset[str] | set[str],
    wrong: tuple[str, ...],
) -> Effect:
    misbehaves = {release for release, outcome in mine.items() if outcome not in subject.expected}
    if not shared or (misbehaves and not misbehaves & shared):
        return "unknown"
    if subject.expected and misbehaves and not wrong:
        return "cures"
    return "same" if all(mine[release] == others[release] for release in shared) else "differs"


def in_words(comparison: Comparison, variant: Verdict, advice: str) -> str:
    """Say in a sentence what a variant shows.

    Args:
        comparison: how it behaves beside the snippet.
        variant: its own verdict.
        advice: what to do, for a variant that cures; empty where only its author knows.
    """
    name = f"With the variant {comparison.name}"
    match comparison.effect:
        case "cures":
            stays = "there is no change" if isinstance(variant, Unchanged) else "no release has a wrong outcome"
            return f"{name} {stays}. Workaround: {advice or 'use the variant'}."
        case "same":
            return f"{name} every release behaves as without it: the outcome does not depend on it."
        case "differs":
            return f"{name} some releases behave differently: {variant.summary}"
        case "unknown" if isinstance(variant, NothingTestable):
            return f"{name} nothing can be said. {variant.summary}"
        case "unknown":
            return f"{name} nothing can be said: it has no outcome where that of the snippet is wrong."
