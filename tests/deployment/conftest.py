from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import docker
import pytest

from service.errors import NoRunner
from service.execution.docker_engine import LOCAL_SOCKET, connect

DEPLOY = Path(__file__).parent.parent.parent / "deploy"


def module(name: str) -> ModuleType:
    """Load a script of the deployment: they are no part of the package."""
    spec = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="session")
def proxy_module() -> ModuleType:
    return module("engine_proxy")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """Return a client of the engine itself."""
    try:
        client = connect()
    except NoRunner as error:
        pytest.skip(error.message)
    if not client.api.base_url.startswith("http+docker://"):
        pytest.skip("the engine is not at a local socket, so there is none to put a filter in front of")
    yield client
    client.close()


@dataclass(frozen=True)
class Proxy:
    """A filter that runs in front of the real engine."""

    port: int

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def says(self, raw: bytes) -> bytes:
        """Send bytes as they are and return all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            client.sendall(raw)
            said = b""
            while chunk := client.recv(65536):
                said += chunk
            return said

    def call(self, line: str, body: bytes = b"", *headers: str) -> tuple[int, bytes]:
        """Make one call; return its status and what came back."""
        more = "".join(f"{header}\r\n" for header in headers)
        said = self.says(f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body)
        return int(said.split(b" ", 2)[1]), said


@pytest.fixture(scope="session")
def proxy(engine: docker.DockerClient) -> Iterator[Proxy]:
    """Start the filter as the compose file does, as a process of its own."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, str(DEPLOY / "engine_proxy.py"), "--listen", f"127.0.0.1:{port}"]
    command += ["--socket", LOCAL_SOCKET.removeprefix("unix://")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        started = Proxy(port)
        _wait_for(started)
        yield started
        process.terminate()


def _wait_for(proxy: Proxy) -> None:
    for _ in range(100):
        try:
            if proxy.call("GET /_ping")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)  # nothing tells when a process has begun to listen
    raise AssertionError("the filter did not start")
