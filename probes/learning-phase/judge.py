"""What a custom layer was told about the phase."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from service.bisection.outcomes import Answer, Outcome, Untestable
from service.bisection.untrusted import brief, finite
from service.bisection.words import counted
from service.catalog.snippets import names, syntax_tree
from service.errors import SnippetError

TRUTH = {"fit": 1, "evaluate": 0, "predict": 0}
# An argument that was left open.
NOT_TOLD = 0.5
KINDS_NAMED = 20
READS_PHASE = frozenset({"learning_phase", "in_train_phase", "in_test_phase", "set_learning_phase"})


def check(source: str) -> None:
    """Accept any snippet: the probe brings its own layer."""


def concerns(source: str) -> bool:
    """Say whether a snippet reads the phase: in a function of Keras, or in a layer whose `call` takes `training`."""
    try:
        tree = syntax_tree(source)
    except SnippetError:
        return False
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "call")
    told = any(arg.arg == "training" for call in calls for arg in (*call.args.args, *call.args.kwonlyargs))
    return told or not READS_PHASE.isdisjoint(names(tree))


def judge(measurements: Mapping[str, Any]) -> Answer:
    """Say whether every way of asking gave the right phase in every call that could be made."""
    kinds = measurements.get("kinds")
    if not isinstance(kinds, Mapping) or not (told := list(answers(kinds))):
        return Untestable("the probe saw no phase")
    wrong = [(kind, call, ask, seen) for kind, call, ask, seen in told if seen not in (TRUTH[call], NOT_TOLD)]
    said = "; ".join(f"{kind}: {call} told {ask} {seen:g}" for kind, call, ask, seen in wrong[:6])
    if any(call != "fit" for _, call, _, _ in wrong):
        return Outcome("training-in-evaluation", said)
    if wrong:
        only_asked = all(ask == "learning_phase" for _, _, ask, _ in wrong)
        return Outcome("learning-phase-unset" if only_asked else "inference-in-training", said)
    kinds_seen = sorted({kind for kind, *_ in told})[:KINDS_NAMED]
    return Outcome("right-phase", f"{counted(len(told), 'answer')}, in {', '.join(kinds_seen)} models")


def answers(kinds: Mapping[str, Any]) -> Iterator[tuple[str, str, str, float]]:
    """Yield (kind of model, call, way of asking, answer), as far as they have the right form."""
    for kind, calls in kinds.items():
        for call, asked in calls.items() if isinstance(calls, Mapping) else ():
            for ask, seen in asked.items() if isinstance(asked, Mapping) and call in TRUTH else ():
                if (told := finite(seen)) is not None:
                    yield brief(kind), call, brief(ask), told
