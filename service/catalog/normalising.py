"""Removes from a text what differs between runs without meaning: versions, dates, durations, addresses, paths."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Order counts: a date holds digits that look like a version, a path may hold a date.
RULES = (
    ("escape", re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")),
    ("path", re.compile(r"(?<![\w.<])(?:[A-Za-z]:\\[^\s'\"<>:]+|/(?:[\w.+@~-]+/)+[\w.+@~-]*)")),
    ("date", re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?\b")),
    ("time", re.compile(r"\b\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?\b")),
    ("address", re.compile(r"\b0x[0-9a-fA-F]{4,}\b")),
    # What id() returns: where Linux maps memory.
    ("address", re.compile(r"(?<![\w.])1(?:39[6-9]|40[0-7])\d{11}(?![\w.])")),
    ("pid", re.compile(r"(?<=\bpid)\W{1,3}\d+\b(?!\.\d)|(?<=\bprocess)(?: id)?\W{1,3}\d+\b(?!\.\d)", re.IGNORECASE)),
    ("duration", re.compile(r"\b\d+(?:\.\d+)?\s?(?:ns|us|µs|ms|s|sec|secs|seconds|minutes)(?:/\w+)?\b")),
    ("version", re.compile(r"\bv?\d+\.\d+\.\d+(?:\.?(?:a|b|rc|dev|post)\d+)?(?:[-+][\w.]+)?\b")),
)


@dataclass(frozen=True)
class Normalised:
    """A normalised text, and what was replaced."""

    text: str
    replaced: tuple[tuple[str, str], ...]
    """(kind, original text), each once, in the order of the text."""


def normalised(text: str) -> Normalised:
    """Return a text that is equal for equal behaviour."""
    replaced: dict[tuple[str, str], None] = {}
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in re.sub(r".\x08", "", text.replace("\r\n", "\n")).split("\n")]
    text = "\n".join(lines).strip("\n")
    for kind, pattern in RULES:
        for match in pattern.finditer(text):
            replaced[kind, match.group()] = None
        text = pattern.sub("" if kind == "escape" else f"<{kind}>", text)
    return Normalised(text, tuple(replaced))
