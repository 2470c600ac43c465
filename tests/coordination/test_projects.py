"""Requests with files: what runs, its key, and what is refused before anything is kept. The runs are made up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.bisection.outcomes import RunReport
from service.coordination.conclusion import Finished
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.errors import BadInput
from service.execution.runner import RunRequest
from service.projects.files import Bounds, Project, project_of
from tests.web.world import MadeUpRuns, World

FILES = {"main.py": b"import own\n", "own.py": b"import pandas\n", "tests/test_own.py": b"import pytest\n"}
TESTED = ("1.12.0", "1.13.1", "1.14.0")


class Asked:
    """Runs that answer as pytest would: one test fails in 1.12, one is unstable, one always passes."""

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []

    def __call__(self, request: RunRequest) -> RunReport:
        self.requests.append(request)
        fails = {"result": "failed", "exception": "AttributeError", "message": "no attribute"}
        tests = [
            {
                "name": "tests/test_own.py::test_new",
                **(fails if request.target.release < "1.13" else {"result": "passed"}),
            },
            {"name": "tests/test_own.py::test_old", "result": "passed"},
        ]
        return RunReport(
            "answered", result={"kind": "measured", "measurements": {"exit_code": 1, "tests": tests}}, runner="docker"
        )


@pytest.fixture
def runs() -> Asked:
    return Asked()


@pytest.fixture
def world(tmp_path: Path, runs: Asked) -> Iterator[World]:
    opened = World(tmp_path, MadeUpRuns(report=runs))
    yield opened
    opened.close()


def project(**changed: bytes) -> Project:
    return project_of({**FILES, **changed}.items(), Bounds())


def run(world: World, *command: str, sent: Project | None = None, **more: Any) -> Finished:
    sent = sent or project()
    request = BisectionRequest(project=sent.digest, command=command, releases=",".join(TESTED), branches="none", **more)
    return world.submission.run(request, Silent(), ready=lambda: None, project=sent)


def test_each_test_is_an_aspect_and_a_fixed_one_leads(world: World) -> None:
    verdict = run(world, "pytest", "tests").verdict
    assert verdict is not None
    assert verdict["probe"]["name"] == "tests"
    assert verdict["leading"] == "tests/test_own.py::test_new"
    assert [(each["kind"], each["after"], each["old"]) for each in verdict["changes"]] == [
        ("fixed", "1.13.1", "fails:AttributeError")
    ]
    assert "tests/test_own.py::test_new: passed (before: fails:AttributeError)" in verdict["summary"]
    aspects = {aspect["name"]: aspect for aspect in verdict["aspects"]}
    assert list(aspects) == ["ends", "tests/test_own.py::test_new", "tests/test_own.py::test_old"]
    assert aspects["tests/test_own.py::test_old"]["changes"] == []


def test_a_run_gets_the_files_and_arguments_and_what_the_modules_import(world: World, runs: Asked) -> None:
    run(world, "pytest", "tests", "-k", "new")
    asked = runs.requests[0]
    assert set(asked.files) == set(FILES)
    assert asked.parameters["files"] == project().digest
    assert asked.parameters["arguments"] == ["tests", "-k", "new"]
    assert set(asked.target.imports) == {"pandas", "pytest"}


def test_an_unchanged_project_is_answered_from_the_store_and_a_changed_one_runs_again(
    world: World, runs: Asked
) -> None:
    run(world, "python", "main.py", probe="script")
    assert runs.requests[0].snippet == "import own\n"
    assert runs.requests[0].parameters["script"] == "main.py"
    before = len(runs.requests)
    run(world, "python", "main.py", probe="script")
    assert len(runs.requests) == before
    run(world, "python", "main.py", probe="script", sent=project(**{"own.py": b"import pandas  # changed\n"}))
    assert len(runs.requests) == 2 * before


def test_what_a_queued_bisection_needs_is_read_from_the_store(world: World, runs: Asked) -> None:
    sent = project()
    world.store.put_project(sent.digest, sent.packed)
    request = BisectionRequest(project=sent.digest, command=("pytest", "tests"), releases="1.12.0", branches="none")
    submitted = world.submission.submit(request)
    world.work_off()
    assert world.store.bisection(submitted.id).status == "done"
    assert set(runs.requests[0].files) == set(FILES)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"command": ("pytest",)}, "command", "needs a project"),
        ({"project": f"sha256:{'a' * 64}", "command": ("pytest",)}, "project", "there is no project"),
        ({"project": f"sha256:{'a' * 64}", "snippet": "x = 1"}, "project", "there is no project"),
        ({"project": project().digest, "command": ("python", "nowhere.py")}, "command", "no file 'nowhere.py'"),
        ({"project": project().digest, "command": ("pytest",), "arguments": ("x",)}, "arguments", "belong to"),
        ({}, "snippet", "is empty"),
    ],
)
def test_what_cannot_run_is_refused_and_nothing_is_kept(
    world: World, fields: dict[str, Any], field: str, words: str
) -> None:
    sent = project()
    world.store.put_project(sent.digest, sent.packed)
    with pytest.raises(BadInput, match=words) as refused:
        world.submission.submit(BisectionRequest(releases="1.12.0", **fields))
    assert refused.value.field == field
    assert world.store.bisections().rows == ()
