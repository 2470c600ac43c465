"""`tfbisect serve`: the web service and the coordinator in one process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import uvicorn

from service.resources import resource_dir
from service.web.app import create_app
from service.web.dependencies import Surroundings

if TYPE_CHECKING:
    from service.bootstrap import House


GRACE_SECONDS = 3


def serve_until_stopped(house: House, host: str, port: int) -> None:
    """Serve until interrupted; runs in flight are stopped and go on at the next start."""
    stop = threading.Event()
    coordinator = threading.Thread(target=house.coordinator.serve, args=(stop,), name="coordinator")
    coordinator.start()
    try:
        app = create_app(house, Surroundings(resource_dir("examples"), house.engine_problem, house.known_images))
        # An open event stream must not keep the service from stopping; its reader comes back to the next one.
        config = uvicorn.Config(
            app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS
        )
        uvicorn.Server(config).run()
    finally:
        stop.set()
        coordinator.join(timeout=30)
