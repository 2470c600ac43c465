"""What the losses of the Keras author's check mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.bisection.outcomes import Answer, Outcome, Untestable
from service.bisection.untrusted import finite

ZERO = 1e-6


def check(source: str) -> None:
    """Accept any snippet: the check brings its own model."""


def judge(measurements: Mapping[str, Any]) -> Answer:
    """Say whether the loss is positive in training and zero in evaluation."""
    names = ("train_losses", "batch_losses", "evaluate_losses")
    trained, stepped, evaluated = (losses(measurements.get(name)) for name in names)
    if not (trained and stepped and evaluated):
        return Untestable("the losses are missing, or not finite")
    said = f"training loss {min(trained):.6g} to {max(trained):.6g}, evaluation loss {max(evaluated):.6g}"
    if max(evaluated) > ZERO:
        return Outcome("always-drops", said)
    return Outcome("drops" if min(*trained, *stepped) > ZERO else "never-drops", said)


def losses(found: object) -> list[float]:
    """Return a list of finite losses; empty when something else is in it."""
    read = [finite(loss) for loss in found] if isinstance(found, list) else []
    numbers = [loss for loss in read if loss is not None]
    return numbers if len(numbers) == len(read) else []
