"""Files that come with a question, in every Python that a release may need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.projects.files import Bounds, project_of
from tests.probes.protocol import Answered, ask
from tests.probes.test_harness import MEASURE, NEWEST, every_python

HELPER = b"""
import csv


def rows(name):
    with open(name) as source:
        return [row for row in csv.reader(source)]


def fails():
    raise ValueError('own fault')
"""
FILES = {"helper.py": HELPER, "data/numbers.csv": b"1,2\n", "own/__init__.py": b"", "own/deep.py": b"SIZE = 7\n"}
SCRIPT = """
import os, sys
import helper
from own.deep import SIZE
with open('written.txt', 'w') as target:
    target.write('x')
value = {
    'rows': helper.rows('data/numbers.csv'),
    'size': SIZE,
    'arguments': sys.argv,
    'file': __file__,
    'folder': os.path.basename(os.getcwd()),
    'writable': os.access('helper.py', os.W_OK) and os.getuid() != 0,
    'mode': oct(os.stat('helper.py').st_mode)[-3:],
    'found': sorted(os.listdir('.')),
}
"""


def asked(
    folder: Path, python: str, snippet: str, parameters: Mapping[str, Any], files: Mapping[str, bytes] = FILES
) -> Answered:
    sent = project_of(files.items(), Bounds()).sent
    environment = {"TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return ask(python, MEASURE, snippet, parameters=parameters, environment=environment, files=sent)


@every_python
def test_a_script_finds_its_modules_data_and_arguments(python: str, tmp_path: Path) -> None:
    value = asked(tmp_path, python, SCRIPT, {"arguments": ["--name", "größe"]}).measurements["value"]
    assert value == {
        "rows": [["1", "2"]],
        "size": 7,
        "arguments": ["snippet.py", "--name", "größe"],
        "file": "snippet.py",
        "folder": "project",
        "writable": False,
        "mode": "444",
        "found": ["data", "helper.py", "own", "written.txt"],
    }


@every_python
def test_a_fault_in_an_own_module_is_the_scripts_own_and_is_named_by_its_path(python: str, tmp_path: Path) -> None:
    raised = asked(tmp_path, python, "import helper\n\nhelper.fails()\n", {}).result
    assert (raised["exception"], raised["line"], raised["origin"]) == ("ValueError", 3, "snippet")
    assert 'File "helper.py", line 11, in fails' in raised["traceback"]
    assert str(tmp_path) not in raised["traceback"]


def test_a_script_in_a_folder_imports_from_there_and_works_in_the_projects_folder(tmp_path: Path) -> None:
    snippet = "import deep, os, sys\nvalue = [deep.SIZE, __file__, sys.argv, os.path.exists('helper.py')]"
    answered = asked(tmp_path, NEWEST, snippet, {"script": "own/main.py", "arguments": ["1"]})
    assert answered.measurements["value"] == [7, "own/main.py", ["own/main.py", "1"], True]


def test_files_that_do_not_fit_make_the_release_untestable(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    result = asked(tmp_path, NEWEST, "value = 1", {}).result
    assert result["kind"] == "untestable"
    assert "cannot lay out the files" in result["message"]


@pytest.mark.parametrize("size_bytes", [1 << 22])
def test_a_large_file_comes_whole(tmp_path: Path, size_bytes: int) -> None:
    content = bytes(range(256)) * (size_bytes // 256)
    snippet = "value = [len(open('big.bin', 'rb').read())]"
    assert asked(tmp_path, NEWEST, snippet, {}, {"big.bin": content}).measurements["value"] == [size_bytes]
