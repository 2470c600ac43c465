"""A package index on loopback that relives the past: real wheels from the index that this machine is set to, in pages
that show only what a test's clock has reached."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from service.catalog.releases import TIMEOUT_SECONDS, Catalog, Index
from service.settings import Settings
from tests.catalog.worlds import MemoryCache

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_PASSED_ON = ("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "ETag")


@dataclass
class Clock:
    """The time, as a test says."""

    moment: datetime

    def __call__(self) -> datetime:
        return self.moment

    def sleep_until_next_night(self) -> None:
        self.moment += timedelta(days=1)


@dataclass
class RelivedIndex:
    """What the served index shows of one package, and what was fetched from it."""

    package: str
    clock: Clock
    address: str = ""
    uploads: dict[str, datetime] = field(default_factory=dict)
    """Release -> when it came here; where it is not named, when it really came."""
    yanked: set[str] = field(default_factory=set)
    fetched: list[str] = field(default_factory=list)
    """Names of the files that were downloaded whole."""
    _behind: Index = field(default_factory=lambda: Catalog(MemoryCache(), Settings()).index)
    _files: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.address}/simple/"

    def page(self, package: str) -> tuple[int, bytes]:
        """Return a package's page: this one's up to the clock, any other's as it is."""
        answer = self._ask(f"{self._behind.url.rstrip('/')}/{package}/", {"Accept": SIMPLE_JSON})
        if not answer.ok:
            return answer.status_code, b""
        page = answer.json()
        files = [self._served(file) for file in page["files"]]
        if package == self.package:
            files = [relived for file in files if (relived := self._relived(file)) is not None]
        return 200, json.dumps({"meta": {"api-version": "1.1"}, "name": page["name"], "files": files}).encode()

    def _served(self, file: dict[str, Any]) -> dict[str, Any]:
        """Return an entry whose address is here."""
        token = hashlib.sha256(file["url"].encode()).hexdigest()[:16]
        self._files[token] = file["url"]
        return {**file, "url": f"{self.address}/files/{token}/{file['filename']}"}

    def _relived(self, file: dict[str, Any]) -> dict[str, Any] | None:
        """Return an entry as the clock has it; None where it has not come yet."""
        release = _release_of(file["filename"])
        uploaded = self.uploads.get(release, datetime.fromisoformat(file["upload-time"]))
        if uploaded > self.clock():
            return None
        moment = uploaded.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return {**file, "upload-time": moment, "yanked": release in self.yanked}

    def file(self, method: str, token: str, name: str, headers: dict[str, str]) -> requests.Response:
        """Return a file, or the part of it that was asked for."""
        suffix = ".metadata" if name.endswith(".metadata") else ""
        answer = self._ask(self._files[token] + suffix, {"Accept-Encoding": "identity", **headers}, method)
        if (method, answer.status_code, suffix) == ("GET", 200, ""):
            self.fetched.append(name)
        return answer

    def _ask(self, address: str, headers: dict[str, str], method: str = "GET") -> requests.Response:
        # A session of its own per request: requests' are not made for several threads.
        session = self._behind.session()
        return session.request(
            method, address, headers=headers, timeout=TIMEOUT_SECONDS, stream=True, allow_redirects=True
        )


def _release_of(filename: str) -> str:
    try:
        parsed = parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return ""
    return str(parsed[1])


class Server(ThreadingHTTPServer):
    """Serves what an index shows now."""

    def __init__(self, index: RelivedIndex) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.index = index
        index.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case ["simple", package]:
                status, body = self.server.index.page(package)
                self._head(status, {"Content-Type": SIMPLE_JSON, "Content-Length": str(len(body))})
                self._body([body])
            case ["files", token, name]:
                asked = {"Range": self.headers["Range"]} if "Range" in self.headers else {}
                with self.server.index.file(self.command, token, name, asked) as answer:
                    self._pass_on(answer)
            case _:
                self.send_error(404)

    def _pass_on(self, answer: requests.Response) -> None:
        self._head(answer.status_code, {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers})
        self._body(answer.iter_content(1 << 20))

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, chunks: Iterable[bytes]) -> None:
        for chunk in chunks if self.command == "GET" else ():
            self.wfile.write(chunk)

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def relived_index(package: str, clock: Clock) -> Iterator[RelivedIndex]:
    index = RelivedIndex(package, clock)
    with Server(index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join()
