"""A coordinator in a container: neither interpreters nor mmdebstrap of its own, only an engine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from service.catalog.interpreters import find_interpreter, loader_variables
from service.errors import NoInterpreter
from service.images import grounds as base_image
from service.images.docker_images import DockerImages
from service.images.grounds import Grounds, GroundSettings
from service.images.interpreters import GroundInterpreters
from service.resources import resource_dir
from tests.images.worlds import Workshop

PYTHON = "3.10"


@pytest.fixture
def prepared(workshop: Workshop) -> str:
    """Return the base that the engine's host made."""
    return workshop.images.grounds.ensure(PYTHON).id


@pytest.fixture
def inside(
    workshop: Workshop, engine: DockerImages, tmp_path: Path, prepared: str, monkeypatch: pytest.MonkeyPatch
) -> Grounds:
    """Return the bases as a coordinator in a container sees them."""
    monkeypatch.setattr(base_image, "can_make_system", lambda: False)
    return Grounds(
        engine,
        folder=resource_dir("images") / "base",
        data_dir=workshop.settings.data_dir,
        index=workshop.environments.catalog.index,
        settings=GroundSettings(python_image="localhost:9/python:{python}"),
        interpreter=lambda _: None,
    )


def test_a_base_that_the_host_prepared_is_taken(inside: Grounds, prepared: str) -> None:
    assert inside.ensure(PYTHON).id == prepared


def test_the_image_of_a_release_is_not_taken_for_the_base_that_it_stands_on(
    workshop: Workshop, inside: Grounds, prepared: str
) -> None:
    workshop.images.ensure(workshop.six())  # has all the labels of its base
    assert inside.ensure(PYTHON).id == prepared


def test_a_base_of_another_recipe_is_not_taken(inside: Grounds, tmp_path: Path) -> None:
    for name in ("Dockerfile", "prepare.sh"):
        (tmp_path / name).write_text((inside._folder / name).read_text() + "\n# changed\n")
    inside._folder = tmp_path
    with pytest.raises(NoInterpreter, match="tfbisect images bases"):
        inside.ensure(PYTHON)


def test_an_interpreter_out_of_a_base_runs_from_where_it_was_put(
    engine: DockerImages, inside: Grounds, tmp_path: Path
) -> None:
    interpreters = GroundInterpreters(engine, inside, tmp_path / "taken")
    found = interpreters.find(PYTHON)
    code = "import sys, json, zlib; print(sys.version_info[:2], sys.prefix)"
    said = subprocess.run(
        [str(found), "-c", code], capture_output=True, text=True, check=True, env=loader_variables(found)
    )
    assert said.stdout == f"(3, 10) {found.parent.parent}\n"
    assert interpreters.find(PYTHON) == found
    assert found.is_relative_to(tmp_path / "taken")


def test_an_interpreter_of_the_machine_needs_no_help_to_find_its_library() -> None:
    found = find_interpreter(PYTHON)
    if found is None:
        pytest.skip(f"no Python {PYTHON} is here")
    assert loader_variables(found) == {}
