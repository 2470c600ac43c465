"""A service with a standing pool, in a process of its own, asked over HTTP as a user would."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

POLL_SECONDS = 0.05
START_SECONDS = 120.0
SETTLED_SECONDS = 12.0
"""How long the pool must not have grown until it is taken for full; it is looked at every 5 seconds."""


@dataclass
class Service:
    """A running service."""

    client: httpx.Client
    snippet: str
    releases: str
    asked: int = 0
    waiting: int = 0
    """How many containers stood ready at the last question."""

    @classmethod
    @contextmanager
    def started(cls, data_dir: Path, pool_bytes: int, snippet: str, releases: str) -> Iterator[Self]:
        """Run a service until the end of the block."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {"TFBISECT_DATA_DIR": str(data_dir), "TFBISECT_WARM_POOL_BYTES": str(pool_bytes)}
        command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
        with (
            subprocess.Popen(
                command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client,
        ):
            try:
                service = cls(client, snippet, releases)
                service.wait_until_ready()
                yield service
            finally:
                process.terminate()

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                if self.client.get("/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(POLL_SECONDS)
        raise RuntimeError("the service did not become ready")

    def warm_containers(self) -> int:
        """Return how many containers wait, by its metrics."""
        found = re.search(r"^tfbisect_warm_containers (\S+)", self.client.get("/metrics").text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def fill(self) -> None:
        """Wait until the pool grows no more."""
        began = since = time.monotonic()
        most = 0
        while time.monotonic() - since < SETTLED_SECONDS or (not most and time.monotonic() - began < START_SECONDS):
            found = self.warm_containers()
            if found > most:
                most, since = found, time.monotonic()
            time.sleep(POLL_SECONDS)
        self.waiting = most

    def bisection(self) -> float:
        """Return the seconds of a bisection that nobody asked before, once the pool is full."""
        self.fill()
        self.asked += 1
        wanted: dict[str, Any] = {"snippet": f"{self.snippet}\n# question {self.asked}\n", "releases": self.releases}
        wanted["probe"] = "dropout"
        began = time.monotonic()
        answer = self.client.post("/api/v1/bisections", json=wanted)
        answer.raise_for_status()
        address = answer.json()["links"]["self"]
        while (found := self.client.get(address).json())["status"] in ("queued", "running"):
            time.sleep(POLL_SECONDS)
        if found["status"] != "done":
            raise RuntimeError(f"the service came to no verdict: {found}")
        return time.monotonic() - began
