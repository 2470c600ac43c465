"""Ids that sort by the time they were made: 48 bits of milliseconds, 80 random bits, Crockford's base 32."""

from __future__ import annotations

import secrets
import threading
import time
from datetime import UTC, datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


class _Sequence:
    """Generates increasing numbers, also within one millisecond and when the clock is set back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """Return a number greater than every one before."""
        fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            self._last = max(fresh, self._last + 1)
            return self._last


_SEQUENCE = _Sequence()


def new_ulid() -> str:
    """Return a new id: 26 characters, greater than every id that this process made before."""
    number = _SEQUENCE.next()
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))


def first_at(moment: datetime) -> str:
    """Return the smallest id that can have been made at a time, for ranges of ids."""
    number = max(0, int(moment.timestamp() * 1000)) << _RANDOM_BITS
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))


def made_at(ulid: str) -> datetime:
    """Return when an id was made, to the millisecond."""
    return datetime.fromtimestamp((number_of(ulid) >> _RANDOM_BITS) / 1000, UTC)


def number_of(ulid: str) -> int:
    """Return the 128 bits of an id.

    Raises:
        ValueError: a character that no id has.
    """
    number = 0
    for letter in ulid:
        number = number << 5 | _ALPHABET.index(letter)
    return number
