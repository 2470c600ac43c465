"""What the losses of the Keras author's check mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.bisection.outcomes import Answer, Outcome, Untestable

ZERO = 1e-6


def check(source: str) -> None:
    """Accept any snippet: the check brings its own model."""


def judge(measurements: Mapping[str, Any]) -> Answer:
    """Say whether the loss is positive in training and zero in evaluation."""
    names = ("train_losses", "batch_losses", "evaluate_losses")
    lists = [measurements.get(name) for name in names]
    if not all(
        isinstance(seen, list) and seen and all(isinstance(loss, int | float) for loss in seen) for seen in lists
    ):
        return Untestable("the losses are missing, or not finite")
    trained, stepped, evaluated = lists
    said = f"training loss {min(trained):.6g} to {max(trained):.6g}, evaluation loss {max(evaluated):.6g}"
    if max(evaluated) > ZERO:
        return Outcome("always-drops", said)
    return Outcome("drops" if min(*trained, *stepped) > ZERO else "never-drops", said)
