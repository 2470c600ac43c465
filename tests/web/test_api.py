"""The REST API over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.bisection.outcomes import RunReport
from service.errors import StoreError
from tests.web.conftest import Served
from tests.web.world import TUTORIAL, MadeUpRuns, losses

NOBODY = "01K0ABCDEFGHJKMNPQRSTVWXYZ"
BISECTIONS = "/api/v1/bisections"


def test_a_submission_is_queued_then_done_with_its_verdict(service: Served) -> None:
    body = {"snippet": TUTORIAL, "probe": "dropout", "releases": "1.9..1.14"}
    answer = service.client.post(BISECTIONS, json=body)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"{service.url}{BISECTIONS}/{answer.json()['id']}"
    assert answer.json()["status"] == "queued"
    assert answer.json()["verdict"] is None
    service.world.work_off()
    read = service.client.get(answer.headers["location"]).json()
    assert read["status"] == "done"
    changes = [(change["kind"], change["after"]) for change in read["verdict"]["changes"]]
    assert changes == [("introduced", "1.11.0"), ("fixed", "1.13.1")]
    assert {run["outcome"] for run in read["observations"]} == {"drops", "never-drops"}
    done = len(read["observations"])
    assert read["progress"] == {"runs_done": done, "runs_planned_at_least": done, "current": []}


def test_a_question_whose_answers_are_stored_is_answered_at_once_without_a_run(service: Served) -> None:
    service.bisected(TUTORIAL)
    runs = service.world.runs.calls
    body = {"snippet": TUTORIAL, "probe": "dropout", "releases": "1.9..1.14"}
    again = service.client.post(BISECTIONS, json=body)
    assert again.status_code == 200
    assert again.json()["verdict"]["runs"]["executed"] == 0
    assert service.world.runs.calls == runs


def test_the_same_idempotency_key_makes_no_second_bisection(service: Served) -> None:
    body = {"snippet": TUTORIAL, "releases": "1.9..1.14"}
    first, second = (
        service.client.post(BISECTIONS, json=body, headers={"Idempotency-Key": "ci-1"}).json()["id"] for _ in range(2)
    )
    assert first == second
    other = service.client.post(BISECTIONS, json={**body, "releases": "1.9..1.12"}, headers={"Idempotency-Key": "ci-1"})
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"snippet": ""}, "snippet", "empty"),
        ({"snippet": "x = ("}, "snippet", "line 1"),
        ({"snippet": "x" * 70_000}, "snippet", "65,536"),
        ({"snippet": "model = 1\x00"}, "snippet", ""),
        ({"snippet": TUTORIAL, "releases": "2.3..1.14"}, "releases", "swap the ends"),
        ({"snippet": TUTORIAL, "releases": "99..100"}, "releases", "no release"),
        ({"snippet": TUTORIAL, "probe": "nix"}, "probe", "there is no probe"),
        ({"snippet": TUTORIAL, "probe": "dropout", "package": "numpy"}, "package", "numpy"),
        ({"snippet": TUTORIAL, "hardware": "abacus"}, "hardware", "cpu"),
        ({"snippet": TUTORIAL, "input_shape": [28, -1]}, "input_shape.1", "at least"),
        ({"snippet": TUTORIAL, "resolution": 0}, "resolution", "at least 1"),
        ({"snippet": TUTORIAL, "releases": "1.9..1.14", "resolution": 500}, "resolution", "6 mainline releases"),
        (
            {"snippet": TUTORIAL, "with": ["pandas==9"]},
            "with",
            "a wheel for Linux that is ==9",
        ),
        ({"snippet": TUTORIAL, "with": ["git+https://example.org/x"]}, "with", "an address"),
        ({"snippet": TUTORIAL, "with": ["--index-url=https://example.org"]}, "with", "is an option"),
        ({"snippet": TUTORIAL, "with": ["tensorflow-cpu==2.3.0"]}, "with", "package under test"),
        ({"snippet": TUTORIAL, "with": ["pandas\x1b[2J"]}, "with", "printable"),
        ({"snippet": TUTORIAL, "with": ["pandas"] * 65}, "with", "64"),
        ({"snippet": TUTORIAL, "colour": "red"}, "colour", "no field of this name."),
        ({"snippet": TUTORIAL, "relases": "1.9.."}, "relases", "did you mean releases?"),
        ({"snippet": TUTORIAL, "probe": "droput"}, "probe", "did you mean dropout?"),
        ({"snippet": TUTORIAL, "parameters": {"depth": 3}}, "parameters.depth", "no parameter"),
        ({"snippet": TUTORIAL, "visibility": "private"}, "visibility", "token"),
        ({}, "snippet", "is empty"),
    ],
)
def test_bad_input_names_its_field_and_starts_nothing(service: Served, body: Any, field: str, said: str) -> None:
    answer = service.client.post(BISECTIONS, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["pointer"] == "/" + field.replace(".", "/")
    assert said in json.dumps(problem, ensure_ascii=False)
    assert service.client.get(BISECTIONS).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "not-json"),
        (b"[" * 100_000, ""),
        (b'{"snippet": "\\ud800"}', ""),
        (b'{"snippet": "x", "releases": "\\ud800"}', ""),
        (b"null", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_a_broken_body_is_a_problem_and_no_crash(service: Served, body: bytes, kind: str) -> None:
    answer = service.client.post(BISECTIONS, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert kind in answer.json()["type"]


def test_a_syntax_error_says_its_line(service: Served) -> None:
    answer = service.client.post(BISECTIONS, json={"snippet": "import tensorflow\n\nmodel = = 3\n"})
    assert answer.json()["errors"][0]["line"] == 3


@pytest.mark.parametrize("path", ["", "/events", "/releases/1.9.0"])
@pytest.mark.parametrize("name", [NOBODY, "nobody", "%00", "a" * 64])
def test_a_bisection_that_is_not_there_is_not_found(service: Served, path: str, name: str) -> None:
    answer = service.client.get(f"{BISECTIONS}/{name}{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_finished_bisection_is_answered_with_304_to_who_has_it(service: Served) -> None:
    path = f"{BISECTIONS}/{service.bisected(TUTORIAL)['id']}"
    tag = service.client.get(path).headers["etag"]
    for named in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = service.client.get(path, headers={"if-none-match": named})
        assert (again.status_code, again.content) == (304, b"")
    assert service.client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_a_queued_bisection_is_cancelled_at_once_and_a_finished_one_not_at_all(service: Served) -> None:
    queued = service.submit(TUTORIAL)
    cancelled = service.client.post(f"{BISECTIONS}/{queued['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert service.client.post(f"{BISECTIONS}/{queued['id']}/cancel").status_code == 202
    done = service.bisected(TUTORIAL)
    assert service.client.post(f"{BISECTIONS}/{done['id']}/cancel").status_code == 409


def test_a_deleted_bisection_is_gone_with_what_was_rendered_of_it(service: Served) -> None:
    path = f"{BISECTIONS}/{service.bisected(TUTORIAL)['id']}"
    assert service.client.get(path).status_code == 200
    assert service.client.delete(path).status_code == 204
    assert service.client.get(path).status_code == 404
    assert service.client.delete(path).status_code == 404


def test_pages_of_a_list_hold_every_bisection_once_newest_first(service: Served) -> None:
    made = [service.submit(f"{TUTORIAL}# {number}\n")["id"] for number in range(7)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = service.client.get(BISECTIONS, params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"status": "done"}, 1),
        ({"status": "queued"}, 1),
        ({"probe": "dropout"}, 2),
        ({"probe": "other"}, 0),
        ({"q": "flatten dense"}, 2),
        ({"q": "lstm"}, 1),
        ({"outcome": "never-drops"}, 1),
        ({"changed_in": "1.11.0"}, 1),
        ({"changed_in": "1.12.0"}, 0),
        ({"changed_in": "1.11.0", "package": "keras"}, 0),
    ],
)
def test_a_list_is_narrowed_by_what_is_asked_for(service: Served, query: dict[str, str], count: int) -> None:
    service.bisected(TUTORIAL)
    service.submit(TUTORIAL.replace("Flatten()", "Flatten(), tf.keras.layers.LSTM(3)"))
    assert len(service.client.get(BISECTIONS, params=query).json()["items"]) == count


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "status=odd", "probe=%00", "q=%00"])
def test_a_query_that_cannot_be_used_is_refused(service: Served, query: str) -> None:
    assert service.client.get(f"{BISECTIONS}?{query}").status_code == 422


def test_a_release_tells_all_about_its_runs(service: Served) -> None:
    done = service.bisected(TUTORIAL)
    runs = service.client.get(f"{BISECTIONS}/{done['id']}/releases/1.11.0").json()
    assert [run["outcome"] for run in runs] == ["never-drops"] * len(runs)
    assert runs[0]["packages"]["keras-applications"] == "1.0.8"
    assert "Epoch 1/5" in runs[0]["output"]


def test_two_bisections_are_compared_release_by_release(service: Served) -> None:
    left = service.bisected(TUTORIAL)["id"]
    cured = TUTORIAL.replace("Flatten()", "Flatten(input_shape=(28, 28))")
    right = service.bisected(cured)["id"]
    compared = service.client.get("/api/v1/compare", params={"left": left, "right": right}).json()
    assert not compared["same"]
    assert {"release": "1.11.0", "left": "never-drops", "right": "drops", "differs": True} in compared["releases"]
    assert [change["after"] for change in compared["changes"]["left"]] == ["1.11.0", "1.13.1"]
    assert service.client.get("/api/v1/compare", params={"left": left, "right": left}).json()["same"]


def test_an_estimate_starts_nothing(service: Served) -> None:
    answer = service.client.post(
        "/api/v1/estimate", json={"snippet": TUTORIAL, "probe": "dropout", "releases": "1.9..1.14"}
    )
    assert answer.json()["releases"] == 10
    assert 6 <= answer.json()["runs"] < answer.json()["runs_with_changes"] <= 16
    assert service.client.get(BISECTIONS).json()["items"] == []


def test_releases_and_probes_are_listed(service: Served) -> None:
    releases = service.client.get("/api/v1/releases").json()
    assert releases["mainline"][:3] == ["1.4.0", "1.5.0", "1.6.0"]
    assert releases["items"][0]["uploaded_at"].startswith("2017-11-02")
    probe = next(each for each in service.client.get("/api/v1/probes").json()["items"] if each["name"] == "dropout")
    assert probe["expected"] == ["drops"]
    assert service.client.get("/api/v1/probes/dropout").json() == probe
    assert service.client.get("/api/v1/probes/nix").status_code == 404


def test_what_a_bisection_waits_for_is_said(service: Served) -> None:
    submitted = service.submit(TUTORIAL)["id"]
    claim = service.world.claim()
    assert claim is not None
    said = {"runs_done": 0, "runs_planned_at_least": 9, "current": [], "problem": "no <engine> answers"}
    service.world.store.record(claim, (), [("progress", said)], said)
    assert service.client.get(f"/api/v1/bisections/{submitted}").json()["progress"] == said
    assert "for what its runs need: no &lt;engine&gt; answers" in service.client.get(f"/b/{submitted}").text


def test_a_thread_that_is_not_alive_is_named_by_readyz(service: Served) -> None:
    alive = [False]
    service.world.threads.watch("coordinator", lambda: alive[0])
    answer = service.client.get("/readyz")
    assert answer.status_code == 503
    assert "coordinator: ended" in answer.json()["detail"]
    alive[0] = True
    assert service.client.get("/readyz").status_code == 200


def test_a_database_that_takes_no_writes_is_not_ready(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("the database does not answer: attempt to write a readonly database")

    with monkeypatch.context() as patch:
        patch.setattr(service.world.store, "put_cached", refuse)
        answer = service.client.get("/readyz")
        assert (answer.status_code, "readonly" in answer.json()["detail"]) == (503, True)
    assert service.client.get("/readyz").status_code == 200


def test_health_readiness_and_metrics_answer(service: Served) -> None:
    service.submit(TUTORIAL)
    assert service.client.get("/healthz").json() == {"status": "ok"}
    assert service.client.get("/readyz").json() == {"status": "ok"}
    metrics = service.client.get("/metrics").text
    assert 'tfbisect_bisections_open{status="queued"} 1.0' in metrics
    assert 'route="/api/v1/bisections"' in metrics
    assert "tfbisect_warm_containers 0.0" in metrics


def test_numbers_that_json_cannot_say_do_not_break_the_answer(service_with: Callable[..., Served]) -> None:
    odd = {**losses(broken=False), "odd": [float("nan"), float("inf")]}
    report = RunReport(ending="answered", result={"kind": "measured", "measurements": odd})
    service = service_with(MadeUpRuns(report=lambda _request: report))
    done = service.bisected(TUTORIAL)
    assert done["observations"][0]["measurements"]["odd"] == ["nan", "inf"]


def test_a_bisection_that_ends_without_a_verdict_says_why(service_with: Callable[..., Served]) -> None:
    report = RunReport(ending="unprepared", reason="no wheel for this machine")
    service = service_with(MadeUpRuns(report=lambda _request: report))
    done = service.bisected(TUTORIAL)
    assert done["status"] == "failed"
    assert "no wheel for this machine" in json.dumps(done["error"])
