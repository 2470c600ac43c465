"""What one run shows of one aspect, such as what it prints: fields with a name each, and how exactly they are compared.

A probe that looks at several aspects has, beside `judge`, a function `aspects` in its judge.py: pure, total, and asked
again each time a stored run is read, so that a better rule can read old runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.bisection.outcomes import Value

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
