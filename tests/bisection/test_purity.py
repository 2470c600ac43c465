"""The rooms that must stay pure: what they import."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import service.bisection

FILES = sorted(Path(service.bisection.__file__).parent.glob("*.py"))
# Of the standard library, whatever brings in time, chance, the outside or a second thread of control.
IMPURE = {
    "asyncio",
    "concurrent",
    "datetime",
    "glob",
    "http",
    "importlib",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
    "warnings",
}
BUILTINS = {"open", "print", "input", "exec", "eval", "__import__"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(str(node.module))
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_bisection_imports_only_the_standard_library_packaging_and_itself(path: Path) -> None:
    for name in imported(path):
        root = name.split(".")[0]
        known = root in sys.stdlib_module_names or root == "packaging"
        assert known or name.startswith("service.bisection"), f"{path.name} imports {name}"
        assert root not in IMPURE, f"{path.name} imports {name}, which is not pure"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_bisection_reads_and_writes_nothing(path: Path) -> None:
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & BUILTINS
