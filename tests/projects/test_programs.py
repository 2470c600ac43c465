"""What a command runs in a project."""

from __future__ import annotations

import pytest

from service.errors import BadInput
from service.projects.files import Bounds, project_of
from service.projects.programs import Program, program_in

PROJECT = project_of(
    [("main.py", b"\xef\xbb\xbfx = 1"), ("own/__main__.py", b""), ("tests/test_a.py", b""), ("raw.py", b"\xff")],
    Bounds(),
)


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("python main.py --epochs 1", Program(("--epochs", "1"), script="main.py")),
        ("python3 ./main.py", Program((), script="main.py")),
        ("python -m own -v", Program(("-v",), module="own")),
        ("pytest tests -k fit", Program(("tests", "-k", "fit"), is_tests=True)),
        ("python -m pytest", Program((), is_tests=True)),
    ],
)
def test_a_command_is_a_file_a_module_or_tests(command: str, program: Program) -> None:
    assert program_in(command.split()) == program


def test_the_source_is_the_file_as_it_is_and_runs_modules_and_tests() -> None:
    assert program_in(["python", "main.py"]).source(PROJECT) == "x = 1"
    assert "'own'" in program_in(["python", "-m", "own"]).source(PROJECT)
    assert "pytest.main" in program_in(["pytest", "tests/test_a.py::test_b"]).source(PROJECT)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("make all", "cannot run 'make'"),
        ("python", "names no file"),
        ("python -c print(1)", "names no file"),
        ("python -m", "needs the name of a module"),
        ("python -m a;b", "needs the name of a module"),
        ("python nowhere.py", "no file 'nowhere.py'; its scripts: main.py"),
        ("python raw.py", "not UTF-8"),
        ("python ../main.py", "may lead out"),
        ("python -m nowhere", "neither nowhere.py nor nowhere/__main__.py"),
        ("pytest tests/test_b.py", "no file or folder 'tests/test_b.py'"),
    ],
)
def test_what_cannot_run_is_refused(command: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        program_in(command.split()).source(PROJECT)
