"""What the accuracies of the reporter's experiment mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.bisection.outcomes import Answer, Outcome, Untestable
from service.bisection.untrusted import finite
from service.catalog.snippets import require_dropout, require_model, syntax_tree

LEARNED = 0.9
# Above always naming the commonest class; a model that learns anything is far above it.
ABOVE_CHANCE = 0.05


def check(source: str) -> None:
    """Refuse what can be seen to hold no model or no dropout layer."""
    tree = syntax_tree(source)
    require_model(tree)
    require_dropout(tree)


def judge(measurements: Mapping[str, Any]) -> Answer:
    """Say whether a rate of 0.999 keeps the model from learning."""
    own, chance = last(measurements.get("own_rate")), finite(measurements.get("chance"))
    runs = measurements.get("near_one")
    strong = [accuracy for run in runs if (accuracy := last(run)) is not None] if isinstance(runs, list) else []
    if own is None or not strong or chance is None:
        return Untestable("the accuracies are missing")
    said = f"last training accuracy {own:.1%} with the own rate, {strong[-1]:.1%} with 0.999 (chance {chance:.1%})"
    if own < LEARNED:
        return Untestable(f"the model does not learn with its own rate either: {said}")
    if strong[-1] <= chance + ABOVE_CHANCE:
        return Outcome("drops", said)
    if min(strong) > LEARNED:
        return Outcome("never-drops", said)
    return Outcome("drops-less", said)


def last(accuracies: object) -> float | None:
    """Return the accuracy of the last epoch."""
    return finite(accuracies[-1]) if isinstance(accuracies, list) and accuracies else None
