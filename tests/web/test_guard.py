"""What a request meets before anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.web.conftest import Served
from tests.web.world import TUTORIAL

SUBMISSION = {"snippet": TUTORIAL, "releases": "1.9..1.14"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("10.0.0.7", 200),
        ("[::1]:8000", 200),
        ("rebound.example", 421),
        ("localhost.example", 421),
        ("", 421),
    ],
)
def test_only_names_of_this_service_are_answered_to(service: Served, host: str, status: int) -> None:
    assert service.client.get("/healthz", headers={"host": host}).status_code == status


@pytest.mark.parametrize(("allowed", "status"), [("bisect.example", 200), ("other.example", 421), ("*", 200)])
def test_further_names_are_a_setting(service_with: Callable[..., Served], allowed: str, status: int) -> None:
    service = service_with(allowed_hosts=f"{allowed}, second.example")
    assert service.client.get("/healthz", headers={"host": "bisect.example:8443"}).status_code == status


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"origin": "https://attacker.example"}, True),
        ({"origin": "null"}, True),
    ],
)
def test_other_sites_cannot_submit_through_a_visitor(
    service: Served, headers: dict[str, str], is_refused: bool
) -> None:
    answer = service.client.post("/", data={"snippet": TUTORIAL, "releases": "1.9"}, headers=headers)
    assert (answer.status_code == 403) is is_refused


def test_the_own_origin_may_submit(service: Served) -> None:
    answer = service.client.post("/", data={"snippet": TUTORIAL, "releases": "1.9"}, headers={"origin": service.url})
    assert answer.status_code == 303


def test_a_large_body_is_refused_by_its_length_and_without_one(service: Served) -> None:
    large = b'{"snippet": "' + b"x" * 300_000 + b'"}'

    def unsized() -> Iterator[bytes]:
        yield from (large[start : start + 50_000] for start in range(0, len(large), 50_000))

    for body in (large, unsized()):
        answer = service.client.post("/api/v1/bisections", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/", "/healthz", "/b/none", "/api/v1/bisections", "/nothing", "/static/none"])
def test_every_answer_has_the_security_headers(service: Served, path: str) -> None:
    headers = service.client.get(path, headers={"accept": "text/html"}).headers
    policy = headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_a_head_is_answered_like_a_get_without_its_body(service: Served) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    for path in ("/", f"/b/{bisection_id}", f"/b/{bisection_id}.svg", f"/api/v1/bisections/{bisection_id}"):
        answer = service.client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_pictures_may_be_shown_elsewhere_and_answers_may_not(service: Served) -> None:
    done = service.bisected(TUTORIAL)
    policy = "cross-origin-resource-policy"
    assert service.client.get(f"/b/{done['id']}.svg").headers[policy] == "cross-origin"
    assert service.client.get(f"/api/v1/bisections/{done['id']}").headers[policy] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/bisections", "/docs", "/probes/dropout", "/releases", "/sign-in", "/b/{id}"])
def test_no_page_has_a_script_or_a_style_within(service: Served, path: str) -> None:
    done = service.bisected(TUTORIAL)
    page = service.client.get(path.format(id=done["id"])).text
    assert "<script>" not in page
    assert " style=" not in page
    assert "<style" not in page
    assert " onclick=" not in page
    assert "https://unpkg" not in page
    assert "cdn" not in page.lower()


def test_static_files_are_named_by_their_content_and_compressed(service: Served) -> None:
    page = service.client.get("/").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    answer = service.client.get(address)
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert service.client.get(address, headers={"accept-encoding": "identity"}).text == answer.text
    assert service.client.get("/static/app.css").status_code == 404
    assert service.client.get("/static/../app.py").status_code == 404
