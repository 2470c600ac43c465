"""A package index on this machine that answers in every odd way that one has been seen to, or could.

    with odd_index({"demo": [wheel("demo-1.0-py3-none-any.whl")]}) as index:
        index.mode = "captive portal"
        …ask index.url

A mode is a function that is handed the request and what an honest index would answer; MODES names them all. "honest" is
one of them.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/vnd.pypi.simple.v1+json"
PAUSE_SECONDS = 0.02
PORTAL = b"<html><title>Welcome to our hotel</title><a href='/login'>Sign in</a> to use the network.</html>"
HTML = "text/html; charset=utf-8"
Listing = Sequence[Mapping[str, Any]]


@dataclass
class OddIndex:
    """An index that is up."""

    url: str
    packages: Mapping[str, Listing]
    mode: str = "honest"
    asked: list[str] = field(default_factory=list)
    """Every path that was asked for."""
    over: threading.Event = field(default_factory=threading.Event)


class Request(BaseHTTPRequestHandler):
    """A request, and the ways to answer it."""

    index: OddIndex

    def do_GET(self) -> None:
        self.index.asked.append(self.path)
        package = self.path.strip("/").rpartition("/")[2]
        with suppress(OSError):  # who asked may go away, as they should
            MODES[self.index.mode](self, self.index.packages.get(package))

    def do_HEAD(self) -> None:
        self.send_error(405)

    def say(self, body: bytes, kind: str = JSON, status: int = 200, **headers: str) -> None:
        """Answer at once and in full."""
        self.begin(kind, status, Content_Length=str(len(body)), **headers)
        self.wfile.write(body)

    def begin(self, kind: str = JSON, status: int = 200, **headers: str) -> None:
        """Send a status and headers."""
        self.send_response(status)
        for name, value in {"Content_Type": kind, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def drip(self, content: bytes) -> None:
        """Send bytes one by one, for as long as somebody takes them."""
        for byte in content:
            if self.index.over.wait(PAUSE_SECONDS):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def flood(self, content: bytes, times: int) -> None:
        """Send the same bytes again and again."""
        for _ in range(times):
            if self.index.over.is_set():
                return
            self.wfile.write(content)

    def hang_up(self) -> None:
        """Close the connection."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing."""


Answer = Callable[[Request, Listing | None], None]
MODES: dict[str, Answer] = {}
SLOW = ("says nothing", "one byte at a time", "one byte of a header at a time", "headers for ever")
"""Modes that take their time; whoever asks has to set an end."""


def mode(name: str) -> Callable[[Answer], Answer]:
    """Give a mode its name."""

    def keep(answer: Answer) -> Answer:
        MODES[name] = answer
        return answer

    return keep


def page(files: Any, name: str = "x", **more: Any) -> bytes:
    """Return a page of the JSON API."""
    return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": files, **more}).encode()


def damaged(files: Listing | None, **change: Any) -> bytes:
    """Return an honest page with one thing in its last file changed."""
    listed = list(files or [])
    return page([*listed[:-1], {**listed[-1], **change}]) if listed else page([])


@mode("honest")
def _(request: Request, files: Listing | None) -> None:
    request.say(page(files)) if files is not None else request.say(b"", status=404)


@mode("honest, as HTML")
def _(request: Request, files: Listing | None) -> None:
    links = "".join(f"<a href='{file['url']}'>{file['filename']}</a>" for file in files or ())
    request.say(f"<!DOCTYPE html><body>{links}</body>".encode(), HTML, 200 if files is not None else 404)


@mode("empty page")
def _(request: Request, files: Listing | None) -> None:
    request.say(page([]))


@mode("empty HTML")
def _(request: Request, files: Listing | None) -> None:
    request.say(b"<!DOCTYPE html><html><body></body></html>", HTML)


@mode("no content at all")
def _(request: Request, files: Listing | None) -> None:
    request.say(b"")


@mode("captive portal")
def _(request: Request, files: Listing | None) -> None:
    request.say(PORTAL, HTML)


@mode("redirect to a captive portal")
def _(request: Request, files: Listing | None) -> None:
    request.say(PORTAL, HTML) if request.path == "/login" else request.say(b"", status=302, Location="/login")


@mode("redirects in a circle")
def _(request: Request, files: Listing | None) -> None:
    request.say(b"", status=302, Location=request.path)


@mode("redirect to a file of the machine")
def _(request: Request, files: Listing | None) -> None:
    request.say(b"", status=302, Location="file:///etc/hostname")


@mode("HTML under the name of JSON")
def _(request: Request, files: Listing | None) -> None:
    request.say(PORTAL)


@mode("a list where an object is due")
def _(request: Request, files: Listing | None) -> None:
    request.say(json.dumps(files).encode())


@mode("files that are no list")
def _(request: Request, files: Listing | None) -> None:
    request.say(page({"first": 1}))


@mode("files that are no objects")
def _(request: Request, files: Listing | None) -> None:
    request.say(page(["a", 1, None]))


@mode("a date that is none")
def _(request: Request, files: Listing | None) -> None:
    request.say(damaged(files, **{"upload-time": "yesterday"}))


@mode("the year 9999")
def _(request: Request, files: Listing | None) -> None:
    request.say(damaged(files, **{"upload-time": "9999-12-31T23:59:59-12:00"}))


@mode("a size of 400 digits")
def _(request: Request, files: Listing | None) -> None:
    request.say(damaged(files, size=10**400))


@mode("a number of 5000 digits")
def _(request: Request, files: Listing | None) -> None:
    request.say(page(files).replace(b'"versions": []', b'"versions": [' + b"9" * 5000 + b"]"))


@mode("nested to the brim")
def _(request: Request, files: Listing | None) -> None:
    request.say(b'{"files": ' + b"[" * 200_000)


@mode("half of the JSON")
def _(request: Request, files: Listing | None) -> None:
    body = page(files)
    request.say(body[: len(body) // 2])


@mode("no text")
def _(request: Request, files: Listing | None) -> None:
    request.say(bytes(range(256)) * 40)


@mode("the page of another package")
def _(request: Request, files: Listing | None) -> None:
    request.say(page([{**file, "filename": f"another-{number}.0.whl"} for number, file in enumerate(files or ())]))


@mode("one release of many")
def _(request: Request, files: Listing | None) -> None:
    request.say(page(list(files or ())[:1]))


@mode("no such package")
def _(request: Request, files: Listing | None) -> None:
    request.say(b"", status=404)


@mode("forbidden")
def _(request: Request, files: Listing | None) -> None:
    request.say(b"", status=403)


@mode("internal error")
def _(request: Request, files: Listing | None) -> None:
    request.say(b"Traceback", HTML, 500)


@mode("a picture")
def _(request: Request, files: Listing | None) -> None:
    request.say(b"\x89PNG", "image/png")


@mode("gzip bomb")
def _(request: Request, files: Listing | None) -> None:
    request.begin(Content_Encoding="gzip")
    zeros = gzip.compress(b" " * 2**20)
    request.flood(zeros, 300)


@mode("gzip bomb in one member")
def _(request: Request, files: Listing | None) -> None:
    request.say(bomb(300), Content_Encoding="gzip")


@cache
def bomb(mebibytes: int) -> bytes:
    """Return what unpacks to so much, made without ever having so much in memory."""
    packer = zlib.compressobj(1, wbits=31)
    packed = [packer.compress(b" " * 2**20) for _ in range(mebibytes)]
    return b"".join([*packed, packer.flush()])


@mode("gzip that is none")
def _(request: Request, files: Listing | None) -> None:
    request.say(page(files), Content_Encoding="gzip")


@mode("half of the gzip")
def _(request: Request, files: Listing | None) -> None:
    packed = gzip.compress(page(files))
    request.say(packed[: len(packed) // 2], Content_Encoding="gzip")


@mode("packed as nobody asked")
def _(request: Request, files: Listing | None) -> None:
    request.say(page(files), Content_Encoding="br")


@mode("300 MB")
def _(request: Request, files: Listing | None) -> None:
    request.begin()
    request.flood(b" " * 2**20, 300)


@mode("hangs up at once")
def _(request: Request, files: Listing | None) -> None:
    request.hang_up()


@mode("hangs up in the middle")
def _(request: Request, files: Listing | None) -> None:
    body = page(files)
    request.begin(Content_Length=str(len(body)))
    request.wfile.write(body[: len(body) // 2])
    request.hang_up()


@mode("no HTTP")
def _(request: Request, files: Listing | None) -> None:
    request.wfile.write(b"220 mail.example.org ESMTP\r\n")
    request.hang_up()


@mode("says nothing")
def _(request: Request, files: Listing | None) -> None:
    request.index.over.wait()


@mode("one byte at a time")
def _(request: Request, files: Listing | None) -> None:
    request.begin()
    request.drip(b" " * 10**6)


@mode("one byte of a header at a time")
def _(request: Request, files: Listing | None) -> None:
    request.drip(b"HTTP/1.1 200 OK\r\nX-Odd: " + b"o" * 10**6)


@mode("headers for ever")
def _(request: Request, files: Listing | None) -> None:
    request.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Odd: o\r\n" * 10**6)


@contextmanager
def odd_index(packages: Mapping[str, Listing]) -> Iterator[OddIndex]:
    """Serve an index on a port of this machine, honest until its mode is set to another."""

    class Handler(Request):
        index = OddIndex("", packages)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index = Handler.index
    index.url = f"http://127.0.0.1:{server.server_port}/simple/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        index.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
