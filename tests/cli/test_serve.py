"""`tfbisect serve` as a process: how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

DEADLINE_SECONDS = 60
"""Only a test that fails waits this long."""


def is_up(url: str, service: subprocess.Popen[bytes]) -> bool:
    assert service.poll() is None, "it ended by itself"
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_service_that_is_told_to_end_closes_what_it_opened(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"TFBISECT_DATA_DIR": str(tmp_path), "TFBISECT_RUNNER": "local"}
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    with subprocess.Popen(command, env={**os.environ, **settings}) as service:
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not is_up(f"http://127.0.0.1:{port}", service):
                assert time.monotonic() < deadline
                time.sleep(0.05)  # a process has no event to wait for
            service.send_signal(number)
            assert service.wait(DEADLINE_SECONDS) == code
        finally:
            service.kill()
    assert not (tmp_path / "tfbisect.sqlite3-wal").exists(), "every connection was closed in good order"
