"""The rooms of service/: which may import which. docs/architecture.md draws the same table."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import service

SERVICE = Path(service.__file__).parent
GROUND = {
    "errors",
    "settings",
    "secret_urls",
    "printable",
    "json_text",
    "clock",
    "resources",
    "locks",
    "scratch",
    "threads",
    "syntax",
    "spelling",
}
BELOW_COORDINATION = {"execution", "storage", "catalog", "projects", "bisection"} | GROUND
ALLOWED: dict[str, set[str]] = {
    "cli": {"bootstrap", "web", "reports", "nightly", "causes", "coordination", "images"} | BELOW_COORDINATION,
    "bootstrap": {"reports", "nightly", "causes", "coordination", "images"} | BELOW_COORDINATION,
    "web": {"reports", "nightly", "coordination", "storage", "catalog", "projects", "bisection"} | GROUND,
    "reports": {"coordination", "storage", "catalog", "bisection"} | GROUND,
    "nightly": {"coordination", "storage", "catalog", "bisection"} | GROUND,
    "causes": {"coordination"} | BELOW_COORDINATION,
    "coordination": BELOW_COORDINATION,
    "images": {"execution", "storage", "catalog", "bisection"} | GROUND,
    "execution": {"catalog", "bisection"} | GROUND,
    "storage": {"bisection"} | GROUND,
    "catalog": {"bisection"} | GROUND,
    "projects": {"bisection"} | GROUND,
    "bisection": set(),
    "settings": {"errors", "secret_urls"},
    "resources": {"errors"},
    "errors": {"secret_urls"},
    "secret_urls": set(),
    "printable": set(),
    "json_text": set(),
    "clock": set(),
    "locks": set(),
    "threads": {"errors"},
    "syntax": set(),
    "spelling": set(),
    "scratch": set(),
    "__main__": {"cli"},
    "__init__": set(),
}
"""By room, oldest floor last: the rooms it may import. A package's own name and version belong to nobody."""


def room_of(path: Path) -> str:
    return path.relative_to(SERVICE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, those inside functions and for types included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by dots; write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = sorted(path for path in SERVICE.rglob("*.py") if "_resources" not in path.parts)


def importers(module: str) -> set[str]:
    """Return the files that import a module or anything in it."""
    return {
        path.relative_to(SERVICE).as_posix()
        for path in FILES
        if any(name == module or name.startswith(f"{module}.") for name in imported(path))
    }


def test_every_room_is_in_the_table() -> None:
    assert {room_of(path) for path in FILES} == set(ALLOWED)


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for path in (path for path in FILES if room_of(path) == room):
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "service" and parts[1] not in {room, "__version__"}:
                found[parts[1]].add(path.relative_to(SERVICE).as_posix())
    forbidden = {target: files for target, files in found.items() if target not in ALLOWED[room]}
    assert not forbidden, f"{room} must not import {forbidden}; see docs/architecture.md"


def test_the_rooms_stand_on_floors_so_that_no_arrow_runs_back() -> None:
    left = dict(ALLOWED)
    while left:
        floor = [room for room, below in left.items() if not (below & left.keys())]
        assert floor, f"a circle among {sorted(left)}"
        for room in floor:
            del left[room]


def test_only_those_who_talk_to_the_engine_import_its_client() -> None:
    assert importers("docker") == {
        "execution/docker_engine.py",  # connects, and says what goes wrong
        "execution/docker_runner.py",  # runs
        "images/docker_images.py",  # makes and keeps images
    }


def test_only_the_command_that_serves_imports_the_web() -> None:
    assert {name for name in importers("service.web") if not name.startswith("web/")} == {"cli/serve.py"}


def test_nothing_but_the_commands_imports_bootstrap() -> None:
    assert {name.split("/")[0] for name in importers("service.bootstrap")} == {"cli"}
