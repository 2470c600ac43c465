"""A load generator for one core: raw sockets, kept open, one request after the other on each."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CONNECTIONS = 8


@dataclass
class Load:
    """What one stretch of load saw."""

    seconds: float
    latencies_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextmanager
def server(kind: str, folder: Path) -> Iterator[int]:
    """Start a service in a process of its own and give its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.web_server", kind, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    """Send a request and read its whole answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    named = head.lower().partition(b"\r\ncontent-length: ")[2]
    size = int(named.partition(b"\r\n")[0]) if named else 0
    body = await reader.readexactly(size)
    return int(head[9:12]), body


def get(path: str, if_none_match: str = "") -> bytes:
    named = f"If-None-Match: {if_none_match}\r\n" if if_none_match else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{named}\r\n".encode()


def together(loads: Iterable[Load]) -> Load:
    """Return several stretches of load as one."""
    whole = Load(0.0)
    for load in loads:
        whole.seconds += load.seconds
        whole.latencies_ms += load.latencies_ms
        for status, number in load.statuses.items():
            whole.statuses[status] = whole.statuses.get(status, 0) + number
    return whole


def post(path: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def pressed(port: int, request: Callable[[], bytes], seconds: float, connections: int = CONNECTIONS) -> Load:
    """Ask for so long and say what was seen."""
    load = Load(0.0)
    until = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        while time.perf_counter() < until:
            started = time.perf_counter()
            status, _ = await answer(reader, writer, request())
            load.latencies_ms.append((time.perf_counter() - started) * 1000)
            load.statuses[status] = load.statuses.get(status, 0) + 1
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    load.seconds = time.perf_counter() - started
    return load
