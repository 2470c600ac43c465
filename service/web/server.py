"""The HTTP server: trusted proxies, and the time limit of incoming requests."""

from __future__ import annotations

import asyncio

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.settings import Settings

ARRIVAL_SECONDS = 10.0
"""How long a request may take to arrive, headers and body; larger ones get more time."""
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
        # uvicorn's default trusts every client of this machine.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=grace_seconds,
    )


class PromptProtocol(H11Protocol):
    """Drops connections whose request does not arrive in time; uvicorn waits for incomplete ones for ever."""

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
        """Schedule the drop of the connection while a request is incomplete."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._arrived()
        elif self._overdue is None and not self.transport.is_closing():
            self._begun = self.loop.time()
            self._overdue = self.loop.call_at(self._begun + ARRIVAL_SECONDS, self._look)

    def _look(self) -> None:
        """Drop the connection, unless the received bytes earn more time."""
        until = self._begun + ARRIVAL_SECONDS + self._received / SLOWEST_BYTES_PER_SECOND
        if self.loop.time() < until:
            self._overdue = self.loop.call_at(until, self._look)
        else:
            self.transport.close()

    def _arrived(self) -> None:
        """Stop the timer: the request is complete, or the client is gone."""
        self._received = 0
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
