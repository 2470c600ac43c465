"""Search terms of a bisection: the words of its snippet, its outcomes, the releases of its changes."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from typing import Any

from service.json_text import digest_of
from service.storage.tables import LONGEST_NAME

_WORD = re.compile(r"[^\W\d]\w{2,39}")
_EVERYWHERE = frozenset(word.lower() for word in keyword.kwlist)
# Long scripts need far fewer words; without a limit one hostile snippet fills the index.
_MOST_WORDS = 250


def words_of(text: str) -> tuple[str, ...]:
    """Return the words that a text is found by, each once, in order: lower case, 3 to 40 letters, no keywords."""
    words = dict.fromkeys(word for word in _WORD.findall(text.lower()) if word not in _EVERYWHERE)
    return tuple(words)[:_MOST_WORDS]


def word_term(word: str) -> str:
    """Return the index entry of a word."""
    return f"w:{word}"


def outcome_term(outcome: str) -> str:
    """Return the index entry of an outcome."""
    return f"o:{outcome}"[:LONGEST_NAME]


def change_terms(package: str, release: str) -> tuple[str, str]:
    """Return the index entries of a release that a change landed on: of its package, and of any package."""
    return f"c:{package}:{release}"[:LONGEST_NAME], f"c::{release}"[:LONGEST_NAME]


def verdict_terms(verdict: Mapping[str, Any]) -> set[str]:
    """Return the index entries of a verdict: its outcomes and the releases that its changes landed on."""
    terms = {outcome_term(str(segment["outcome"])) for segment in verdict.get("segments", ())}
    for change in verdict.get("changes", ()):
        terms.update(change_terms(str(verdict.get("package", "")), str(change["after"])))
    return terms


def change_points(verdict: Mapping[str, Any]) -> str | None:
    """Return a digest of where and how the behaviour changed, equal for similar bisections; None without a change."""
    points = sorted((change["line"], change["kind"], change["after"]) for change in verdict.get("changes", ()))
    return digest_of([verdict.get("package", ""), points]) if points else None
