"""Stand-ins for what lies outside of the catalog: a cache in memory, releases made up, an index of our own."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from service.catalog.releases import CatalogRelease


class MemoryCache:
    """Keeps values as the store does: as JSON, with the time."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._alone: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def cached(self, kind: str, key: str) -> tuple[Any, datetime] | None:
        value = self.values.get((kind, key))
        return None if value is None else (json.loads(value[0]), value[1])

    def put_cached(self, kind: str, key: str, value: Any) -> None:
        self.values[kind, key] = (json.dumps(value), datetime.now(UTC))

    def alone(self, name: str) -> AbstractContextManager[Any]:
        return self._alone[name]

    def grow_older(self, age: timedelta) -> None:
        self.values = {key: (value, moment - age) for key, (value, moment) in self.values.items()}


def release(version: str, pythons: str = "3.6", **more: Any) -> CatalogRelease:
    return CatalogRelease(version, datetime(2018, 11, 6, tzinfo=UTC), tuple(pythons.split()), 1_000, **more)


def wheel(filename: str, uploaded: str = "2018-11-06T10:00:00Z", **more: Any) -> dict[str, Any]:
    said = {"filename": filename, "url": f"/{filename}", "hashes": {}, "upload-time": uploaded, "size": 5}
    return {**said, **more}


def wheel_of(package: str, version: str, *requirements: str, beside: str = "", **modules: str) -> tuple[str, bytes]:
    """Make a real wheel: its file name and its bytes.

    Args:
        package: its name.
        version: its version.
        requirements: what it requires.
        beside: another package whose metadata lie in it too, so that installers refuse it.
        modules: name -> source; they lie in the wheel's data folder where there is a package beside.
    """
    written = io.BytesIO()
    folder = f"{package}-{version}.data/purelib/" if beside else ""
    with zipfile.ZipFile(written, "w") as archive:
        for name, source in modules.items():
            archive.writestr(f"{folder}{name}.py", source)
        for owner in filter(None, (package, beside)):
            info = f"{owner}-{version}.dist-info"
            lines = ["Metadata-Version: 2.1", f"Name: {owner}", f"Version: {version}"]
            lines += [f"Requires-Dist: {requirement}" for requirement in requirements if owner == package]
            archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
    return f"{package}-{version}-py3-none-any.whl", written.getvalue()


def listed(file: tuple[str, bytes], **more: Any) -> dict[str, Any]:
    """Return what an index says of a file that it serves, but for its address."""
    name, content = file
    return wheel(name, hashes={"sha256": hashlib.sha256(content).hexdigest()}, **{"size": len(content), **more})


@contextmanager
def an_index(
    packages: Mapping[str, list[dict[str, Any]]],
    files: Mapping[str, bytes] | None = None,
    asked: list[str] | None = None,
) -> Iterator[str]:
    """Serve the Simple JSON API on a port of this machine, and give its address.

    Args:
        packages: name -> what is said of its files.
        files: file name -> content.
        asked: takes up every path that is asked for.
    """
    content = files or {}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            found = content.get(self.path.strip("/"))
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()

        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            if self.path.strip("/") in content:
                self.do_HEAD()
                self.wfile.write(content[self.path.strip("/")])
                return
            files = packages.get(self.path.strip("/").rpartition("/")[2])
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
