"""What one run shows of one aspect, such as what it prints: fields with a name each, and how exactly they are compared.

A probe that looks at several aspects has, beside `judge`, a function `aspects` in its judge.py: pure, total, and asked
again each time a stored run is read, so that a better rule can read old runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.bisection.outcomes import RunReport, Value
from service.bisection.untrusted import brief

TOLERANCE = 1e-4
"""Relative: single precision, summed over a small model, differs by less between processors."""


@dataclass(frozen=True)
class Facts:
    """The fields of one aspect in one run, in the order in which they are shown."""

    values: tuple[tuple[str, Value], ...]
    """Named in words that a person can read: "epoch 3 loss". Text is compared exactly, numbers as numbers."""
    tolerance: float = TOLERANCE
    """Relative; numbers within it are alike."""


Aspects = Mapping[str, Facts]
"""By the aspect's name; one that is not here does not apply to this run."""
AspectsOf = Callable[[Mapping[str, Any]], Aspects]
"""A probe's own reading of what a run measured."""


def facts_of(report: RunReport, read: AspectsOf) -> Aspects:
    """Return what a run shows of each aspect; one that ended without a result shows how it ended.

    Args:
        report: what happened.
        read: the probe's reading; where it breaks on a result, that shows nothing.
    """
    result = report.result or {}
    match report.ending, result.get("kind"):
        case "answered", "measured":
            return _read(result.get("measurements"), read)
        case "answered", "raised":
            said = (("exception", brief(result.get("exception"))), ("message", brief(result.get("message"), 4000)))
            return {"ends": Facts(said)}
        case "signalled", _:
            return {"ends": Facts((("signal", report.signal),))}
        case "exited", _:
            return {"ends": Facts((("exit code", report.exit_code),))}
        case _:
            return {}


def _read(measurements: object, read: AspectsOf) -> Aspects:
    """Read measurements, which are untrusted; what a snippet puts there must not end a bisection."""
    try:
        return read(measurements if isinstance(measurements, Mapping) else {})
    except Exception:
        return {}
