"""A service that really listens, with made-up releases behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from service.reports.dependencies import Surroundings
from service.web.app import create_app
from service.web.server import server_config
from tests.web.world import MadeUpRuns, World

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass
class Served:
    """A running service."""

    url: str
    world: World
    client: httpx.Client

    def submit(self, snippet: str, **more: Any) -> dict[str, Any]:
        """Submit to the probe whose answers are made up here, unless another is named."""
        body = {"snippet": snippet, "probe": "dropout", "releases": "1.9..1.14", **more}
        answer = self.client.post("/api/v1/bisections", json=body)
        assert answer.status_code in (200, 202), answer.text
        return dict(answer.json())

    def bisected(self, snippet: str, **more: Any) -> dict[str, Any]:
        """Submit, run, read."""
        submitted = self.submit(snippet, **more)
        self.world.work_off()
        return dict(self.client.get(f"/api/v1/bisections/{submitted['id']}").json())


@contextmanager
def served(world: World) -> Iterator[Served]:
    app = create_app(world, Surroundings(examples=EXAMPLES, threads_down=world.threads.down))
    server = uvicorn.Server(server_config(app, "127.0.0.1", 0, world.settings, grace_seconds=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)  # uvicorn has no event to wait for
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=30, verify=False) as client:
            yield Served(url, world, client)
    finally:
        server.should_exit = True
        thread.join()
        world.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served(World(tmp_path)) as running:
        yield running


@pytest.fixture
def service_with(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a service with other settings or other runs."""
    started: list[Any] = []

    def start(runs: MadeUpRuns | None = None, **settings: Any) -> Served:
        context = served(World(tmp_path / str(len(started)), runs, **settings))
        started.append(context)
        return context.__enter__()

    yield start
    for context in started:
        context.__exit__(None, None, None)
