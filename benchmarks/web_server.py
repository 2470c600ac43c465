"""The two services of the web benchmark, each one uvicorn worker: ours, and an empty FastAPI route.

`python -m benchmarks.web_server ours FOLDER` prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.web.app import create_app
from tests.web.world import World

UNLIMITED = {"submissions_per_minute": 10**6, "submissions_per_hour": 10**7, "streams_per_client": 10_000}


def empty() -> FastAPI:
    """Return FastAPI with one route that does nothing."""
    app = FastAPI()

    @app.get("/")
    async def nothing() -> dict[str, str]:
        return {}

    return app


def main() -> None:
    """Serve."""
    app: Any = empty() if sys.argv[1] == "empty" else create_app(World(Path(sys.argv[2]), **UNLIMITED))
    config = uvicorn.Config(app, port=0, log_level="error", access_log=False, backlog=4096, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    sys.stdin.read()
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    main()
