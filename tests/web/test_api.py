"""The REST API over a real socket."""

from __future__ import annotations

from tests.web.conftest import Served
from tests.web.world import TUTORIAL


def test_a_submission_is_queued_then_done_with_its_verdict(service: Served) -> None:
    answer = service.client.post("/api/v1/bisections", json={"snippet": TUTORIAL, "releases": "1.9..1.14"})
    assert answer.status_code == 202
    assert answer.headers["location"] == f"{service.url}/api/v1/bisections/{answer.json()['id']}"
    assert answer.json()["status"] == "queued"
    assert answer.json()["verdict"] is None
    service.world.work_off()
    read = service.client.get(answer.headers["location"]).json()
    assert read["status"] == "done"
    assert [(c["kind"], c["after"]) for c in read["verdict"]["changes"]] == [
        ("introduced", "1.11.0"),
        ("fixed", "1.13.1"),
    ]
    assert {run["outcome"] for run in read["observations"]} == {"drops", "never-drops"}


def test_a_question_whose_answers_are_stored_is_answered_at_once_without_a_run(service: Served) -> None:
    service.bisected(TUTORIAL)
    runs = service.world.runs.calls
    again = service.client.post("/api/v1/bisections", json={"snippet": TUTORIAL, "releases": "1.9..1.14"})
    assert again.status_code == 200
    assert again.json()["verdict"]["runs"]["executed"] == 0
    assert service.world.runs.calls == runs
