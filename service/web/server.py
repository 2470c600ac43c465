"""The server below the web service: whose word about the client counts, and how long a request may take to arrive."""

from __future__ import annotations

import asyncio

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.settings import Settings

ARRIVAL_SECONDS = 10.0
"""How long a request may take to arrive, its head and its body together; what is larger gets more by its size."""
SLOWEST_BYTES_PER_SECOND = 8 * 1024
"""A slow line in the field is ten times as fast; somebody who sends a byte now and then is not."""
GRACE_SECONDS = 3
"""How long open answers may go on when the service stops: an event stream's reader comes back to the next one."""


def server_config(
    app: ASGIApp, host: str, port: int, settings: Settings, *, grace_seconds: int = GRACE_SECONDS
) -> uvicorn.Config:
    """Return how the web service is served."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="error",  # what is no HTTP is somebody else's mistake, and none of the log's business
        access_log=False,
        http=PromptProtocol,
        ws="none",
        # uvicorn's own default believes whoever connects from this machine.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=grace_seconds,
    )


class PromptProtocol(H11Protocol):
    """Drops connections whose request does not arrive within seconds: uvicorn waits for ever for half of one."""

    _overdue: asyncio.TimerHandle | None = None
    _begun = 0.0
    _received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Have the connection dropped in time as long as a request is not all there."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._arrived()
        elif self._overdue is None and not self.transport.is_closing():
            self._begun = self.loop.time()
            self._overdue = self.loop.call_at(self._begun + ARRIVAL_SECONDS, self._look)

    def _look(self) -> None:
        """Drop the connection unless so much has come that it may take longer."""
        until = self._begun + ARRIVAL_SECONDS + self._received / SLOWEST_BYTES_PER_SECOND
        if self.loop.time() < until:
            self._overdue = self.loop.call_at(until, self._look)
        else:
            self.transport.close()

    def _arrived(self) -> None:
        """Stop watching: a request is there, or nobody is."""
        self._received = 0
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
