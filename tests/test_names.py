"""A public name means one thing: no class or function has the name of another in a second module."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import service

SERVICE = Path(service.__file__).parent
MAY_STAND_TWICE: dict[str, str] = {}
"""Name -> why two modules need it. A name is worth more than a row here: `StoredBisection` beside `Reading`."""


def public_names() -> dict[str, set[str]]:
    """Map each public class and function to the modules that define it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SERVICE.rglob("*.py"):
        if "_resources" in path.parts:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
                found[node.name].add(path.relative_to(SERVICE).as_posix())
    return found


def test_a_public_name_is_defined_in_one_module() -> None:
    twice = {name: sorted(places) for name, places in public_names().items() if len(places) > 1}
    unexplained = {name: places for name, places in twice.items() if name not in MAY_STAND_TWICE}
    assert not unexplained, "rename one of each pair, so that a reader of an import knows what it is"
    assert MAY_STAND_TWICE.keys() <= twice.keys(), "a row of the table is not needed any more"
