r"""Escapes untrusted text for the place where it is shown. JSON keeps it as it is.

What a place could act on, or nobody could see, is written as Python writes it: `\x1b`, `\u202e`, `\n`.
"""

from __future__ import annotations

import re
import unicodedata

FORMULA_STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # the wide ones count where those are typed
# All that CommonMark, its tables and strike-through, GitHub's formulas and mentions, and HTML act on within a line.
_MARKS = re.compile(r"([\\`*_\[\]<>|#~&$!])")
_AT_A_BEGINNING = re.compile(r"^(\d{1,9})([.)])|^([-+=])")


def printable(text: str, *, lines: bool = False) -> str:
    """Return a text in which every character is visible and has no effect.

    Args:
        text: from anybody: labels, messages, output.
        lines: whether line breaks and tabs stay; else they are written out, and the text is one line.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        letter if letter.isprintable() or letter in kept or unicodedata.category(letter) == "Zs" else _written(letter)
        for letter in (text.replace("\r\n", "\n") if lines else text)
    )


def _written(letter: str) -> str:
    """Return a character as Python's source writes it."""
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def in_cell(value: str) -> str:
    """Return a text for a cell of a CSV file: one line, and no spreadsheet takes it for a formula."""
    text = printable(value)
    is_number = re.fullmatch(r"[-+]?[\d.e+ -]+", text)
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) and not is_number else text


def in_markdown(text: str) -> str:
    """Return a text for a line of Markdown that shows it as it stands; nobody is mentioned by it."""
    shown = _MARKS.sub(r"\\\1", printable(" ".join(text.split())))
    return _AT_A_BEGINNING.sub(lambda mark: f"{mark[1] or ''}\\{mark[2] or mark[3]}", shown).replace("@", "@\u200b")


def in_code_span(text: str, *, in_table: bool = False) -> str:
    """Return a text as a code span of Markdown; empty where there is none.

    Within a code span nothing is escaped, so its fence is longer than any run of backticks in it. A bar in a table is
    the exception: the table is read before its cells.
    """
    if not text:
        return ""
    shown = printable(text)
    fence = "`" * (longest_run(shown) + 1)
    # CommonMark removes one space on both sides, unless there are only spaces.
    padded = f" {shown} " if shown.strip(" ") and (shown[0] in "` " or shown[-1] in "` ") else shown
    return fence + (padded.replace("|", r"\|") if in_table else padded) + fence


def in_code_block(text: str, language: str) -> str:
    """Return lines as a code block of Markdown whose fence is longer than any run of backticks in it."""
    shown = printable(text, lines=True).rstrip()
    fence = "`" * max(3, longest_run(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def longest_run(text: str) -> int:
    """Return how long the longest run of backticks is."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
