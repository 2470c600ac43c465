"""The steps of action.yml, run as the shell that they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "name" in step}


def run(step: str, folder: Path, inputs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step as a hosted runner does, with its inputs filled in."""
    given = {name: each.get("default", "") for name, each in ACTION["inputs"].items()} | inputs
    contexts = {f"inputs.{name}": value for name, value in given.items()} | {"github.action_path": str(ROOT)}
    variables = {name: filled(text, contexts) for name, text in STEPS[step].get("env", {}).items()}
    runner = {"RUNNER_TEMP": str(folder / "temp"), "HOME": str(folder), "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    # What says where packages come from is the machine's; no setting of tfbisect is.
    machine = {name: value for name, value in os.environ.items() if not name.startswith("TFBISECT_")}
    return subprocess.run(
        ["bash", "-c", STEPS[step]["run"]],
        cwd=folder,
        env={**machine, "COLUMNS": "200", **runner, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def filled(text: str, contexts: dict[str, str]) -> str:
    for name, value in contexts.items():
        text = text.replace("${{ " + name + " }}", value)
    assert "${{" not in text
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a checkout with a tfbisect that writes down how it was called."""
    tool = tmp_path / "temp" / "tfbisect" / "bin" / "tfbisect"
    tool.parent.mkdir(parents=True)
    tool.write_text(
        f'#!{sys.executable}\nimport os, sys\nprint(os.environ["TFBISECT_DATA_DIR"], *sys.argv[1:], sep="\\n")\n'
    )
    tool.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "called"),
    [
        ({"file": "m.py"}, ["--package", "tensorflow", "--fail-on", "any", "--github", "--", "m.py"]),
        (
            {"file": "-x $(touch a).py", "from": "2.15", "to": "2.16", "aspects": "ends prints", "sarif": "a b"},
            [
                *("--package", "tensorflow", "--fail-on", "any", "--github", "--from", "2.15", "--to", "2.16"),
                *("--sarif", "a b", "--aspect", "ends", "--aspect", "prints", "--", "-x $(touch a).py"),
            ],
        ),
    ],
)
def test_inputs_become_options_and_never_shell(folder: Path, inputs: dict[str, str], called: list[str]) -> None:
    ended = run("Check the upgrade", folder, inputs)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [str(folder / ".tfbisect-store"), "check", *called]
    assert not (folder / "a").exists()


def test_every_input_is_used_and_explained() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    for name, each in ACTION["inputs"].items():
        assert each["description"]
        assert f"inputs.{name} }}}}" in text


def test_no_step_holds_an_input_in_its_script() -> None:
    scripts: list[Any] = [step["run"] for step in STEPS.values()]
    assert not any("${{" in script for script in scripts)


@pytest.mark.index
def test_what_it_installs_answers(tmp_path: Path) -> None:
    installed = run("Install tfbisect", tmp_path, {"file": "m.py"})
    assert installed.returncode == 0, installed.stderr
    (tmp_path / "m.py").write_text("(\n")
    ended = run("Check the upgrade", tmp_path, {"file": "m.py", "from": "2.15", "to": "2.16"})
    assert ended.returncode == 2, ended.stdout
    assert "line 1" in ended.stderr
