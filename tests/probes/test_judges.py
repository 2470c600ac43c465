"""What the facts of the other probes mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.bisection.outcomes import Outcome, Untestable
from tests.probes.protocol import PROBES

PHASE = PROBES["learning-phase"].judge
ACCURACY = PROBES["training-accuracy"].judge
AUTHOR = PROBES["keras-author-check"].judge
IN_FIT = {"in_train_phase": 1, "learning_phase": 1, "training": 1.0}
ELSEWHERE = {"in_train_phase": 0, "learning_phase": 0, "training": 0.0}
RIGHT = {"fit": IN_FIT, "evaluate": ELSEWHERE, "predict": ELSEWHERE}


@pytest.mark.parametrize(
    ("deferred", "expected"),
    [
        (RIGHT, "right-phase"),
        ({"raised": "ValueError: no input shape"}, "right-phase"),
        ({**RIGHT, "fit": {**IN_FIT, "training": 0.5}}, "right-phase"),
        ({**RIGHT, "fit": {**IN_FIT, "learning_phase": 0}}, "learning-phase-unset"),
        ({**RIGHT, "fit": {**IN_FIT, "in_train_phase": 0}}, "inference-in-training"),
        ({**RIGHT, "fit": {**IN_FIT, "in_train_phase": 0, "learning_phase": 0}}, "inference-in-training"),
        ({**RIGHT, "fit": {**IN_FIT, "training": 0.0}}, "inference-in-training"),
        ({**RIGHT, "evaluate": {**ELSEWHERE, "training": 1.0}}, "training-in-evaluation"),
        ({**RIGHT, "predict": {**ELSEWHERE, "learning_phase": 1}}, "training-in-evaluation"),
        ({**RIGHT, "fit": ELSEWHERE, "evaluate": IN_FIT}, "training-in-evaluation"),
    ],
)
def test_one_wrong_answer_about_the_phase_is_told_by_its_kind(deferred: dict[str, Any], expected: str) -> None:
    answer = PHASE({"kinds": {"deferred": deferred, "static": RIGHT}})
    assert isinstance(answer, Outcome)
    assert answer.label == expected


def test_a_wrong_phase_is_told_with_model_call_and_way_of_asking() -> None:
    answer = PHASE({"kinds": {"deferred": {**RIGHT, "fit": {**IN_FIT, "in_train_phase": 0}}}})
    assert answer == Outcome("inference-in-training", "deferred: fit told in_train_phase 0")


@pytest.mark.parametrize("kinds", [{}, {"deferred": {"raised": "x"}}, {"deferred": {"fit": {"training": "?"}}}, 3])
def test_no_phase_seen_is_no_answer(kinds: object) -> None:
    assert isinstance(PHASE({"kinds": kinds}), Untestable)


@pytest.mark.parametrize(
    ("own", "strong", "expected"),
    [
        ([0.8, 0.98], [[0.10, 0.11]], "drops"),
        ([0.8, 0.98], [[0.10, 0.16]], "drops"),
        ([0.8, 0.98], [[0.9, 0.97]], "never-drops"),
        ([0.8, 0.98], [[0.2, 0.5], [0.2, 0.5], [0.2, 0.5]], "drops-less"),
        ([0.8, 0.98], [[0.2, 0.5], [0.1, 0.11]], "drops"),
        ([0.8, 0.98], [[0.2, 0.5], [0.9, 0.95]], "drops-less"),
    ],
)
def test_the_strong_rate_tells_whether_training_drops(
    own: list[float], strong: list[list[float]], expected: str
) -> None:
    answer = ACCURACY({"own_rate": own, "near_one": strong, "chance": 0.112})
    assert isinstance(answer, Outcome)
    assert answer.label == expected
    assert answer.detail.startswith("last training accuracy 98.0% with the own rate")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"own_rate": [0.5], "near_one": [[0.1]], "chance": 0.1}, "does not learn with its own rate either"),
        ({"own_rate": [0.98], "near_one": [], "chance": 0.1}, "missing"),
        ({"own_rate": ["nan"], "near_one": [[0.1]], "chance": 0.1}, "missing"),
        ({"own_rate": [0.98], "near_one": [[0.1]]}, "missing"),
    ],
)
def test_an_experiment_that_cannot_tell_says_why(seen: dict[str, Any], words: str) -> None:
    answer = ACCURACY(seen)
    assert isinstance(answer, Untestable)
    assert words in answer.reason


@pytest.mark.parametrize(
    ("trained", "stepped", "evaluated", "expected"),
    [
        ([1.0, 1.1], [0.9], [0.0], "drops"),
        ([0.0, 0.0], [0.9], [0.0], "never-drops"),
        ([1.0, 1.1], [0.0], [0.0], "never-drops"),
        ([0.0], [0.0], [0.0], "never-drops"),
        ([1.0], [1.0], [1.0], "always-drops"),
        ([1.0], [1.0], [0.0, 0.5], "always-drops"),
    ],
)
def test_the_authors_check_is_positive_in_training_and_zero_in_evaluation(
    trained: list[float], stepped: list[float], evaluated: list[float], expected: str
) -> None:
    answer = AUTHOR({"train_losses": trained, "batch_losses": stepped, "evaluate_losses": evaluated})
    assert isinstance(answer, Outcome)
    assert answer.label == expected


ANYTHING = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FACTS = st.sampled_from(
    ["kinds", "own_rate", "near_one", "chance", "train_losses", "batch_losses", "evaluate_losses", "shares"]
)


@pytest.mark.parametrize("name", sorted(set(PROBES) - {"script"}))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # A busy machine is no fault of the judge.
@given(measurements=st.dictionaries(FACTS, ANYTHING))
def test_a_judge_is_total(name: str, measurements: dict[str, Any]) -> None:
    answer = PROBES[name].judge(measurements)
    assert isinstance(answer, Untestable) or (isinstance(answer, Outcome) and answer.label in PROBES[name].outcomes)
