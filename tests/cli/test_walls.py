"""Which walls stand, as `tfbisect doctor --security` says it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.cli.walls import engine_walls, local_walls
from service.settings import Settings

ABLE = {"MemoryLimit": True, "SwapLimit": True, "CpuCfsQuota": True, "PidsLimit": True}
SECCOMP = "name=seccomp,profile=default"
BEST: dict[str, Any] = {
    **ABLE,
    "SecurityOptions": [SECCOMP, "name=apparmor", "name=userns"],
    "Runtimes": {"runc": {}, "runsc": {}},
    "DefaultRuntime": "runc",
}


def states(engine: dict[str, Any], *, filtered: bool = False, **settings: Any) -> dict[str, str]:
    return {found.subject: found.state for found in engine_walls(engine, Settings(**settings), filtered=filtered)}


def test_all_walls_can_stand() -> None:
    assert set(states(BEST, filtered=True, container_runtime="runsc").values()) == {"ok"}


@pytest.mark.parametrize(
    ("engine", "settings", "subject", "state"),
    [
        ({"SecurityOptions": []}, {}, "system calls", "failure"),
        ({}, {"system_calls": "engine"}, "system calls", "warning"),
        ({"BuildahVersion": "1.41"}, {}, "system calls", "warning"),
        ({"SecurityOptions": [SECCOMP]}, {}, "root of a container", "warning"),
        ({"SecurityOptions": [SECCOMP, "name=rootless"]}, {}, "root of a container", "ok"),
        ({"SecurityOptions": [SECCOMP]}, {}, "security module", "warning"),
        ({"MemoryLimit": False}, {}, "limits", "warning"),
        ({}, {}, "kernel", "warning"),
        ({}, {"container_runtime": "runsc-typo"}, "kernel", "failure"),
        ({"DefaultRuntime": "runsc"}, {}, "kernel", "ok"),
        ({}, {}, "filter in front of the engine", "warning"),
    ],
)
def test_a_wall_that_does_not_stand_is_said_to_be_missing(
    engine: dict[str, Any], settings: dict[str, Any], subject: str, state: str
) -> None:
    assert states({**BEST, **engine}, **settings)[subject] == state


def test_the_local_runner_names_what_it_lacks() -> None:
    said = local_walls(("no network isolation",))
    assert [found.subject for found in said] == ["runner", "no network isolation"]


@pytest.mark.local
def test_the_command_says_it_of_this_machine(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFBISECT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TFBISECT_RUNNER", "local")
    done = CliRunner().invoke(app, ["doctor", "--security", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["subject"] == "runner"
