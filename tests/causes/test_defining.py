"""What the stage for definitions names, and what it leaves open in words."""

from __future__ import annotations

from service.bisection.culprit import Culprits
from service.causes.defining import is_narrow


def test_a_set_that_the_budget_left_large_is_not_named() -> None:
    many = tuple(f"d{number}" for number in range(34))
    assert not is_narrow(Culprits(many, False, {}))
    assert is_narrow(Culprits(many, True, {}))
    assert is_narrow(Culprits(many[:5], False, {}))
