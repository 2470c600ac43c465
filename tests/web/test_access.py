"""Tokens, scopes, visibility, limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.web.conftest import Served
from tests.web.world import TUTORIAL

BISECTIONS = "/api/v1/bisections"
SUBMISSION = {"snippet": TUTORIAL, "releases": "1.9..1.14"}


def bearer(service: Served, *scopes: str, expires_at: datetime | None = None) -> dict[str, str]:
    _, secret = service.world.store.create_token("test", scopes, expires_at)
    return {"authorization": f"Bearer {secret}"}


@pytest.fixture
def closed(service_with: Callable[..., Served]) -> Served:
    """A service that asks for tokens."""
    return service_with(require_token=True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", BISECTIONS),
        ("POST", BISECTIONS),
        ("GET", "/api/v1/releases"),
        ("GET", "/api/v1/probes"),
        ("POST", "/api/v1/estimate"),
        ("GET", "/"),
        ("GET", "/bisections"),
        ("GET", "/releases"),
        ("GET", "/docs"),
    ],
)
def test_without_a_token_nothing_is_shown_where_one_is_needed(closed: Served, method: str, path: str) -> None:
    answer = closed.client.request(method, path, json=SUBMISSION if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_health_needs_no_token(closed: Served) -> None:
    assert closed.client.get("/healthz").status_code == 200
    assert closed.client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("scopes", "read", "submit"),
    [(("read",), 200, 403), (("submit",), 403, 202), (("read", "submit"), 200, 202), (("admin",), 200, 202)],
)
def test_a_token_reaches_as_far_as_its_scopes(closed: Served, scopes: tuple[str, ...], read: int, submit: int) -> None:
    headers = bearer(closed, *scopes)
    assert closed.client.get(BISECTIONS, headers=headers).status_code == read
    assert closed.client.post(BISECTIONS, json=SUBMISSION, headers=headers).status_code == submit


def test_a_revoked_an_expired_and_a_made_up_token_open_nothing(closed: Served) -> None:
    revoked = bearer(closed, "read")
    closed.world.store.revoke_token("test")
    expired = bearer(closed, "read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    for headers in (revoked, expired, {"authorization": "Bearer tfb_made_up"}):
        assert closed.client.get(BISECTIONS, headers=headers).status_code == 401


def test_a_bad_token_is_refused_on_an_open_service_too(service: Served) -> None:
    assert service.client.get(BISECTIONS, headers={"authorization": "Bearer tfb_x"}).status_code == 401


def test_a_private_bisection_is_there_for_its_owner_and_admins_only(service: Served) -> None:
    owner, other, admin = bearer(service, "read", "submit"), bearer(service, "read"), bearer(service, "admin")
    private = {**SUBMISSION, "visibility": "private"}
    name = service.client.post(BISECTIONS, json=private, headers=owner).json()["id"]
    service.world.work_off()
    paths = [f"{BISECTIONS}/{name}", *(f"/b/{name}{end}" for end in ("", ".md", ".svg", ".csv", ".py", "/r/1.9.0"))]
    for path in paths:
        assert service.client.get(path, headers=owner).status_code == 200
        assert service.client.get(path, headers=admin).status_code == 200
        assert service.client.get(path, headers=other).status_code == 404
        assert service.client.get(path).status_code == 404
    picture = service.client.get(f"/b/{name}.svg", headers=owner)
    assert "private" in picture.headers["cache-control"]
    assert service.client.get(BISECTIONS).json()["items"] == []
    assert len(service.client.get(BISECTIONS, headers=owner).json()["items"]) == 1


def test_what_a_token_made_is_ended_by_it_or_an_admin_only(service: Served) -> None:
    owner, other, admin = bearer(service, "submit", "read"), bearer(service, "submit", "read"), bearer(service, "admin")
    first, second = (
        service.client.post(BISECTIONS, json={**SUBMISSION, "snippet": f"{TUTORIAL}# {n}"}, headers=owner).json()["id"]
        for n in range(2)
    )
    for headers in (other, {}):
        assert service.client.post(f"{BISECTIONS}/{first}/cancel", headers=headers).status_code == 403
        assert service.client.delete(f"{BISECTIONS}/{first}", headers=headers).status_code == 403
    assert service.client.delete(f"{BISECTIONS}/{first}", headers=owner).status_code == 204
    assert service.client.delete(f"{BISECTIONS}/{second}", headers=admin).status_code == 204


def test_public_bisections_are_read_without_a_token_where_that_is_allowed(service_with: Callable[..., Served]) -> None:
    service = service_with(require_token=True, anonymous_read=True)
    headers = bearer(service, "submit", "read")
    name = service.client.post(BISECTIONS, json=SUBMISSION, headers=headers).json()["id"]
    assert service.client.get(f"/b/{name}").status_code == 200
    assert service.client.post(BISECTIONS, json=SUBMISSION).status_code == 403


def test_a_browser_signs_in_by_a_cookie_that_no_script_reads(closed: Served) -> None:
    secret = bearer(closed, "read", "submit")["authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=closed.url) as browser:
        refused = browser.post("/sign-in", data={"token": "tfb_wrong"})
        assert refused.status_code == 401
        answer = browser.post("/sign-in", data={"token": secret})
        assert answer.status_code == 303
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert re.search("samesite=lax", answer.headers["set-cookie"], re.IGNORECASE)
        assert browser.get("/").status_code == 200
        browser.post("/sign-out")
        assert browser.get("/").status_code == 401


def test_too_many_submissions_are_told_when_to_come_back(service_with: Callable[..., Served]) -> None:
    service = service_with(submissions_per_minute=2)
    answers = [service.client.post(BISECTIONS, json=SUBMISSION) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert answers[2].json()["type"].endswith("too-many")
    token = bearer(service, "submit")
    assert service.client.post(BISECTIONS, json=SUBMISSION, headers=token).status_code == 202


def test_a_full_queue_takes_no_more(service_with: Callable[..., Served]) -> None:
    service = service_with(queued_at_most=1)
    service.submit(TUTORIAL)
    answer = service.client.post(BISECTIONS, json={**SUBMISSION, "snippet": f"{TUTORIAL}#"})
    assert answer.status_code == 429
    assert "retry-after" in answer.headers


def test_too_many_event_streams_are_refused(service_with: Callable[..., Served]) -> None:
    service = service_with(streams_per_client=1)
    path = f"{BISECTIONS}/{service.submit(TUTORIAL)['id']}/events"
    with service.client.stream("GET", path) as first:
        lines = first.iter_lines()
        next(lines)
        with httpx.Client(base_url=service.url) as other:
            assert other.get(path).status_code == 429
