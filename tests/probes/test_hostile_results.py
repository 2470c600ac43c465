"""Whatever a run hands over as its result, every judge answers: no exception, no endless label."""

from __future__ import annotations

import ast
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import service
from service.bisection.likeness import read_together
from service.bisection.outcomes import RULE_FAILED, Answer, Lost, Outcome, RunReport, Untestable, classify
from service.bisection.untrusted import brief, finite
from service.coordination.answers import answer_json
from tests.fuzzing import unhurried, within_budget
from tests.probes.protocol import PROBES

SERVICE = Path(service.__file__).parent
HUGE = 10**400  # no float holds it
UNSHOWN = 10**5000  # Python refuses to write it out
LABEL_CHARACTERS = 400

HOSTILE_VALUES: list[Any] = [HUGE, UNSHOWN, -1, 0, True, None, [], {}, [[]], "x" * 100_000, float("nan"), 1.7e308]
HOSTILE_VALUES += [[UNSHOWN], {"digest": UNSHOWN}]

# One honest result each, with all that the judge reads.
HONEST: dict[str, dict[str, Any]] = {
    "dropout": {
        "train_losses": [2.4, 2.5, 2.45],
        "batch_losses": [2.41, 2.52],
        "evaluate_losses": [2.3, 2.3],
        "zero_rate_losses": [2.2, 2.2],
        "zero_rate_evaluate_losses": [2.2, 2.2],
        "near_one_losses": [5.0, 4.0],
        "control_failed": "",
        "shares": [
            {
                "layer": "drop",
                "declared": 0.3,
                "attribute": attribute,
                "measures": measures,
                "trials": 16384,
                "losses": [0.3],
                "mean": 1.0,
            }
            for attribute, measures in [("rate", "share"), ("stddev", "variance"), ("rate", "variance")]
        ],
    },
    "keras-author-check": {"train_losses": [1.0, 1.1], "batch_losses": [0.9], "evaluate_losses": [0.0]},
    "learning-phase": {
        "kinds": {"deferred": {"fit": {"training": 1.0}, "evaluate": {"training": 0}, "predict": {"training": 0.5}}}
    },
    "tests": {
        "exit_code": 1,
        "tests": [{"name": "tests/test_a.py::test_b", "result": "failed", "exception": "KeyError", "message": "'a'"}],
        "uncollected": [{"name": "tests/test_c.py", "message": "no module named c"}],
    },
    "training-accuracy": {"own_rate": [0.8, 0.98], "near_one": [[0.1, 0.11], [0.2]], "chance": 0.112},
    "script": {
        "parameters": {"tolerance": 1e-5, "expect": {"loss": 0.5}, "judge_by": "", "pattern": ""},
        "exit_code": 0,
        "output": "loss 0.5 in 1.2.3\n",
        "cut": False,
        "found": None,
        "reported": [["loss", 0.5], ["weights", {"digest": "abc", "dtype": "float32", "shape": [2, 3]}]],
        "raised": None,
    },
    "behaviour": {"exit_code": 0, "raised": None},
}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.sampled_from([0, -1, 1, HUGE, -HUGE, 2**63, -(2**63), 5e-324, -5e-324, 1.7e308, -1.7e308, 1e200]),
    st.text(max_size=8),
    st.sampled_from(["", "nan", "\ud800", "\x00", "share", "variance", "output", "x" * 5000, "1e999", "\x1b[2J\u202e"]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside of another, the whole first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [way for key, item in inner for way in places(item, (*path, key))]


def put(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy with another value in one place."""
    changed = copy.deepcopy(whole)
    if not path:
        return value
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return changed


@st.composite
def twisted(draw: st.DrawFn, honest: dict[str, Any]) -> dict[str, Any]:
    """An honest result with up to three values replaced by anything."""
    result: Any = honest
    for _ in range(draw(st.integers(1, 3))):
        result = put(result, draw(st.sampled_from(places(result)[1:] or [()])), draw(ANYTHING))
    return result if isinstance(result, dict) else {}


def answered(name: str, result: Any) -> Answer:
    """Classify, check that the answer can be handed on, and return it."""
    answer = classify(RunReport("answered", result=result), PROBES[name].judge)
    assert not isinstance(answer, Lost), "a result is never the infrastructure's fault"
    assert not (isinstance(answer, Untestable) and answer.fault), answer
    if isinstance(answer, Outcome):
        assert len(answer.label) <= LABEL_CHARACTERS
        assert len(answer.detail) <= 10_000
    json.dumps(answer_json(answer), allow_nan=False)
    read_together({"1.0": [answer, answer], "1.1": [Outcome("passes")]})
    return answer


@pytest.mark.parametrize("name", sorted(PROBES))
def test_the_honest_results_that_are_twisted_below_do_give_an_outcome(name: str) -> None:
    assert isinstance(answered(name, {"kind": "measured", "measurements": HONEST[name]}), Outcome)


@unhurried
@given(results=st.fixed_dictionaries({name: twisted(honest) for name, honest in HONEST.items()}))
@within_budget
def test_every_judge_answers_an_honest_result_with_anything_in_it(results: dict[str, Any]) -> None:
    for name in PROBES:
        answered(name, {"kind": "measured", "measurements": results[name]})


@unhurried
@given(result=st.dictionaries(st.sampled_from(["kind", "measurements", "message", "line", "exception"]), ANYTHING))
@example(result={"kind": "raised", "exception": UNSHOWN, "message": UNSHOWN})
@example(result={"kind": "untestable", "message": [UNSHOWN]})
@example(result={"kind": "refused", "message": UNSHOWN, "exception": HUGE})
@example(result={"kind": UNSHOWN})
@within_budget
def test_any_result_whatever_is_answered(result: dict[str, Any]) -> None:
    for name in PROBES:
        answered(name, result)


@pytest.mark.parametrize("name", sorted(PROBES))
def test_one_hostile_value_in_any_place_of_a_result_never_breaks_a_judge(name: str) -> None:
    for path in places(HONEST[name])[1:]:
        for value in HOSTILE_VALUES:
            answered(name, {"kind": "measured", "measurements": put(HONEST[name], path, value)})


@pytest.mark.parametrize(
    "tolerance", [HUGE, -HUGE, UNSHOWN, float("inf"), float("nan"), 0, 5e-324, 1e308, "x", None], ids=brief
)
@pytest.mark.parametrize("judge_by", ["", "output"])
def test_a_tolerance_of_any_size_gives_an_outcome(tolerance: Any, judge_by: str) -> None:
    parameters = {"tolerance": tolerance, "judge_by": judge_by}
    reported = [["loss", 0.5], ["count", 3]]
    measurements = {"parameters": parameters, "exit_code": 0, "output": "1.5", "reported": reported}
    assert isinstance(answered("script", {"kind": "measured", "measurements": measurements}), Outcome)


def test_a_rule_that_breaks_makes_the_release_untestable_and_keeps_its_traceback() -> None:
    def broken(_: Any) -> Answer:
        return Outcome(f"{1 // 0}")

    answer = classify(RunReport("answered", result={"kind": "measured", "measurements": {}}), broken)
    assert answer == Untestable(RULE_FAILED)
    assert isinstance(answer, Untestable)
    assert answer.fault.endswith("ZeroDivisionError: integer division or modulo by zero\n")


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), (True, 1.0), (0.5, 0.5), (HUGE, None), (float("nan"), None), (float("-inf"), None), ("1", None)],
)
def test_a_number_is_read_only_where_a_float_holds_it(value: object, number: float | None) -> None:
    assert finite(value) == number


def test_any_value_can_be_shown_in_short() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert brief(UNSHOWN) == "an integer of 16610 bits"
    assert brief([UNSHOWN]) == "a list that cannot be shown"
    assert brief(deep) == "a list that cannot be shown"
    assert brief("x" * 100) == "x" * 60


def test_a_judge_is_called_in_one_place() -> None:
    calls = {
        path.relative_to(SERVICE).as_posix()
        for path in SERVICE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and (getattr(node.func, "attr", "") == "judge" or getattr(node.func, "id", "") == "judge")
    }
    assert calls == {"bisection/outcomes.py"}
