"""Syntax highlighting of Python and JSON without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pygments.lexers import JsonLexer, PythonLexer
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
    (Name.Tag, "n"),
)

Line = list[tuple[str, str]]


def highlighted(source: str) -> list[Line]:
    """Return Python source line by line, each as (kind, text); kind "" for plain text. Nothing is escaped."""
    return _lines(PythonLexer(stripnl=False, ensurenl=False).get_tokens(source))


def json_lines(text: str) -> list[Line]:
    """Return JSON line by line, as `highlighted` returns Python."""
    return _lines(JsonLexer(stripnl=False, ensurenl=False).get_tokens(text))


def _lines(tokens: Iterable[tuple[Any, str]]) -> list[Line]:
    lines: list[Line] = [[]]
    for token, text in tokens:
        kind = next((letter for family, letter in KINDS if token in family), "")
        first, *rest = text.split("\n")
        lines[-1].append((kind, first))
        lines.extend([(kind, part)] for part in rest)
    if len(lines) > 1 and not any(text for _, text in lines[-1]):
        lines.pop()
    return lines
