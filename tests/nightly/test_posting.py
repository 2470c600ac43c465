"""Where a message that somebody else has addressed may go, and where it goes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.nightly import posting
from service.nightly.posting import Destination, Undeliverable, is_public, post, public_destination
from tests.nightly.mail_server import certificate_for

BODY = b"{}"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("255.255.255.255", False),
        ("192.88.99.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", False),
        ("::7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", False),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("ff02::1", False),
        ("ff0e::1", False),
    ],
)
def test_only_addresses_of_the_internet_are_sent_to(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "localhost", "[::ffff:127.0.0.1]", "[64:ff9b::a00:1]"]
)
def test_an_inner_address_is_known_however_it_is_written(host: str) -> None:
    with pytest.raises(Undeliverable, match="inner address"):
        public_destination(f"http://{host}/hook")


@pytest.mark.parametrize("address", ["http://nothing.invalid/", "http://" + "a" * 70 + ".example/"])
def test_a_name_that_cannot_be_resolved_is_said(address: str) -> None:
    with pytest.raises(Undeliverable, match="cannot be resolved"):
        public_destination(address)


def test_one_inner_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(0, 0, 0, "", (ip, 80)) for ip in ("93.184.216.34", "10.0.0.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: answers)
    with pytest.raises(Undeliverable, match=r"10\.0\.0\.7"):
        public_destination("http://hook.example/")


@dataclass
class Receiver:
    """A server on loopback, and what it was told."""

    port: int
    hosts: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """Names that clients asked a certificate of."""


@contextmanager
def receiver(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    told = Receiver(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            told.hosts.append(self.headers["Host"])
            self.send_response(204)
            self.end_headers()

        # Named so by http.server.
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is meant here
        if context is not None:
            context.sni_callback = lambda _socket, name, _context: told.names.append(name)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        told.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield told
        server.shutdown()
        thread.join()


@dataclass
class Resolver:
    """Answers for hook.example: loopback, each time it is asked; other names are what they are."""

    address: str = "127.0.0.1"
    asked: int = 0

    def __call__(self, host: Any, port: Any, *args: Any, **named: Any) -> Any:
        if host in ("hook.example", b"hook.example"):
            self.asked += 1
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, port))]
        return REAL(host, port, *args, **named)


REAL = socket.getaddrinfo


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    own = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", own)
    return own


def test_a_name_is_looked_up_once_and_the_address_that_was_judged_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, resolver: Resolver
) -> None:
    # Loopback stands for a public address here, so that a test can listen there.
    monkeypatch.setattr(posting, "is_public", lambda address: address == "127.0.0.1")
    with receiver() as told:
        destination = public_destination(f"http://hook.example:{told.port}/x")
        resolver.address = "10.255.255.1"  # rebound, after it was judged
        assert post(destination, BODY, {}) == 204
    assert (told.hosts, resolver.asked) == ([f"hook.example:{told.port}"], 1)


def test_the_certificate_is_still_checked_against_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate = certificate_for("hook.example", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with receiver(context) as told:
        assert post(Destination(httpx.URL(f"https://hook.example:{told.port}/"), ("127.0.0.1",)), BODY, {}) == 204
        with pytest.raises(httpx.ConnectError, match=r"hook\.other"):
            post(Destination(httpx.URL(f"https://hook.other:{told.port}/"), ("127.0.0.1",)), BODY, {})
    assert (told.hosts, told.names) == ([f"hook.example:{told.port}"], ["hook.example", "hook.other"])


def test_where_the_first_address_takes_no_connection_the_next_is_tried() -> None:
    with receiver() as told:
        url = httpx.URL(f"http://hook.example:{told.port}/")
        assert post(Destination(url, ("127.255.255.254", "127.0.0.1")), BODY, {}) == 204
