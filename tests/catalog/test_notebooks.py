"""Notebooks as scripts: which lines stay, and where each of them is."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from service.catalog.notebooks import as_script, cell_and_line, commands_left_out, script_of_notebook, with_cells
from service.errors import SnippetError


def notebook(*cells: str | list[str], **metadata: Any) -> str:
    code = [{"cell_type": "code", "source": cell, "outputs": [{"data": "x" * 100}]} for cell in cells]
    text = {"cell_type": "markdown", "source": ["# A title\n"]}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [text, *code]})


def test_the_code_cells_come_in_order_and_each_has_its_number() -> None:
    script = as_script(notebook(["a = 1\n", "b = 2"], "", "print(a + b)"))
    assert script == "# %% cell 1\na = 1\nb = 2\n\n# %% cell 2\nprint(a + b)\n"


def test_what_only_a_notebook_understands_becomes_a_comment_line_for_line() -> None:
    cell = "%matplotlib inline\n!pip install \\\n  pandas\nimport os\nfiles = !ls\nos.path?\nif os:\n    %cd /tmp\n?os"
    script = as_script(notebook(cell))
    assert script.splitlines()[1:] == [
        "# left out: %matplotlib inline",
        "# left out: !pip install \\",
        "# left out: pandas",
        "import os",
        "# left out: files = !ls",
        "# left out: os.path?",
        "if os:",
        "    pass  # left out: %cd /tmp",
        "# left out: ?os",
    ]
    ast.parse(script)
    assert commands_left_out(script)[0] == "cell 1, line 1: %matplotlib inline"


@pytest.mark.parametrize(
    "code",
    [
        "x = (7\n% 4)",
        "text = '''\n%matplotlib inline\n!ls\n'''",
        'text = """it\'s\n!ls"""',
        "x = 7 \\\n% 4",
        "y = '(' # (\nx = 7 % 4",
        "z = {'a': [1,\n2]}\nw = \"'''\"\nx = 1",
    ],
)
def test_what_merely_looks_like_a_command_stays(code: str) -> None:
    script = as_script(notebook(code))
    assert commands_left_out(script) == []
    assert ast.dump(ast.parse(script)) == ast.dump(ast.parse(code))


def test_a_timed_statement_stays_and_a_cell_of_another_program_goes() -> None:
    script = as_script(notebook("%time model.fit(x)", "%%capture out\nx = 1", "%%bash\nls\n\n  rm x", "%%\nx"))
    assert "model.fit(x)  # left out: %time\n" in script
    assert "\nx = 1\n" in script
    ast.parse(script)
    assert [command.split(": ")[0] for command in commands_left_out(script)] == [
        "cell 1, line 1",
        "cell 2, line 1",
        *(f"cell 3, line {line}" for line in (1, 2, 4)),
        *(f"cell 4, line {line}" for line in (1, 2)),
    ]


def test_a_place_in_the_script_is_named_by_cell_and_a_script_without_cells_by_line() -> None:
    script = as_script(notebook("a\nb", "c\nd"))
    assert [cell_and_line(script, line) for line in (2, 3, 6, 7)] == [
        "cell 1, line 1",
        "cell 1, line 2",
        "cell 2, line 1",
        "cell 2, line 2",
    ]
    assert cell_and_line("a\nb\n", 2) == "line 2"
    trail = 'File "snippet.py", line 7, in f\n  File "model.py", line 7'
    assert with_cells(trail, script) == trail.replace(" 7, in", " 7 (cell 2, line 2), in")
    assert with_cells(trail, "a\nb\n") == trail


def test_a_notebook_of_format_3_is_read() -> None:
    sheet = {"cells": [{"cell_type": "code", "input": ["x = 1"], "language": "python"}]}
    assert as_script(json.dumps({"nbformat": 3, "worksheets": [sheet]})).endswith("\nx = 1\n")


def test_any_other_text_stays_as_it_is() -> None:
    for text in ("x = 1\n", '{"cells": []}', '{"nbformat": 4', '{"nbformat": ' + "[" * 100_000):
        assert as_script(text) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (notebook("x", kernelspec={"language": "R"}), "is written in r, not in Python"),
        (notebook("", "  \n"), "no code cells"),
        ('{"nbformat": 4}', "no code cells"),
        ('{"nbformat": 4, "cells": 7, "worksheets": [1, {"cells": [2]}], "metadata": 3}', "no code cells"),
        ("x = 1", "own.ipynb is not a Jupyter notebook"),
    ],
)
def test_a_notebook_without_python_is_refused(text: str, words: str) -> None:
    with pytest.raises(SnippetError, match=words) as refused:
        script_of_notebook(text, "own.ipynb")
    assert refused.value.field == "snippet"
