"""The link that opens an issue of the project that a change belongs to, with its text filled in. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from service.bisection.verdict import all_changes
from service.bisection.words import causes_in_words, confidences_in_words, counted, environments_in_words
from service.printable import in_code_block, in_markdown
from service.reports.links import REPOSITORIES
from service.reports.reproduction import Side, reproduction_script

LINK_CHARACTERS = 7500
"""What GitHub and browsers take; above 8 KiB GitHub answers 414."""
TITLE_CHARACTERS = 140
SNIPPET_LINES = 60
CUT = "\n\n(cut here: paste the whole report from the link above)"


def issue_url(
    package: str, verdict: Mapping[str, Any], source: str, sides: Sequence[Side], request: Mapping[str, Any], page: str
) -> str:
    """Return the address of a new issue; "" where the project of the package is not known, or nothing changes.

    Args:
        package: whose releases were bisected.
        verdict: as JSON.
        source: the snippet.
        sides: of its first change.
        request: of the bisection.
        page: address of the bisection; "" where others do not reach it.
    """
    home = REPOSITORIES.get(package)
    if home is None or not verdict.get("changes"):
        return ""
    title = f"{package}: {verdict['summary']}"[:TITLE_CHARACTERS]
    start = f"{home}/issues/new?title={quote(title)}&body="
    return start + _quoted(_body(verdict, source, sides, request, page), LINK_CHARACTERS - len(start))


def _body(verdict: Mapping[str, Any], source: str, sides: Sequence[Side], request: Mapping[str, Any], page: str) -> str:
    script = reproduction_script(sides, request) if sides else ""
    lines = source.splitlines()
    more = [f"# … and {counted(len(lines) - SNIPPET_LINES, 'more line')}"] if len(lines) > SNIPPET_LINES else []
    parts = [
        in_markdown(str(verdict["summary"])),
        f"Found with tfbisect: {page}" if page else "",
        confidences_in_words(verdict),
        "\n".join(f"- {in_markdown(said)}" for said in causes_in_words(all_changes(verdict))[:3]),
        in_markdown(environments_in_words(verdict)),
        in_code_block(script, "sh") if script else "",
        in_code_block("\n".join([*lines[:SNIPPET_LINES], *more]), "python"),
    ]
    return "\n\n".join(part for part in parts if part)


def _quoted(text: str, room: int) -> str:
    """Return a text as part of an address; one that is too long ends where it is said."""
    whole = quote(text)
    if len(whole) <= room:
        return whole
    left = room - len(quote(CUT))
    kept = text
    while len(quote(kept)) > left:
        # A character takes up to twelve characters of an address.
        kept = kept[: -max(1, (len(quote(kept)) - left) // 12)]
    return quote(kept + CUT)
