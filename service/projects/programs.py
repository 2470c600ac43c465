"""What a command runs in a project: a file, a module, or its tests."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import BadInput
from service.projects.files import Project, checked_path

PYTHON = re.compile(r"python(?:3(?:\.\d+)?)?")
MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
WHAT_RUNS = "write `python main.py …`, `python -m module …` or `pytest tests …`"
RUN_MODULE = """\
import runpy

runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
RUN_TESTS = """\
import sys

import pytest

sys.exit(pytest.main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Program:
    """What runs, and with which arguments."""

    arguments: tuple[str, ...]
    script: str = ""
    """The file that runs, in the project; "" for a module or tests."""
    module: str = ""
    is_tests: bool = False

    def source(self, project: Project) -> str:
        """Return the source that runs.

        Raises:
            BadInput: the project has no such file, module or tests, or the file is no text.
        """
        if self.script:
            return _text(self.script, project.files.get(self.script), project)
        if self.module:
            _check_module(self.module, project)
            return RUN_MODULE.format(module=self.module)
        _check_tests(self.arguments, project)
        return RUN_TESTS


def program_in(command: Sequence[str]) -> Program:
    """Read a command.

    Raises:
        BadInput: it is none of those that can run.
    """
    first, *rest = command
    if first in ("pytest", "py.test"):
        return Program(tuple(rest), is_tests=True)
    if not PYTHON.fullmatch(first):
        raise _unusable(f"cannot run {first[:80]!r}; {WHAT_RUNS}.")
    if not rest or (rest[0].startswith("-") and rest[0] != "-m"):
        raise _unusable(f"`{' '.join(command)[:80]}` names no file; {WHAT_RUNS}.")
    if rest[0] == "-m":
        return _module_of(rest[1:])
    return Program(tuple(rest[1:]), script=checked_path(rest[0]))


def _module_of(words: Sequence[str]) -> Program:
    if not words or not MODULE.fullmatch(words[0]):
        raise _unusable(f"`-m` needs the name of a module; {WHAT_RUNS}.")
    if words[0] == "pytest":
        return Program(tuple(words[1:]), is_tests=True)
    return Program(tuple(words[1:]), module=words[0])


def _text(path: str, content: bytes | None, project: Project) -> str:
    if content is None:
        scripts = [name for name in project.files if name.endswith((".py", ".ipynb"))]
        there = f"; its scripts: {', '.join(scripts[:10])}" if scripts else ""
        raise _unusable(f"the project has no file {path!r}{there}.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unusable(f"{path!r} is not UTF-8 text; save it as UTF-8.") from None


def _check_module(module: str, project: Project) -> None:
    path = module.replace(".", "/")
    if not any(name in project.files for name in (f"{path}.py", f"{path}/__main__.py")):
        raise _unusable(f"the project has no module {module!r}: neither {path}.py nor {path}/__main__.py.")


def _check_tests(arguments: Sequence[str], project: Project) -> None:
    """Refuse a path that does not exist: in every release pytest would say no more than that."""
    for word in arguments:
        path = posixpath.normpath(word.partition("::")[0])
        if word.startswith("-") or not (path.endswith(".py") or "/" in path):
            continue
        if path not in project.files and not any(name.startswith(f"{path}/") for name in project.files):
            raise _unusable(f"the project has no file or folder {path!r} to test.")


def _unusable(message: str) -> BadInput:
    return BadInput(message, field="command")
