"""Checks of every request: its host, its origin, its size.

It also puts the security headers on each answer. A plain ASGI layer: it costs microseconds, and streams pass through it
untouched.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.web.problems import Problem

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
SAME_SITE = (b"cross-origin-resource-policy", b"same-origin")
PICTURES = (".svg", "/card.png")
"""Other sites show these: the badge, and the picture of a shared link."""
EVERY_SITE = (b"cross-origin-resource-policy", b"cross-origin")


class Guard:
    """Refuses bad requests, and adds the security headers to answers."""

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], body_bytes: int, larger: Mapping[str, int] | None = None
    ) -> None:
        """Wrap an application.

        Args:
            app: what answers.
            hosts: names that this service answers to, beside localhost and IP addresses; "*.example.org" stands for all
                below it, "*" for any.
            body_bytes: the largest request body.
            larger: by path, where it may be larger: what takes files.
        """
        self._app = app
        self._names = TrustedHostMiddleware(_accept, ["localhost", *hosts], www_redirect=False)
        self._body_bytes = body_bytes
        self._larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sealed = _sealed(send, EVERY_SITE if scope["path"].endswith(PICTURES) else SAME_SITE)
        if scope["method"] == "HEAD" and not scope["path"].endswith("/events"):
            # The server leaves out the body. HEAD must not wait for the end of a stream.
            scope = {**scope, "method": "GET"}
        problem = await self._misdirected(scope, headers) or self._refusal(scope, headers)
        if problem is not None:
            await problem.response()(scope, receive, sealed)
        elif scope["method"] in UNSAFE:
            await self._bounded(scope, receive, sealed)
        else:
            await self._app(scope, receive, sealed)

    def _refusal(self, scope: Scope, headers: Headers) -> Problem | None:
        """Return why a request is refused, from its headers."""
        if scope["method"] not in UNSAFE:
            return None
        if is_cross_origin(headers, headers.get("host", "")):
            detail = "Another site sent this; open the form here, or send the request without an Origin."
            return Problem(403, "Cross-origin request", detail, "cross-origin")
        length = headers.get("content-length", "")
        limit_bytes = self._limit(scope)
        if length.isdigit() and int(length) > limit_bytes:
            return too_large(limit_bytes)
        return None

    def _limit(self, scope: Scope) -> int:
        return max(self._body_bytes, self._larger.get(scope["path"], 0))

    async def _misdirected(self, scope: Scope, headers: Headers) -> Problem | None:
        """Refuse a request for another host: this prevents DNS rebinding.

        Starlette's middleware judges names. IP addresses pass by here, since it cannot be told "any address", and they
        cannot be rebound; and its refusal is put into words here, since ours are problems with security headers.
        """
        host = headers.get("host", "")
        if _is_address(host):
            return None
        judged: list[Message] = []

        async def take(message: Message) -> None:
            judged.append(message)

        await self._names(scope, _nothing, take)
        if not judged:
            return None
        detail = f"This service does not answer to the name {host!r}; allow it with TFBISECT_ALLOWED_HOSTS."
        return Problem(421, "Misdirected Request", detail, "misdirected-request")

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count its bytes: a body without a length is limited too."""
        received, limit_bytes = 0, self._limit(scope)

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit_bytes:
                raise HTTPException(413, too_large(limit_bytes).detail)
            return message

        await self._app(scope, counted, send)


def too_large(limit_bytes: int) -> Problem:
    return Problem(413, "Content Too Large", f"At most {limit_bytes:,} bytes are taken.", "content-too-large")


def is_cross_origin(headers: Headers, host: str) -> bool:
    """Return whether a browser sent a request from another site; programs send neither header."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != host.lower()


def _sealed(send: Send, resource_policy: tuple[bytes, bytes]) -> Send:
    """Return a send that adds the security headers."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *SECURITY_HEADERS, resource_policy]
        await send(message)

    return with_headers


async def _accept(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Stand for what a request that is let in comes to."""


async def _nothing() -> Message:
    """Stand for a body that nobody reads."""
    return {"type": "http.disconnect"}


@lru_cache(1024)  # called for each request, nearly always with the same name
def _is_address(host: str) -> bool:
    """Return whether a Host header is just an IP address, with or without a port."""
    found = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?", host, re.ASCII)
    try:
        return found is not None and bool(ipaddress.ip_address(found["six"] or found["four"]))
    except ValueError:
        return False
