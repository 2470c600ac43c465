"""Fuzzing within a time budget: so many examples as time allows, more with FULL=1."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

FULL = os.environ.get("FULL") == "1"
BUDGET_SECONDS = float(os.environ.get("TFBISECT_FUZZ_SECONDS", "120" if FULL else "3"))
"""For each fuzzed test."""

TIMES = 50 if FULL else 1
"""Not without an end: examples are made, though not tried, when the budget is used up."""

# As many as the budget lets pass; derandomised in the ordinary run, so that a change is never blamed for a find that
# another seed would have made before it.
unhurried = settings(
    max_examples=200 * TIMES,
    deadline=None,
    derandomize=not FULL,
    database=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,  # those that are given change nothing
    ],
)


def at_most(examples: int) -> settings:
    """Return the same for a test that needs more or fewer examples in the ordinary run; goes above `within_budget`."""
    return settings(unhurried, max_examples=examples * TIMES)


def within_budget(test: Callable[..., None], *, share: float = 1.0) -> Callable[..., None]:
    """Let every example pass at once when the budget is used up, unless one failed and is being made smaller.

    Goes below `given`; a test that draws inside (st.data) cannot be cut short this way. `share` is of the budget.
    """
    began: list[float] = []
    failed: list[BaseException] = []

    @functools.wraps(test)
    def budgeted(*args: Any, **kwargs: Any) -> None:
        began.append(time.monotonic())
        del began[1:]
        if not failed and time.monotonic() - began[0] > share * BUDGET_SECONDS:
            return
        try:
            test(*args, **kwargs)
        except BaseException as error:
            failed.append(error)
            raise

    return budgeted
