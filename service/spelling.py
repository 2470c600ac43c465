"""The nearest known name, for messages about a name that is not known."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

LONGEST = 64
"""Longer words are not compared: that takes time, and nothing is called so."""


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return the end of a sentence, such as "; did you mean releases?"; empty if nothing known is near."""
    near = get_close_matches(word[:LONGEST].lower(), list(known), n=1) if word else []
    return f"; did you mean {near[0]}?" if near else ""
