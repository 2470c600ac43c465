"""Which runner is taken, and that it says why."""

from __future__ import annotations

from typing import Any, cast

import pytest

from service.errors import NoRunner
from service.execution.choice import choose_runner
from service.execution.runner import Runner
from service.settings import Settings

DOCKER, LOCAL = cast("Runner", "docker runner"), cast("Runner", "local runner")


def choice(asked: str, *, engine: bool, pythons: list[str]) -> tuple[Runner, str]:
    def connect() -> Any:
        if not engine:
            raise NoRunner("no container engine answers at unix:///x; start Docker.")
        return "client"

    settings = Settings(runner=asked)
    found = choose_runner(settings, connect, lambda _: DOCKER, lambda: LOCAL, lambda: pythons)
    return found.runner, found.why


@pytest.mark.parametrize(
    ("asked", "engine", "taken", "why"),
    [
        ("auto", True, DOCKER, "a container engine is available"),
        ("auto", False, LOCAL, "no container engine answers at unix:///x; start Docker. Using the local runner"),
        ("local", True, LOCAL, "the local runner was asked for"),
        ("docker", True, DOCKER, "Docker was asked for"),
    ],
)
def test_docker_is_preferred_and_the_reason_is_said(asked: str, engine: bool, taken: Runner, why: str) -> None:
    runner, said = choice(asked, engine=engine, pythons=["3.6", "3.8"])
    assert runner == taken
    assert said.startswith(why)


@pytest.mark.parametrize(("asked", "pythons"), [("docker", ["3.6"]), ("auto", [])])
def test_no_runner_is_an_error_that_names_what_is_missing(asked: str, pythons: list[str]) -> None:
    with pytest.raises(NoRunner, match="no container engine answers"):
        choice(asked, engine=False, pythons=pythons)
