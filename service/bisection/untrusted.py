"""Reading single values that came out of a run: a snippet may put anything there, so nothing here raises.

Python's own conversions do: `float(10**400)` is an OverflowError, and `str(10**5000)` a ValueError.
"""

from __future__ import annotations

import math


def finite(value: object) -> float | None:
    """Return a number as a finite float; None for anything else, and for a number that no float holds."""
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def brief(value: object, characters: int = 60) -> str:
    """Return any value as a text of at most so many characters."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > characters * 4:
        return f"an integer of {value.bit_length()} bits"[:characters]
    try:
        text = str(value)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__} that cannot be shown"
    return text[:characters]
