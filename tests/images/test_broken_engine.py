"""An engine that goes away in the middle of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import docker
import pytest

from service.errors import EngineLost
from service.images.docker_images import DockerImages
from service.images.engine import BuildOrder


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


@pytest.fixture
def images() -> Iterator[DockerImages]:
    with ThreadingHTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        client = docker.DockerClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41")
        try:
            yield DockerImages(client)
        finally:
            client.close()
            server.shutdown()
            thread.join()


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
