"""Stand-ins for what lies outside of the catalog: a cache in memory, releases made up, an index of our own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from service.catalog.releases import CatalogRelease


class MemoryCache:
    """Keeps values as the store does: as JSON, with the time."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], tuple[str, datetime]] = {}

    def cached(self, kind: str, key: str) -> tuple[Any, datetime] | None:
        value = self.values.get((kind, key))
        return None if value is None else (json.loads(value[0]), value[1])

    def put_cached(self, kind: str, key: str, value: Any) -> None:
        self.values[kind, key] = (json.dumps(value), datetime.now(UTC))

    def grow_older(self, age: timedelta) -> None:
        self.values = {key: (value, moment - age) for key, (value, moment) in self.values.items()}


def release(version: str, pythons: str = "3.6", **more: Any) -> CatalogRelease:
    return CatalogRelease(version, datetime(2018, 11, 6, tzinfo=UTC), tuple(pythons.split()), 1_000, **more)


def wheel(filename: str, uploaded: str = "2018-11-06T10:00:00Z", **more: Any) -> dict[str, Any]:
    return {"filename": filename, "url": f"/{filename}", "hashes": {}, "upload-time": uploaded, "size": 5, **more}


@contextmanager
def an_index(packages: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Serve the Simple JSON API on a port of this machine, and give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files = packages.get(self.path.strip("/").split("/")[-1])
            body = json.dumps({"meta": {"api-version": "1.1"}, "name": "x", "versions": [], "files": files or []})
            self.send_response(404 if files is None else 200)
            self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
