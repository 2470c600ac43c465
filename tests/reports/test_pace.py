"""The time left, measured over stored runs: eleven bisections as containers and local environments ran them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.reports.durations import seconds_left
from service.reports.pace import FIRST_SECONDS, run_seconds_left

STORED = json.loads((Path(__file__).parent / "paces.json").read_text())
"""Each with its seconds, its answers (release, reused), and its steps (elapsed, answered, planned at least)."""
SHORTEST = 5.0
"""Nobody waits for what is over in less."""

Estimate = Callable[[float, list[tuple[str, bool]], int, int], float | None]


def right_share(estimate: Estimate) -> tuple[float, int]:
    """Return how often an estimate is within a factor of two of what came, and of how many."""
    said = [
        (told, stored["seconds"] - elapsed)
        for stored in STORED
        for elapsed, done, planned in stored["steps"]
        if stored["seconds"] - elapsed >= SHORTEST
        and (told := estimate(elapsed, runs_of(stored)[:done], planned, stored["steps"][0][2])) is not None
    ]
    return sum(left / 2 <= told <= left * 2 for told, left in said) / len(said), len(said)


def runs_of(stored: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(release, bool(reused)) for release, reused in stored["runs"]]


def by_mean_pace(elapsed: float, runs: list[tuple[str, bool]], planned: int, _at_first: int) -> float | None:
    """Estimate from the runs so far alone, as was done before."""
    return seconds_left(elapsed, len(runs), planned, planned * FIRST_SECONDS / 2) if len(runs) > 1 else None


def test_the_time_left_is_right_within_a_factor_of_two_three_times_of_four() -> None:
    share, moments = right_share(run_seconds_left)
    assert moments > 150
    assert share >= 0.74
    assert share > right_share(by_mean_pace)[0] + 0.05


def test_nothing_is_said_before_there_is_a_pace() -> None:
    assert run_seconds_left(3.0, [("1.9.0", False)], 18, 18) is None


def test_stored_answers_say_nothing_about_the_pace() -> None:
    stored = [("1.9.0", True), ("1.10.0", True), ("1.11.0", False)]
    fresh = [(release, False) for release, _ in stored]
    slow, fast = (run_seconds_left(30.0, runs, 6, 6) for runs in (stored, fresh))
    assert slow is not None
    assert fast is not None
    assert slow > fast
