"""Projects over REST: sent, named in a request, run; and refused before anything is kept."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.bisection.outcomes import RunReport
from service.execution.runner import RunRequest
from tests.web.conftest import Served
from tests.web.world import TUTORIAL, MadeUpRuns

PROJECTS = "/api/v1/projects"
FILES = {"main.py": b"import own\n", "tests/test_own.py": b"def test_own():\n    pass\n", "own.py": b"x = 1\n"}


def zipped(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def send(service: Served, files: dict[str, bytes]) -> httpx.Response:
    return service.client.post(PROJECTS, files=[("files", (name, content)) for name, content in files.items()])


def made_up(request: RunRequest) -> RunReport:
    tests = [{"name": "tests/test_own.py::test_own", "result": "passed"}]
    measured = {"exit_code": 0, "tests": tests if set(request.files) == set(FILES) else []}
    return RunReport("answered", result={"kind": "measured", "measurements": measured}, runner="docker")


def test_a_project_is_sent_and_its_tests_are_bisected(service_with: Callable[..., Served]) -> None:
    service = service_with(MadeUpRuns(report=made_up))
    answer = send(service, FILES)
    assert answer.status_code == 201
    assert [file["path"] for file in answer.json()["files"]] == sorted(FILES)
    assert send(service, {"project.zip": zipped(FILES)}).json()["digest"] == answer.json()["digest"]
    body = {"project": answer.json()["digest"], "command": ["pytest", "tests"], "releases": "1.12.0,1.13.1"}
    submitted = service.client.post("/api/v1/bisections", json=body)
    assert submitted.status_code == 202, submitted.text
    service.world.work_off()
    read = service.client.get(submitted.headers["location"]).json()
    assert read["status"] == "done"
    assert [aspect["name"] for aspect in read["verdict"]["aspects"]] == ["ends", "tests/test_own.py::test_own"]
    assert service.client.get(f"/b/{read['id']}").status_code == 200
    assert "tests/test_own.py::test_own" in service.client.get(f"/b/{read['id']}.md").text


def test_secrets_are_named_and_what_git_ignores_is_left_out(service: Served) -> None:
    answer = send(service, {"main.py": b"", ".env": b"x", ".gitignore": b"out\n", "out/a.bin": b"x"}).json()
    assert answer["left_out"] == [".env"]
    assert [file["path"] for file in answer["files"]] == [".gitignore", "main.py"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "there are no files"),
        ({".env": b"x"}, "there are no files to keep"),
        ({"../a.py": b""}, "may lead out"),
        ({"/etc/a.py": b""}, "is absolute"),
        ({"a.zip": zipped({"../a.py": b""})}, "may lead out"),
        ({"a.zip": zipped({"a": bytes(2_000_000)})}, "more than 1 MiB"),
        ({"a.zip": b"PK\x03\x04 no archive"}, "cannot be read"),
        ({f"{number}.py": b"" for number in range(12)}, "file"),
    ],
)
def test_what_cannot_be_taken_is_a_problem_and_nothing_is_kept(
    service_with: Callable[..., Served], files: dict[str, bytes], words: str
) -> None:
    service = service_with(project_bytes=1024**2, project_files=10)
    answer = send(service, files) if files else service.client.post(PROJECTS)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.text


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_larger_than_a_project_may_be_is_refused(service_with: Callable[..., Served], chunked: bool) -> None:
    service = service_with(project_bytes=1024**2, project_files=10)
    content: Any = (bytes(65536) for _ in range(40)) if chunked else bytes(65536 * 40)
    headers = {"content-type": "multipart/form-data; boundary=x"}
    try:
        answer = service.client.post(PROJECTS, content=content, headers=headers)
    except httpx.WriteError:
        return  # the service hung up before all of it was sent
    assert answer.status_code in (400, 413)


def test_a_bisection_of_a_project_that_nobody_sent_is_a_problem(service: Served) -> None:
    body = {"project": f"sha256:{'a' * 64}", "command": ["pytest"]}
    answer = service.client.post("/api/v1/bisections", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "project"


def test_the_form_takes_files_beside_the_snippet(service: Served) -> None:
    form = {"snippet": TUTORIAL, "probe": "dropout", "releases": "1.9..1.11", "arguments": "--name 'a b'"}
    files = [("files", ("own.py", b"x = 1\n")), ("files", ("data.csv", b"1,2\n"))]
    answer = service.client.post("/", data=form, files=files)
    assert answer.status_code == 303
    request = service.client.get(f"/api/v1/bisections/{answer.headers['location'][3:]}").json()["request"]
    assert request["project"] == send(service, {"own.py": b"x = 1\n", "data.csv": b"1,2\n"}).json()["digest"]
    assert request["arguments"] == ["--name", "a b"]
    again = service.client.get(f"/?like={answer.headers['location'][3:]}").text
    assert request["project"] in again
    assert "--name &#39;a b&#39;" in again


def test_after_a_mistake_the_form_keeps_the_files(service: Served) -> None:
    form = {"snippet": "x = (\n", "releases": "1.9..1.11"}
    answer = service.client.post("/", data=form, files=[("files", ("own.py", b"x = 1\n"))])
    assert answer.status_code == 422
    assert send(service, {"own.py": b"x = 1\n"}).json()["digest"] in answer.text
    secret = service.client.post("/", data=form, files=[("files", (name, b"")) for name in (".env", "own.py")])
    assert "left out, since they look like secrets: .env" in secret.text
    assert "is no command" in service.client.post("/", data={**form, "command": "pytest '"}).text


def test_a_notebook_becomes_a_script_for_the_editor(service: Served) -> None:
    notebook = '{"nbformat": 4, "cells": [{"cell_type": "code", "source": "%time x = 1"}]}'
    assert service.client.post("/script", content=notebook).text == "# %% cell 1\nx = 1  # left out: %time\n"
