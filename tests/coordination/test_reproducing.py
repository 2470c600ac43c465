"""The command that measures one release again asks what was asked."""

from __future__ import annotations

import shlex
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.cli.requests import build_request
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.coordination.reproducing import reproduce_command
from tests.web.world import TUTORIAL, World

ASKED: dict[str, Any] = {
    "probe": "script",
    "package": "keras",
    "hardware": "cuda",
    "parameters": {"pattern": "loss = 0", "expect": {"loss": 0.5}},
    "input_shape": (28, 28),
    "image_source": "official",
    "timeout_seconds": 90.5,
    "repeats": 4,
    "prereleases": True,
    "python": "3.10",
    "as_of": date(2024, 6, 1),
    "with": ("numpy==1.26.4", "pandas<2,>=1.4"),
    "whole": True,
    "arguments": ("--epochs", "1"),
}
LABELS = {"name"}
"""What says nothing about runs."""
IN_THE_USERS_FOLDER = {"snippet", "project", "command"}
FOR_ALL_RELEASES = {
    "why",
    "resolution",
    "branches",
    "complete",
    "watch",
    "fresh",
    "releases",
    "variants",
    "variant_snippets",
}
"""What says which releases are run, and not what one of them answers."""


def parsed(command: str, source: str, monkeypatch: pytest.MonkeyPatch) -> BisectionRequest:
    """Return the request that the command line makes of a command."""
    made: list[BisectionRequest] = []

    class Stopped(Exception):
        pass

    def stop(**fields: Any) -> BisectionRequest:
        made.append(build_request(**fields))
        raise Stopped

    monkeypatch.setattr("service.cli.options.build_request", stop)
    CliRunner().invoke(app, shlex.split(command)[1:], input=source)
    return made[0]


def test_the_command_line_reads_it_as_the_same_question(monkeypatch: pytest.MonkeyPatch) -> None:
    request = BisectionRequest(snippet="x = 1", **ASKED)
    assert set(request.model_dump()) - FOR_ALL_RELEASES - IN_THE_USERS_FOLDER - LABELS == set(ASKED)
    command = reproduce_command(request.model_dump(mode="json"), "3.1.0", snippet="-", variant="eager")
    again = parsed(command, "x = 1", monkeypatch)
    expected = request.model_copy(update={"releases": "3.1.0", "variants": ("eager",), "fresh": True})
    assert again == expected


def test_the_folder_of_a_project_is_left_to_the_user() -> None:
    project = {"project": "sha256:a", "command": ["python", "main.py", "--epochs", "1"]}
    command = reproduce_command(project, "1.11.0")
    assert command.startswith("tfbisect run PROJECT --package tensorflow --releases 1.11.0 ")
    assert command.endswith(" --fresh -- python main.py --epochs 1")
    beside = reproduce_command({"project": "sha256:a", "arguments": ["x"]}, "1.11.0")
    assert beside.endswith(" --file PROJECT --fresh -- x")


def test_it_is_safe_in_a_shell() -> None:
    command = reproduce_command({"package": "tensor flow; rm -rf /"}, "1.11.0")
    assert "'tensor flow; rm -rf /'" in command


def test_a_change_of_a_variant_is_shown_by_the_source_of_the_variant(tmp_path: Path) -> None:
    world = World(tmp_path)
    request = BisectionRequest(
        snippet=TUTORIAL,
        releases="1.10..1.11",
        variants=("eager",),
        variant_snippets={"renamed": TUTORIAL.replace("x_train", "images")},
        timeout_seconds=90,
    )
    verdict = world.submission.run(request, Silent(), ready=lambda: None).verdict
    world.close()
    assert verdict is not None
    commands = {"": verdict["changes"][0]["reproduce"]["after"]}
    for variant in verdict["variants"]:
        commands[variant["name"]] = variant["verdict"]["changes"][0]["reproduce"]["after"]
    assert commands[""].startswith("tfbisect run snippet.py --package tensorflow --releases 1.11.0 ")
    assert "run snippet.py " in commands["eager"]
    assert "--variant eager" in commands["eager"]
    assert "run renamed.py " in commands["renamed"]
    assert "--variant" not in commands["renamed"]
    assert all("--timeout 90 " in command for command in commands.values())
