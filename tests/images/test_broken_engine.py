"""An engine that goes away in the middle of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import ClassVar
from urllib.parse import unquote_plus

import docker
import pytest

from service.errors import EngineLost
from service.images.docker_images import DockerImages
from service.images.engine import PART, BuildOrder


class BreaksOff(BaseHTTPRequestHandler):
    """Promises more than it sends, in chunks, as the engine answers a build and a pull."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._read()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = b'{"stream": "Step 1"}\n'
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.close_connection = True

    def do_GET(self) -> None:
        self._answer(200, b"[]")  # no containers

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _read(self) -> None:
        """Read what was sent, which a build sends in chunks."""
        if "Content-Length" in self.headers:
            self.rfile.read(int(self.headers["Content-Length"]))
            return
        while length := int(self.rfile.readline(), 16):
            self.rfile.read(length + 2)
        self.rfile.readline()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def answered_by(handler: type[BaseHTTPRequestHandler]) -> Iterator[DockerImages]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        client = docker.DockerClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41")
        try:
            yield DockerImages(client)
        finally:
            client.close()
            server.shutdown()
            thread.join()


@pytest.fixture
def images() -> Iterator[DockerImages]:
    with answered_by(BreaksOff) as images:
        yield images


@pytest.mark.parametrize(
    "call",
    [
        lambda images: images.pull("tfbisect/nothing:1"),
        lambda images: images.build(BuildOrder(iter((b"context",)), "tfbisect/nothing:1")),
    ],
    ids=["a pull", "a build"],
)
def test_an_answer_that_breaks_off_is_a_lost_engine(
    call: Callable[[DockerImages], object], images: DockerImages
) -> None:
    with pytest.raises(EngineLost, match=r"the engine could not (pull|build) an image"):
        call(images)


class RememberedTheDead(BreaksOff):
    """Has a container that it began to remove before it went away, and breaks off in every build."""

    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.asked.append(unquote_plus(self.path))
        self._answer(200, b'[{"Id": "dead"}]')

    def do_DELETE(self) -> None:
        self.asked.append(self.path.partition("?")[0])
        self._answer(409, b'{"message": "removal of container dead is already in progress"}')


def test_what_the_engine_left_dead_is_removed_before_the_next_build_and_keeps_nobody_from_it() -> None:
    class Engine(RememberedTheDead):
        asked: ClassVar[list[str]] = []

    with answered_by(Engine) as images, pytest.raises(EngineLost, match="build an image"):
        images.build(BuildOrder(iter((b"context",)), "tfbisect/nothing:1"))
    listing, removal = Engine.asked
    assert '"status": ["dead"]' in listing
    assert PART in listing, "nobody else's"
    assert removal == "/v1.41/containers/dead"


class GoesAway(BreaksOff):
    """Makes a container, and hangs up on whatever else is asked; once it is back it removes containers, too."""

    is_back: ClassVar[Event]
    removed: ClassVar[list[str]]

    def do_POST(self) -> None:
        self._read()
        if self.path.endswith("/containers/create"):
            self._answer(201, b'{"Id": "stayed"}')
        else:
            self.close_connection = True

    def do_DELETE(self) -> None:
        if self.is_back.is_set():
            self.removed.append(self.path)
            self._answer(204, b"")
        else:
            self.close_connection = True


def test_a_container_that_the_engine_went_away_under_is_removed_once_it_is_back() -> None:
    class Engine(GoesAway):
        is_back = Event()
        removed: ClassVar[list[str]] = []

    with answered_by(Engine) as images:
        with pytest.raises(EngineLost):
            images.run("tfbisect/nothing:1", ["true"])
        assert not Engine.removed
        Engine.is_back.set()
        with pytest.raises(EngineLost):
            images.run("tfbisect/nothing:1", ["true"])
    assert len(Engine.removed) == 2, "the first one's, before the second is made, and the second one's"
