from __future__ import annotations

from typing import Any

import pytest

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
