"""How long things take, in words, and how long they still will. Pure."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration as people say it, no finer than estimates are known."""
    if seconds < 90:
        whole = max(1, round(seconds))
        return f"{whole} seconds" if whole != 1 else "1 second"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def time_left(seconds: float) -> str:
    """Say how long the rest takes."""
    return "almost done" if seconds < 1 else f"about {duration(seconds)} left"


def seconds_left(elapsed: float, done: float, total: float, forecast_seconds: float) -> float:
    """Estimate how long the rest takes: by the pace so far, and as long as that says little by the forecast.

    Args:
        elapsed: seconds since the start.
        done: what is done of `total`, in any unit: runs, bytes.
        total: all of it.
        forecast_seconds: how long all of it was thought to take.
    """
    share = done / total if total else 1.0
    # The weight of the pace grows with what it was seen on: all of it from a tenth on.
    weight = min(1.0, share * 10)
    by_pace = elapsed * (1 - share) / share if share else 0.0
    return weight * by_pace + (1 - weight) * max(0.0, forecast_seconds - elapsed)
