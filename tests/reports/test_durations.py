"""How long things take, and still will."""

from __future__ import annotations

import pytest

from service.reports.durations import seconds_left, time_left


@pytest.mark.parametrize(
    ("elapsed", "moved", "total", "left"),
    [
        (0, 0, 1000, 600),  # nothing is known but the forecast
        (100, 0, 1000, 500),
        (900, 0, 1000, 0),
        (100, 50, 1000, 0.5 * 1900 + 0.5 * 500),  # half the pace, half the forecast
        (100, 100, 1000, 900),  # from a tenth on the pace alone
        (100, 500, 1000, 100),
        (100, 1000, 1000, 0),
        (5, 0, 0, 0),
    ],
)
def test_the_time_left_goes_over_from_the_forecast_to_the_pace(
    elapsed: float, moved: int, total: int, left: float
) -> None:
    assert seconds_left(elapsed, moved, total, 600) == pytest.approx(left)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "almost done"),
        (1, "about 1 second left"),
        (89, "about 89 seconds left"),
        (90, "about 2 minutes left"),
        (3000, "about 50 minutes left"),
        (9000, "about 2.5 hours left"),
    ],
)
def test_the_time_left_is_no_finer_than_it_is_known(seconds: float, words: str) -> None:
    assert time_left(seconds) == words
