"""The short way: a finished public bisection that was read a moment ago is answered without waking anything else."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from service.web.documents import API
from service.web.readings import Readings

PREFIX = f"{API}/bisections/"
ID_LETTERS = 26
PERSONAL = frozenset({b"authorization", b"cookie", b"if-none-match", b"range"})


@dataclass(frozen=True)
class Counted:
    """Stands for a route where requests are counted."""

    path: str


COUNTED_AS = Counted(f"{PREFIX}{{id}}")


class ShortWay:
    """Answers from memory what everybody may read; everything else goes the long way."""

    def __init__(self, app: ASGIApp, *, readings: Readings, is_open: bool) -> None:
        """Wrap an application.

        Args:
            app: the long way.
            readings: what was read a moment ago.
            is_open: whether the service is read without a token.
        """
        self._app = app
        self._readings = readings
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        document = self._known(scope) if self._is_open and scope["type"] == "http" else None
        if document is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = COUNTED_AS
        await send({"type": "http.response.start", "status": 200, "headers": document[0]})
        await send({"type": "http.response.body", "body": document[1]})

    def _known(self, scope: Scope) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
        """Return the head and body of an answer that is at hand, for a request that says nothing personal."""
        path = scope["path"]
        if scope["method"] != "GET" or len(path) != len(PREFIX) + ID_LETTERS or not path.startswith(PREFIX):
            return None
        if scope["query_string"] or any(name in PERSONAL for name, _ in scope["headers"]):
            return None
        document = self._readings.public_document(path[len(PREFIX) :])
        return None if document is None else (document.headers, document.body)
