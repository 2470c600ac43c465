from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.bisection.outcomes import Outcome, Untestable
from tests.probes.protocol import PROBES

JUDGE = PROBES["dropout"].judge
WORKS: dict[str, Any] = {
    "train_losses": [2.4, 2.5, 2.45],
    "batch_losses": [2.41, 2.52],
    "evaluate_losses": [2.3, 2.3],
    "zero_rate_losses": [2.2, 2.2],
    "zero_rate_evaluate_losses": [2.2, 2.2],
    "near_one_losses": [5.0, 4.0],
}
STILL = {"train_losses": [2.3, 2.3, 2.3], "batch_losses": [2.3, 2.3]}


def label(**seen: Any) -> str:
    answer = JUDGE({**WORKS, **seen})
    assert isinstance(answer, Outcome), answer
    return answer.label


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, "drops"),
        (STILL, "never-drops"),
        ({"batch_losses": [2.3, 2.3]}, "never-drops"),
        ({"train_losses": [2.3, 2.3, 2.3]}, "never-drops"),
        ({"evaluate_losses": [2.3, 2.4]}, "always-drops"),
        ({"train_losses": [2.3, 2.3000001, 2.3], "batch_losses": [2.3, 2.3]}, "never-drops"),
        ({"near_one_losses": ["inf", "nan"]}, "drops"),
        # The same mask each time still drops.
        ({"train_losses": [2.5, 2.5], "batch_losses": [2.5, 2.5]}, "drops"),
        # Batch normalisation keeps training and evaluation apart.
        ({"train_losses": [2.5, 2.5], "batch_losses": [2.5, 2.5], "zero_rate_losses": [2.4, 2.4]}, "never-drops"),
        ({"zero_rate_losses": [2.4, 2.4]}, "drops"),
    ],
)
def test_losses_tell_the_outcome(seen: dict[str, Any], expected: str) -> None:
    assert label(**seen) == expected


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"zero_rate_losses": [2.2, 2.3]}, "something besides dropout"),
        ({"zero_rate_losses": []}, "rate 0 gave no finite loss"),
        ({**STILL, "near_one_losses": [2.2, 2.2]}, "does not depend on dropout"),
        ({**STILL, "near_one_losses": []}, "rate 0.999 gave no loss"),
        ({"zero_rate_losses": ["nan"]}, "rate 0 gave no finite loss"),
        ({"control_failed": "ValueError: x"}, "a control could not run"),
        ({"train_losses": ["nan", 2.0]}, "not finite"),
    ],
)
def test_a_blind_probe_says_so(seen: dict[str, Any], words: str) -> None:
    answer = JUDGE({**WORKS, **seen})
    assert isinstance(answer, Untestable)
    assert words in answer.reason


def share(seen: float, declared: float = 0.3, **more: Any) -> dict[str, Any]:
    facts = {"layer": "drop", "declared": declared, "attribute": "rate", "measures": "share", "trials": 16384}
    return {**facts, "losses": [seen], **more}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (share(0.3), "drops"),
        (share(0.31), "drops"),
        (share(0.7), "wrong-rate"),
        (share(0.33), "wrong-rate"),
        (share(0.0), "wrong-rate"),
        (share(0.3, mean=1.01), "drops"),
        (share(0.3, mean=0.7), "wrong-rate"),
        (share(0.3, mean="nan"), "drops"),
        (share(0.09, attribute="stddev", measures="variance"), "drops"),
        (share(0.3, attribute="stddev", measures="variance"), "wrong-rate"),
        # GaussianDropout 0.3 multiplies by noise of the variance 0.3 / 0.7, whose mean says nothing.
        (share(0.3 / 0.7, measures="variance", mean=0.5), "drops"),
        (share(0.3, measures="variance"), "wrong-rate"),
        ({**share(0.7), "losses": []}, "drops"),
        ({"failed": "ValueError: x"}, "drops"),
    ],
)
def test_the_share_that_is_dropped_must_be_the_declared_one(seen: dict[str, Any], expected: str) -> None:
    assert label(shares=[seen]) == expected


def test_a_wrong_rate_is_told_with_its_interval_and_its_scale() -> None:
    answer = JUDGE({**WORKS, "shares": [share(0.7, mean=0.3)]})
    assert isinstance(answer, Outcome)
    assert answer.detail == "drop declares 0.3 and shows 0.7 (0.6929 to 0.707) and scales ones to a mean of 0.3"


def test_a_training_that_stays_needs_no_rate() -> None:
    assert label(**STILL, shares=[share(0.7)]) == "never-drops"


@pytest.mark.parametrize("missing", ["zero_rate_losses", "zero_rate_evaluate_losses"])
def test_losses_that_stay_at_the_evaluation_need_no_twin_with_rate_0(missing: str) -> None:
    seen = {name: value for name, value in {**WORKS, **STILL}.items() if name != missing}
    assert isinstance(answer := JUDGE(seen), Outcome)
    assert answer.label == "never-drops"


UNHURRIED = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # A busy machine is no fault.


@UNHURRIED
@given(st.floats(0.01, 0.99), st.integers(200, 10**6), st.data())
def test_an_honest_layer_is_never_blamed(rate: float, trials: int, data: st.DataObject) -> None:
    deviations = data.draw(st.floats(-4, 4))
    dropped = min(max(rate + deviations * math.sqrt(rate * (1 - rate) / trials), 0.0), 1.0)
    kept = (1 - dropped) / (1 - rate)
    assert label(shares=[share(dropped, rate, trials=trials, mean=kept)]) == "drops"


@UNHURRIED
@given(
    st.dictionaries(
        st.sampled_from(["train_losses", "batch_losses", "evaluate_losses", "zero_rate_losses", "near_one_losses"]),
        st.lists(st.floats() | st.just("nan"), max_size=3),
    )
)
def test_the_judge_answers_whatever_the_losses_are(seen: dict[str, Any]) -> None:
    assert isinstance(JUDGE({**WORKS, **seen}), Outcome | Untestable)
