"""What one run shows of one aspect, such as what it prints: named fields, and how exactly they are compared.

A probe with several aspects has a function `aspects` besides `judge` in its judge.py. It is pure and total, and is
called each time a stored run is read, so a better rule also applies to old runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.bisection.outcomes import RunReport, Value
from service.bisection.untrusted import brief

TOLERANCE = 1e-4
"""Relative: single-precision sums over a small model differ by less between processors."""


@dataclass(frozen=True)
class Facts:
    """The fields of one aspect in one run, in display order."""

    values: tuple[tuple[str, Value], ...]
    """Readable names, such as "epoch 3 loss", with values. Text is compared exactly, numbers as numbers."""
    tolerance: float = TOLERANCE
    """Relative; numbers within it count as equal."""
    in_lines: bool = False
    """The fields are the lines of a text; they are aligned between runs before they are compared."""
    label: str = ""
    """The behaviour's own name, such as a test's result: releases are compared by it, and it may be expected or not.
    "": they are compared by the fields."""


Aspects = Mapping[str, Facts]
"""By the aspect's name; a missing aspect does not apply to this run."""
AspectsOf = Callable[[Mapping[str, Any]], Aspects]
"""A probe's function from measurements to facts."""


def facts_of(report: RunReport, read: AspectsOf) -> Aspects:
    """Return what a run shows of each aspect; one that ended without a result shows how it ended.

    Args:
        report: what happened.
        read: the probe's function; if it fails on a result, the run shows no facts of it.
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
    """Read measurements. They are untrusted: what a snippet puts there must not end a bisection."""
    try:
        return read(measurements if isinstance(measurements, Mapping) else {})
    except Exception:
        return {}
