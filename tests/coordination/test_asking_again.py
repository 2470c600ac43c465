"""The same runs asked in another way: what only the judge reads is no part of what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from service.bisection.outcomes import RunReport
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.execution.runner import RunRequest
from service.reports.readings import Readings
from service.storage.records import ADMIN
from tests.web.world import MadeUpRuns, World

NEWER = Version("1.12")


def report(request: RunRequest) -> RunReport:
    """Return a loss that is 1 % larger from 1.12 on, when a warning begins."""
    is_newer = Version(request.target.release) >= NEWER
    pattern = request.parameters.get("pattern") or request.parameters.get("bad_pattern")
    measured = {
        "parameters": dict(request.parameters),
        "exit_code": 0,
        "raised": None,
        "reported": [["loss", 0.303 if is_newer else 0.3]],
        "output": "deprecated" if is_newer else "",
        **({"found": "deprecated" if is_newer else None, "searched": pattern} if pattern else {}),
    }
    return RunReport("answered", result={"kind": "measured", "measurements": measured}, runner="docker")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    opened = World(tmp_path, MadeUpRuns(report=report))
    yield opened
    opened.close()


def verdict(world: World, **parameters: Any) -> Mapping[str, Any]:
    request = {"snippet": "pass\n", "probe": "script", "releases": "1.9..1.14", "branches": "none"}
    asked = BisectionRequest.model_validate({**request, "parameters": parameters})
    finished = world.submission.run(asked, Silent(), ready=lambda: None)
    assert finished.verdict is not None, finished.error
    return finished.verdict


def places(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(change["kind"], change["after"]) for change in said["changes"] if change["line"] == "mainline"]


def test_another_tolerance_judge_or_expectation_is_answered_without_a_run(world: World) -> None:
    assert places(verdict(world)) == [("changed", "1.12.0")]
    wide = verdict(world, tolerance=0.1)
    assert (wide["changes"], wide["runs"]["executed"]) == ([], 0)
    expected = verdict(world, expect={"loss": 0.3})
    assert (places(expected), expected["runs"]["executed"]) == ([("introduced", "1.12.0")], 0)
    printed = verdict(world, judge_by="output")
    assert (places(printed), printed["runs"]["executed"]) == ([("changed", "1.12.0")], 0)


def test_what_a_stored_run_means_depends_on_the_bisection_that_shows_it(world: World) -> None:
    first, second = verdict(world), verdict(world, expect={"loss": 0.3})
    seen = {}
    for said in (first, second):
        reading = Readings(world).reading(said["id"], ADMIN)
        seen[said["id"]] = {getattr(answer[0], "label", "") for answer in reading.answers().values()}
    assert seen[first["id"]] == {"reports:loss=0.3", "reports:loss=0.303"}
    assert seen[second["id"]] == {"as-expected", "differs:loss"}


def test_a_pattern_that_begins_to_match_is_neither_right_nor_wrong(world: World) -> None:
    said = verdict(world, pattern="deprecated")
    assert places(said) == [("changed", "1.12.0")]
    assert said["summary"] == "Starts to match in 1.12.0."
    assert said["never_fixed"] == []


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"bad_pattern": "deprecated"}, "introduced"),
        ({"pattern": "deprecated", "regress": "match"}, "introduced"),
        ({"pattern": "deprecated", "regress": "no-match"}, "fixed"),
    ],
)
def test_a_direction_says_what_is_right(world: World, parameters: dict[str, Any], kind: str) -> None:
    said = verdict(world, **parameters)
    assert places(said) == [(kind, "1.12.0")]
    assert said["expected"] == ["matches" if kind == "fixed" else "does-not-match"]


def test_another_pattern_and_its_direction_are_answered_without_a_run(world: World) -> None:
    assert verdict(world, pattern="deprecated")["runs"]["executed"] > 0
    for parameters, changes in (
        ({"pattern": "deprecated", "regress": "match"}, [("introduced", "1.12.0")]),
        ({"bad_pattern": "prec.ted$"}, [("introduced", "1.12.0")]),
        ({"pattern": "nowhere"}, []),
    ):
        said = verdict(world, **parameters)
        assert (places(said), said["runs"]["executed"]) == (changes, 0)
