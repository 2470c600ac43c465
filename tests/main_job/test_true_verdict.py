"""The main job on real TensorFlow releases: what really happened to Dropout in 2018 and 2019."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from service.catalog.interpreters import find_interpreter
from tests.main_job.conftest import EXAMPLES, Ended, Tfbisect, call

TUTORIAL = ("run", str(EXAMPLES / "dropout_tutorial.py"), "--releases", "1.9..1.14", "--json")
FIXED = ("run", str(EXAMPLES / "dropout_tutorial_fixed.py"), "--releases", "1.9..1.14", "--json")
DROPOUT = ("--probe", "dropout")
AROUND = (*TUTORIAL[:2], "--releases", "1.10.0,1.11.0,1.12.0,1.13.1", "--branches", "none", "--no-why", "--json")


def outcomes(verdict: dict[str, Any], line: str) -> dict[str, str]:
    return {
        release: segment["outcome"]
        for segment in verdict["segments"]
        if segment["line"] == line
        for release in segment["measured"]
    }


def changed(verdict: dict[str, Any]) -> list[tuple[str, str]]:
    return [(change["kind"], change["after"]) for change in verdict["changes"]]


def assert_true(ended: Ended, runner: str) -> None:
    assert ended.code == 0, ended.err
    assert_verdict(ended.verdict, runner)


def assert_verdict(verdict: dict[str, Any], runner: str) -> None:
    assert verdict["runner"] == runner
    assert outcomes(verdict, "mainline") == {
        "1.9.0": "drops",
        "1.10.0": "drops",
        "1.11.0": "never-drops",
        "1.12.0": "never-drops",
        "1.13.1": "drops",
        "1.14.0": "drops",
    }
    assert changed(verdict) == [("introduced", "1.11.0"), ("fixed", "1.13.1")]
    assert outcomes(verdict, "1.12")["1.12.3"] == "never-drops"
    assert verdict["never_fixed"][0]["last"] == "1.12.3"
    assert {"release": "1.13.0", "reason": "not on the package index", "kind": "absent"} in verdict["untestable"]


def test_the_answer_that_the_first_page_shows_is_the_true_one() -> None:
    shipped = json.loads((EXAMPLES / "dropout_tutorial.json").read_text(encoding="utf-8"))
    assert_verdict(shipped, "docker")
    assert shipped["runs"]["executed"] + shipped["runs"]["reused"] > 20


@pytest.mark.containers
@pytest.mark.index
def test_the_tutorial_script_gets_its_true_verdict_from_real_containers(engine: None, tfbisect: Tfbisect) -> None:
    first = tfbisect(*TUTORIAL, *DROPOUT, "--runner", "docker", TFBISECT_CONFIRMATIONS="4")
    assert_true(first, "docker")
    assert first.verdict["runs"]["executed"] == 21

    again = tfbisect(*TUTORIAL, *DROPOUT, TFBISECT_CONFIRMATIONS="4")
    assert_true(again, "docker")
    assert again.verdict["runs"] == {"executed": 0, "reused": 21, "lost": 0}

    # Asked nothing, at the releases around the changes; what dropout showed there is known.
    everything = tfbisect(*AROUND, "--runner", "docker")
    assert everything.code == 0, everything.err
    verdict = everything.verdict
    assert (verdict["probe"]["name"], verdict["leading"]) == ("behaviour", "dropout")
    assert changed(verdict) == [("introduced", "1.11.0"), ("fixed", "1.13.1")]
    assert verdict["runs"]["reused"] >= 4


@pytest.mark.containers
@pytest.mark.index
def test_with_an_input_shape_nothing_changes(engine: None, tfbisect: Tfbisect) -> None:
    ended = tfbisect(*FIXED, *DROPOUT, "--runner", "docker")
    assert ended.code == 0, ended.err
    assert ended.verdict["changes"] == []
    assert set(outcomes(ended.verdict, "mainline").values()) == {"drops"}


@pytest.mark.local
@pytest.mark.index
def test_without_an_engine_the_local_runner_reaches_the_same_verdict(tmp_path: Path, shared_folder: Path) -> None:
    if find_interpreter("3.6") is None:
        pytest.skip("no Python 3.6 on this machine")
    whole = os.environ.get("FULL") == "1"
    nowhere = f"unix://{tmp_path}/no-engine.sock"
    ended = call(
        tmp_path,
        *(TUTORIAL if whole else AROUND),
        *DROPOUT,
        DOCKER_HOST=nowhere,
        TFBISECT_CONFIRMATIONS="4" if whole else "2",
        TFBISECT_CACHE_DIR=str(shared_folder / "packages"),
    )
    if whole:
        assert_true(ended, "local")
        return
    # Each release is a folder of its own here, which takes longest: those around the changes suffice.
    assert ended.code == 0, ended.err
    assert ended.verdict["runner"] == "local"
    assert outcomes(ended.verdict, "mainline") == {
        "1.10.0": "drops",
        "1.11.0": "never-drops",
        "1.12.0": "never-drops",
        "1.13.1": "drops",
    }
    assert changed(ended.verdict) == [("introduced", "1.11.0"), ("fixed", "1.13.1")]
