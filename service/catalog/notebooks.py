"""Jupyter notebooks as scripts: the code cells in order, each under a marker that names its lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import SnippetError

MARKER = "# %% cell "
LEFT_OUT = "# left out: "
SHOWN_CHARACTERS = 80
# The rest of these cells is Python and runs once; every other cell magic hands its cell to another program.
PYTHON_CELLS = frozenset({"time", "timeit", "capture", "prun", "python", "python3"})
TIMED = re.compile(r"(?P<indent>\s*)%(?P<magic>time|timeit|prun)\s+(?P<statement>[^-\s].*)")
MAGIC = re.compile(r"\s*(?:[%!]|\?{1,2}\S|[\w.]+\?{1,2}\s*$|[\w.,\s\[\]'\"]+=\s*[!%]\s*[\w./])")
MARK = re.compile(r"\\.|'''|\"\"\"|['\"]|#|[()\[\]{}]")
MARKED = re.compile(rf"^{re.escape(MARKER)}(\d+)$", re.MULTILINE)
LINE_IN_TRACEBACK = re.compile(r'(File "snippet\.py", line )(\d+)')


def as_script(text: str) -> str:
    """Return a notebook as a script; any other text as it is.

    Raises:
        SnippetError: a notebook without Python code.
    """
    found = _parsed(text)
    return text if found is None else _script(found)


def script_of_notebook(text: str, name: str) -> str:
    """Return the script of a notebook's file.

    Raises:
        SnippetError: it is no notebook, or has no Python code.
    """
    found = _parsed(text)
    if found is None:
        raise SnippetError(f"{name} is not a Jupyter notebook (JSON with `cells`); save it anew.", field="snippet")
    return _script(found)


def commands_left_out(source: str) -> list[str]:
    """Return the notebook's commands that its script leaves out, each with its place."""
    lines = source.splitlines()
    if not MARKED.search(source):
        return []
    return [
        f"{cell_and_line(source, number)}: {line.partition(LEFT_OUT)[2][:SHOWN_CHARACTERS]}"
        for number, line in enumerate(lines, start=1)
        if LEFT_OUT in line
    ]


def cell_and_line(source: str, line: int) -> str:
    """Return where a line of a script is: "line 7", or of a notebook's script "cell 3, line 2"."""
    cell, first = 0, 0
    for number, text in enumerate(source.splitlines()[:line], start=1):
        if found := MARKED.match(text):
            cell, first = int(found[1]), number
    return f"cell {cell}, line {line - first}" if cell else f"line {line}"


def with_cells(trail: str, source: str) -> str:
    """Return a traceback in which each line of a notebook's script is named with its cell, too."""
    if not MARKED.search(source):
        return trail
    return LINE_IN_TRACEBACK.sub(lambda found: f"{found[0]} ({cell_and_line(source, int(found[2]))})", trail)


def _parsed(text: str) -> Mapping[str, Any] | None:
    """Return a notebook's JSON, or None for any other text."""
    if not text.lstrip().startswith("{") or '"nbformat"' not in text:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "nbformat" in found else None


def _script(notebook: Mapping[str, Any]) -> str:
    language = _language(notebook)
    if language not in ("", "python", "ipython"):
        raise SnippetError(f"the notebook is written in {language[:40]}, not in Python.", field="snippet")
    cells = [cell for cell in _code_cells(notebook) if cell.strip()]
    if not cells:
        raise SnippetError("the notebook has no code cells with code.", field="snippet")
    parts = (f"{MARKER}{number}\n{_python(cell)}\n" for number, cell in enumerate(cells, start=1))
    return "\n".join(parts)


def _language(notebook: Mapping[str, Any]) -> str:
    """Return the notebook's language in lower case, "" if it does not say."""
    about = notebook.get("metadata")
    for part, name in (("language_info", "name"), ("kernelspec", "language")):
        found = about.get(part) if isinstance(about, dict) else None
        if isinstance(found, dict) and isinstance(found.get(name), str):
            return str(found[name]).lower()
    return ""


def _code_cells(notebook: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sources of the code cells, in the formats 3 and 4."""
    sheets = notebook.get("worksheets")
    for sheet in (notebook, *(sheets if isinstance(sheets, list) else ())):
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        for cell in cells if isinstance(cells, list) else ():
            if isinstance(cell, dict) and cell.get("cell_type") == "code":
                source = cell.get("source", cell.get("input", ""))
                yield "".join(map(str, source)) if isinstance(source, list) else str(source)


def _python(cell: str) -> str:
    """Return a cell's Python, line for line; what only a notebook understands becomes a comment."""
    lines = cell.replace("\r\n", "\n").split("\n")
    first = next(place for place, line in enumerate(lines) if line.strip())
    if lines[first].startswith("%%"):
        name = lines[first][2:].split(maxsplit=1)[0:1]
        if not name or name[0] not in PYTHON_CELLS:
            return "\n".join(map(_comment, lines))
        lines[first] = _comment(lines[first])
    return "\n".join(_lines(lines))


def _lines(lines: list[str]) -> Iterator[str]:
    """Yield each line, or what stands in for it."""
    depth, quote, continues, goes_on = 0, "", False, False
    for line in lines:
        if goes_on:  # the rest of a command
            goes_on = line.rstrip().endswith("\\")
            yield _comment(line)
            continue
        if not depth and not quote and not continues and MAGIC.match(line):
            if timed := TIMED.fullmatch(line):
                yield f"{timed['indent']}{timed['statement']}  {LEFT_OUT}%{timed['magic']}"
                continue
            goes_on = line.rstrip().endswith("\\")
            yield _without(line)
            continue
        depth, quote = _open_after(line, depth, quote)
        continues = line.endswith("\\")
        yield line


def _without(line: str) -> str:
    """Return what stands in for a command; indented, it may be all that a block has."""
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}pass  {_comment(line)}" if indent else _comment(line)


def _comment(line: str) -> str:
    return f"{LEFT_OUT}{line.strip()}" if line.strip() else ""


def _open_after(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Return how many brackets and which text are open after a line."""
    for found in MARK.finditer(line):
        mark = found.group()
        if quote:
            quote = "" if mark.startswith(quote) else quote
        elif mark == "#":
            break
        elif mark[0] in "'\"":
            quote = mark
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth = max(0, depth - 1)
    # A text in single quotes ends with its line, unless the line goes on.
    return depth, quote if len(quote) == 3 or line.endswith("\\") else ""
