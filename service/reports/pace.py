"""How long a running bisection still takes, from its own pace. Pure.

Measured over stored runs: tests/reports/test_pace.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

FEWEST_RUNS = 2
"""Before that there is no pace to speak of, and nothing is said."""
FIRST_SECONDS = 3.0
"""What the first run of a release is thought to take before any was seen: start, import, probe."""
LATER_RUN = 0.5
"""A further run of a release forks from the import of the one before, and takes about half as long."""
GROWTH = 2.0
"""A bisection that finds changes runs about twice what it planned at first: both sides are confirmed."""
TAIL_SECONDS = 1.0


def run_seconds_left(
    elapsed: float, runs: Sequence[tuple[str, bool]], planned: int, planned_at_first: int
) -> float | None:
    """Estimate the seconds until the end; None where it is too early to say.

    Args:
        elapsed: seconds since the start.
        runs: every answer so far, oldest first: its release, and whether it was a stored one.
        planned: how many answers there will be at least.
        planned_at_first: the same, when nothing had been answered.
    """
    if len(runs) < FEWEST_RUNS or planned <= 0:
        return None
    begun: set[str] = set()
    work = 0.0
    for release, reused in runs:
        if not reused:
            work += LATER_RUN if release in begun else 1.0
        begun.add(release)
    pace = (elapsed + FIRST_SECONDS) / (work + 1.0)
    # What a change adds is seen late; the more of the plan is done without one, the less is expected.
    share_left = max(0.0, 1 - len(runs) / planned)
    growth = max(0.0, planned_at_first * GROWTH - planned) * math.sqrt(share_left)
    left = max(0.0, planned + growth - len(runs))
    first = min(left, max(0.0, planned_at_first / GROWTH - len(begun)))
    return pace * (first + (left - first) * LATER_RUN) + TAIL_SECONDS
