"""Durations in words, and estimates of the time left. Pure."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration in words, no more precise than an estimate."""
    if seconds < 90:
        whole = max(1, round(seconds))
        return f"{whole} seconds" if whole != 1 else "1 second"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def time_left(seconds: float) -> str:
    """Return the time left in words."""
    return "almost done" if seconds < 1 else f"about {duration(seconds)} left"


def seconds_left(elapsed: float, done: float, total: float, forecast_seconds: float) -> float:
    """Estimate how long the rest takes, from the pace so far and, at the beginning, from the forecast.

    Args:
        elapsed: seconds since the start.
        done: what is done of `total`, in any unit: runs, bytes.
        total: all of it.
        forecast_seconds: how long all of it was thought to take.
    """
    share = done / total if total else 1.0
    # The weight of the pace grows with the share that is done; from a tenth on only the pace counts.
    weight = min(1.0, share * 10)
    by_pace = elapsed * (1 - share) / share if share else 0.0
    return weight * by_pace + (1 - weight) * max(0.0, forecast_seconds - elapsed)
