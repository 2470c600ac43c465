"""The short way: finished public bisections are answered from their stored documents, before any other layer."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import StoreError
from service.reports.documents import API, Document
from service.reports.readings import Readings
from service.storage.records import EVERYBODY

PREFIX = f"{API}/bisections/"
ID_LETTERS = 26
PERSONAL = ("authorization", "cookie")


@dataclass(frozen=True)
class Counted:
    """Stands for a route where requests are counted."""

    path: str


COUNTED_AS = Counted(f"{PREFIX}{{id}}")


class ShortWay:
    """Answers public bisections from their stored documents; everything else goes the long way."""

    def __init__(self, app: ASGIApp, *, readings: Readings, is_open: bool) -> None:
        """Wrap an application.

        Args:
            app: the long way.
            readings: where the documents are.
            is_open: whether the service is read without a token.
        """
        self._app = app
        self._readings = readings
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not (self._is_open and scope["type"] == "http" and _asks_for_one(scope)):
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        document = await self._stored(scope["path"][len(PREFIX) :], asked)
        if document is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = COUNTED_AS
        status, said, body = document.answer(asked)
        headers = [(name.encode(), value.encode()) for name, value in said.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stored(self, bisection_id: str, asked: Headers) -> Document | None:
        """Return a stored document, for a request without credentials."""
        if any(name in asked for name in PERSONAL):
            return None
        try:
            return await self._readings.at_hand(bisection_id, EVERYBODY, asked.get("if-none-match"))
        except StoreError:
            return None  # the long way reports the error


def _asks_for_one(scope: Scope) -> bool:
    """Return whether a request reads one bisection, by its address alone."""
    path = scope["path"]
    is_one = len(path) == len(PREFIX) + ID_LETTERS and path.startswith(PREFIX)
    return is_one and scope["method"] == "GET" and not scope["query_string"]
