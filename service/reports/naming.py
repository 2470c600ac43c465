"""What a snippet is called where nobody named it: its own first words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

LONGEST = 60
_UNTELLING = re.compile(r"""(from|import|try:|if\b|with\b|print\b|@|[\])}"']|[\w.]+\s*=\s*(None|True|False|\d+)$|$)""")
_DIRECTIVE = re.compile(r"#\s*(!|-\*-|/// |type:|noqa|ruff|pylint|mypy|fmt:|coding[:=]|%%)")
_MARKS = re.compile(r'^(#+!?|r?"""|r?\'\'\')\s*|\s*("""|\'\'\')$')


def called(request: Mapping[str, Any], source: str) -> str:
    """Return what a bisection is called: the name that it was given, its command, or its source's own first words."""
    given = str(request.get("name") or "").strip()
    return _shortened(given or shlex.join(request.get("command") or ())) or name_of(source)


def name_of(source: str) -> str:
    """Return the first line of a snippet that tells it from others, shortened to LONGEST characters.

    A comment or docstring at the top is what its author would say; else the first line that is no import. Only a
    project, whose source lies in its files, has none.
    """
    lines = [line.strip() for line in source.splitlines()]
    said = next((line for line in lines if line), "")
    if said.startswith(("#", '"""', "'''", 'r"""')):
        comment = next((words for line in lines[:10] if (words := _words_of_comment(line))), "")
        if comment:
            return _shortened(comment)
    telling = (line for line in lines if not line.startswith("#") and not _UNTELLING.match(line))
    return _shortened(next(telling, said)) or "a project"


def _words_of_comment(line: str) -> str:
    """Return what a line at the top of a file says, without its marks; "" for directives and rulers."""
    if not line.startswith(("#", '"""', "'''", 'r"""')) or _DIRECTIVE.match(line):
        return ""
    words = _MARKS.sub("", _MARKS.sub("", line)).strip()
    return words if re.search(r"\w{2}", words) else ""


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else f"{flat[: LONGEST - 1].rstrip()}…"
