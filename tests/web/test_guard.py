"""What a request meets before anything else."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

import pytest

from service.web import server
from service.web.assets import STATIC, Assets
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
        ("localhost:@evil.example", 421),
        ("localhost:8000@evil.example", 421),
        ("localhost:80:80", 421),
        ("localhost/x", 421),
        ("127.0.0.1:@evil.example", 421),
        ("127.0.0.1:x", 421),
        ("[::1]evil.example", 421),
        ("[::1]:@evil.example", 421),
        ("[::1", 421),
        ("999.0.0.1", 421),
        ("localhost, evil.example", 421),
        ("\u0661\u0662\u0667.0.0.1".encode(), 421),
    ],
)
def test_only_names_of_this_service_are_answered_to(service: Served, host: str | bytes, status: int) -> None:
    named = host if isinstance(host, bytes) else host.encode()
    assert service.client.get("/healthz", headers={b"host": named}).status_code == status


@pytest.mark.parametrize(("allowed", "status"), [("bisect.example", 200), ("other.example", 421), ("*", 200)])
def test_further_names_are_a_setting(service_with: Callable[..., Served], allowed: str, status: int) -> None:
    service = service_with(allowed_hosts=f"{allowed}, second.example")
    assert service.client.get("/healthz", headers={"host": "bisect.example:8443"}).status_code == status


def test_a_name_may_stand_for_all_below_it(service_with: Callable[..., Served]) -> None:
    service = service_with(allowed_hosts="*.bisect.example")
    for host, status in (("ci.bisect.example", 200), ("bisect.example", 421), ("bisect.example.evil", 421)):
        assert service.client.get("/healthz", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("proxies", "address"), [("", "127.0.0.1"), ("10.0.0.1", "127.0.0.1"), ("127.0.0.0/8", "9.9.9.9")]
)
def test_a_forwarded_address_is_believed_from_a_proxy_that_is_named(
    service_with: Callable[..., Served], proxies: str, address: str
) -> None:
    service = service_with(trusted_proxies=proxies, submissions_per_minute=1)
    forged = {"x-forwarded-for": "9.9.9.9"}
    statuses = [
        service.client.post("/api/v1/bisections", json=SUBMISSION, headers=forged).status_code for _ in range(2)
    ]
    assert statuses == [202, 429]
    other = {"x-forwarded-for": "8.8.8.8"}
    again = service.client.post("/api/v1/bisections", json=SUBMISSION, headers=other).status_code
    # Somebody else only where the header counts.
    assert again == (202 if address == "9.9.9.9" else 429)


HALF_SENT = {
    "nothing": b"",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
    "half a body": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 100\r\n\r\nsnippet=",
    "half a body of JSON": b"POST /api/v1/bisections HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{",
    "a body that a GET need not have": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
    "half a chunk": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx",
}


@pytest.mark.parametrize("sent", HALF_SENT.values(), ids=HALF_SENT)
def test_half_a_request_is_dropped_after_seconds(
    service: Served, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], sent: bytes
) -> None:
    monkeypatch.setattr(server, "ARRIVAL_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=20) as line:
        line.sendall(sent)
        while line.recv(4096):
            pass  # until the service ends the connection
    assert service.client.get("/healthz").status_code == 200
    assert "Traceback" not in capfd.readouterr().err


def test_who_sends_a_byte_now_and_then_is_dropped_too(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ARRIVAL_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=0.05) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        dropped = False
        while not dropped:
            try:
                line.sendall(b"x")
                dropped = line.recv(10) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                dropped = True


def test_a_connection_that_is_kept_takes_one_request_after_the_other(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ARRIVAL_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=20) as line:
        answers = line.makefile("rb")
        for _ in range(3):
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            while answers.readline() != b"\r\n":
                pass
            answers.read(len(b'{"status":"ok"}'))


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
    # Read what the page loads, not its text: an id is random and may spell anything ("…0cdnvc…").
    loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="([^"]*)"', page)
    assert loaded
    assert [address for address in loaded if "//" in address] == []


def test_static_files_are_named_by_their_content_and_compressed(service: Served) -> None:
    page = service.client.get("/").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    answer = service.client.get(address)
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert service.client.get(address, headers={"accept-encoding": "identity"}).text == answer.text
    assert service.client.get("/static/app.css").status_code == 404
    assert service.client.get("/static/../app.py").status_code == 404


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("name", ["app.css", "icon.svg", "app.js"])
def test_a_static_file_is_answered_with_304_to_who_has_it(service: Served, name: str, encoding: str) -> None:
    address = Assets().url(name)
    asked = {"accept-encoding": encoding}
    first = service.client.get(address, headers=asked)
    assert (first.status_code, first.content) == (200, (STATIC / name).read_bytes())
    strong = first.headers["etag"].removeprefix("W/")
    for tag in (first.headers["etag"], f'"other", {strong}', "*"):
        again = service.client.get(address, headers={**asked, "if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        kept = ("etag", "cache-control", "vary")
        assert [again.headers[header] for header in kept] == [first.headers[header] for header in kept]
    assert service.client.get(address, headers={**asked, "if-none-match": '"other"'}).content == first.content
    assert first.headers["vary"] == "accept-encoding"
