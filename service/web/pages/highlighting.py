"""Syntax highlighting of Python source without JavaScript."""

from __future__ import annotations

from typing import Any

from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

KINDS: tuple[tuple[Any, str], ...] = (
    (Comment, "c"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (String, "s"),
    (Number, "m"),
    (Name.Class, "n"),
    (Name.Function, "n"),
    (Name.Decorator, "n"),
)

Line = list[tuple[str, str]]


def highlighted(source: str) -> list[Line]:
    """Return the source line by line, each as (kind, text); kind "" for plain text. Nothing is escaped."""
    lines: list[Line] = [[]]
    for token, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(source):
        kind = next((letter for family, letter in KINDS if token in family), "")
        first, *rest = text.split("\n")
        lines[-1].append((kind, first))
        lines.extend([(kind, part)] for part in rest)
    if len(lines) > 1 and not any(text for _, text in lines[-1]):
        lines.pop()
    return lines
