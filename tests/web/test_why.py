"""Causes over REST, on the page and in the report; runs are made up, and no index answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from service.bisection.outcomes import RunReport
from service.execution.runner import RunRequest
from tests.web.conftest import Served
from tests.web.world import TUTORIAL, MadeUpRuns, dropout_report


def as_worker(request: RunRequest) -> RunReport | None:
    """Answer as the worker does, where it is asked: without its hypotheses, as the release by itself."""
    if "why" not in request.parameters:
        return None
    report = dropout_report(request)
    measured = {"answer": dict(report.result or {}), "why": {"done": {}, "failed": [], "executed": "nothing"}}
    return replace(report, result={"kind": "measured", "measurements": measured})


def path_of(bisection: dict[str, Any]) -> str:
    return f"/api/v1/bisections/{bisection['id']}/why"


def test_causes_are_asked_for_sought_and_read(service_with: Callable[..., Served]) -> None:
    service = service_with(MadeUpRuns(report=as_worker))
    made = service.bisected(TUTORIAL, releases="1.10.1,1.11.0")
    client, path = service.client, path_of(made)
    assert client.get(path).json()["status"] == "none"
    asked = client.post(path, json={"budget": 5})
    assert (asked.status_code, asked.json()["status"]) == (202, "running")
    assert client.get(path).status_code == 202
    assert service.world.asked_causes.work_off(threading.Event())
    read = client.get(path)
    assert (read.status_code, read.json()["status"]) == (200, "done")
    cause = read.json()["changes"][0]["cause"]
    assert [each["name"] for each in cause["switches"]] == ["input-shape"]
    # No index answers, so there are no sources: that is said, and the stage is left for the next request.
    assert cause["definitions"] == []
    assert "definitions" in cause["unfinished"]
    assert not service.world.asked_causes.work_off(threading.Event())
    shown = client.get(f"/api/v1/bisections/{made['id']}").json()["verdict"]["changes"][0]["cause"]
    assert shown == cause
    for page in (f"/b/{made['id']}", f"/b/{made['id']}.md"):
        assert "give the first layer an input" in client.get(page).text.replace("\\", "")


def test_a_second_request_runs_nothing_again(service_with: Callable[..., Served]) -> None:
    runs = MadeUpRuns(report=as_worker)
    service = service_with(runs)
    calls = []
    for _ in range(2):
        made = service.bisected(TUTORIAL, releases="1.10.1,1.11.0")
        service.client.post(path_of(made))
        service.world.asked_causes.work_off(threading.Event())
        calls.append(runs.calls)
    assert calls[0] == calls[1]
    assert service.client.get(path_of(made)).json()["status"] == "done"


def test_without_a_change_there_is_nothing_to_seek(service_with: Callable[..., Served]) -> None:
    service = service_with(MadeUpRuns())
    made = service.bisected(TUTORIAL, releases="1.9.0,1.10.0")
    assert service.client.post(path_of(made)).json() == {
        "id": made["id"],
        "status": "done",
        "said": "what was looked for is told with each change",
        "changes": [],
    }


def test_a_verdict_with_a_change_asks_for_its_cause_by_itself_unless_told_not_to(
    service_with: Callable[..., Served],
) -> None:
    service = service_with(MadeUpRuns(report=as_worker), causes=True)
    silent = service.bisected(TUTORIAL, releases="1.10.0,1.11.0", why=False)
    assert service.client.get(path_of(silent)).json()["status"] == "none"
    made = service.bisected(TUTORIAL, releases="1.10.1,1.11.0")
    assert service.client.get(path_of(made)).json()["status"] == "running"


def test_a_budget_that_is_no_number_is_refused(service: Served) -> None:
    made = service.bisected(TUTORIAL, releases="1.10.1,1.11.0")
    for body in ({"budget": 0}, {"budget": "all"}, {"runs": 3}):
        assert service.client.post(path_of(made), json=body).status_code == 422
    assert service.client.get("/api/v1/bisections/01JD3X5QZW0000000000000000/why").status_code == 404
