"""Answers of several releases compared with each other: what a single one cannot tell.

Numbers that are close are one behaviour wherever a grid would cut between them, and an error that looks like the
snippet's own mistake is a behaviour as soon as another release answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from service.bisection.outcomes import Answer, Outcome, Refused, Reported, Value

ZERO = 1e-8
"""Smaller numbers are rounding errors of single precision and count as equal."""

Observations = Mapping[str, Sequence[Answer]]


def read_together(observations: Observations) -> Observations:
    """Return the answers of all releases after comparing them; their order does not matter."""
    outcomes = [answer for answers in observations.values() for answer in answers if isinstance(answer, Outcome)]
    labels = shared_labels([outcome for outcome in outcomes if outcome.reported is not None])
    if not labels and not (outcomes and _refusals(observations)):
        return observations
    return {
        release: [_beside_others(answer, labels, answered=bool(outcomes)) for answer in answers]
        for release, answers in observations.items()
    }


def _refusals(observations: Observations) -> bool:
    """Return whether an answer is an error that may be a behaviour of the release."""
    return any(isinstance(one, Refused) and one.raised for answers in observations.values() for one in answers)


def _beside_others(answer: Answer, labels: Mapping[Reported, str], *, answered: bool) -> Answer:
    """Return one answer, given all others."""
    match answer:
        case Outcome(reported=Reported() as reported):
            return replace(answer, label=labels[reported])
        case Refused(raised=str(name)) if name and answered:
            # Not the snippet's mistake: the same code runs without this error in another release.
            return Outcome(f"raises:{name}", answer.message)
        case _:
            return answer


def shared_labels(outcomes: Sequence[Outcome]) -> dict[Reported, str]:
    """Return one label for all values linked by likeness: the most common, then the first alphabetically."""
    named: dict[Reported, Counter[str]] = {}
    for outcome in outcomes:
        if outcome.reported is not None:
            named.setdefault(outcome.reported, Counter())[outcome.label] += 1
    labels = {}
    for group in groups(list(named)):
        counted = sum((named[reported] for reported in group), Counter[str]())
        best = min(counted, key=lambda label: (-counted[label], label))
        labels.update(dict.fromkeys(group, best))
    return labels


def groups(values: Sequence[Reported]) -> list[list[Reported]]:
    """Group values by likeness, transitively."""
    group_of = {value: [value] for value in values}
    for one, other in pairs(values):
        mine, others = group_of[one], group_of[other]
        if mine is not others and alike(one, other):
            mine += others
            group_of.update(dict.fromkeys(others, mine))
    return list({id(group): group for group in group_of.values()}.values())


def pairs(values: Sequence[Reported]) -> Iterator[tuple[Reported, Reported]]:
    """Yield the pairs that can be alike, without comparing all pairs of many different runs."""
    forms: dict[object, list[Reported]] = {}
    for value in values:
        form = tuple((name, None if is_number(each) else each) for name, each in value.values)
        forms.setdefault(form, []).append(value)
    for alike_in_form in forms.values():
        ordered = sorted(alike_in_form, key=first_number)
        for at, one in enumerate(ordered):
            for other in ordered[at + 1 :]:
                tolerance = max(one.tolerance, other.tolerance)
                # The numbers only grow from here on, so no later one is close either.
                if tolerance < 1 and not close(first_number(one), first_number(other), tolerance):
                    break
                yield one, other


def is_number(value: Value) -> bool:
    """Return whether a value is compared within the tolerance."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def first_number(reported: Reported) -> float:
    """Return the first number of values; 0 if there is none."""
    return next((float(each) for _, each in reported.values if is_number(each) and each is not None), 0.0)


def alike(one: Reported, other: Reported) -> bool:
    tolerance = max(one.tolerance, other.tolerance)
    return len(one.values) == len(other.values) and all(
        name == named and close(value, valued, tolerance)
        for (name, value), (named, valued) in zip(one.values, other.values, strict=True)
    )


def close(one: Value, other: Value, tolerance: float) -> bool:
    """Return whether two values are alike: numbers within a relative tolerance, anything else exactly."""
    exact = (bool, str, type(None))
    if isinstance(one, exact) or isinstance(other, exact) or (isinstance(one, int) and isinstance(other, int)):
        return type(one) is type(other) and one == other
    return one == other or math.isclose(one, other, rel_tol=tolerance, abs_tol=ZERO)
