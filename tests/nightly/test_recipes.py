"""The recipes of docs/nightly.md that make a pass every night: what reads them can read them."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from service.cli.app import app
from service.nightly.schedule import trigger_of
from service.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "nightly.md").read_text(encoding="utf-8")
VARIABLE = re.compile(r"TFBISECT_([A-Z_]+)")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def loaded(name: str) -> dict[Any, Any]:
    (found,) = [value for text in blocks("yaml") if name in (value := yaml.safe_load(text))]
    return dict(found)


def assert_a_call(words: list[str]) -> None:
    """Let the command line itself parse the words after `tfbisect`."""
    assert words[0] == "nightly"
    command = get_command(app).commands["nightly"]  # type: ignore[attr-defined]
    command.make_context("nightly", words[1:])


def test_every_setting_that_the_page_names_is_there() -> None:
    named = {name.lower() for name in VARIABLE.findall(PAGE)}
    assert named
    assert named <= set(Settings.model_fields)


def test_the_crontab_names_a_time_a_user_and_the_command() -> None:
    (text,) = blocks("cron")
    *settings, line = text.splitlines()
    assert all(re.fullmatch(r"[A-Z_]+=\S+", setting) for setting in settings)
    fields = line.split()
    trigger_of(" ".join(fields[:5]), settings[0].partition("=")[2])
    assert fields[5] == "tfbisect"
    assert_a_call(fields[7:])


def test_the_systemd_units_hold_and_call_the_command(tmp_path: Path) -> None:
    units = {re.findall(r"^# (\S+)", text)[0]: text for text in blocks("ini")}
    assert list(units) == ["tfbisect-nightly.service", "tfbisect-nightly.timer"]
    service = configparser.ConfigParser(interpolation=None)
    service.read_string(units["tfbisect-nightly.service"])
    program, *words = service["Service"]["ExecStart"].split()
    assert_a_call(words)
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd to ask")
    for name, text in units.items():
        # Verified where the program is: this one stands for it.
        (tmp_path / name).write_text(text.replace(program, "/bin/true").replace("User=tfbisect\n", ""))
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in units)]
    told = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    )
    assert [line for line in told.stderr.splitlines() if "tfbisect" in line] == []


def test_the_workflow_keeps_its_observations_whatever_the_pass_says() -> None:
    workflow = loaded("jobs")
    steps = workflow["jobs"]["nightly"]["steps"]
    calls = [step["run"] for step in steps if str(step.get("run", "")).startswith("tfbisect")]
    assert_a_call(calls[0].split()[1:])
    restore, save = (step for step in steps if "cache" in str(step.get("uses")))
    assert save["if"] == "always()"
    assert restore["with"]["path"] == save["with"]["path"]
    # YAML reads the bare word `on` as true.
    trigger_of(workflow[True]["schedule"][0]["cron"], "UTC")


def test_the_cron_job_does_not_run_a_changed_verdict_again() -> None:
    job = loaded("kind")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    trigger_of(job["spec"]["schedule"], job["spec"]["timeZone"])
    inner = job["spec"]["jobTemplate"]["spec"]
    assert inner["template"]["spec"]["restartPolicy"] == "Never"
    assert inner["podFailurePolicy"]["rules"][0]["onExitCodes"] == {"operator": "In", "values": [10]}
    assert_a_call(inner["template"]["spec"]["containers"][0]["args"])
