"""Callers: identity, permissions and limits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from service.bisection.words import counted
from service.settings import Settings
from service.storage.records import Token, Viewer
from service.web.problems import Problem, Refusal, too_many

COOKIE = "tfbisect_token"
OPEN_SCOPES = frozenset({"read", "submit"})
"""The scopes of callers without a token if none is required; `admin` always needs one."""


class TokenStore(Protocol):
    """The store's part that access needs."""

    def token_of(self, secret: str) -> Token | None:
        """Return the valid token of a secret, or None."""


@dataclass(frozen=True)
class Caller:
    name: str
    """Token id, or the address: limits are counted under it."""
    scopes: frozenset[str]
    owner: str | None = None
    """Token id; None without a token."""

    @property
    def viewer(self) -> Viewer:
        """Return what the store shows this caller."""
        return Viewer(owner=self.owner, sees_all="admin" in self.scopes)

    def may_end(self, owner: str | None) -> bool:
        """Return whether this caller may cancel and delete what a token made: its own, or all with `admin`."""
        return "admin" in self.scopes or ("submit" in self.scopes and owner == self.owner)

    def require(self, scope: str) -> None:
        """Refuse a caller without a scope; `admin` includes the others.

        Raises:
            Refusal: 403.
        """
        if scope not in self.scopes and "admin" not in self.scopes:
            detail = f"This token may not {scope}; make one that may: tfbisect tokens create --scope {scope}"
            raise Refusal(Problem(403, "Forbidden", detail, "forbidden"))


class Access:
    """Identifies callers and enforces their limits."""

    def __init__(self, settings: Settings, tokens: TokenStore) -> None:
        self._settings = settings
        self._tokens = tokens
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_minute = RateLimitItemPerMinute(settings.submissions_per_minute)
        self._per_hour = RateLimitItemPerHour(settings.submissions_per_hour)
        self._estimates = RateLimitItemPerMinute(settings.estimates_per_minute)
        self._streams: Counter[str] = Counter()

    async def caller(self, request: Request, scope: str) -> Caller:
        """Return the caller, if allowed.

        Raises:
            Refusal: 401 without a good token where one is needed, 403 where it does not reach that far.
        """
        caller = await self._known(request)
        caller.require(scope)
        return caller

    async def _known(self, request: Request) -> Caller:
        address = request.client.host if request.client else "unknown"
        secret = secret_in(request)
        if secret:
            token = await run_in_threadpool(self._tokens.token_of, secret)
            if token is None:
                raise unauthorised("This token is unknown, revoked or expired.")
            return Caller(token.id, token.scopes, token.id)
        if not self._settings.require_token:
            return Caller(address, OPEN_SCOPES)
        if self._settings.anonymous_read:
            return Caller(address, frozenset({"read"}))
        raise unauthorised("Send a token: Authorization: Bearer tfb_…; make one with: tfbisect tokens create")

    def count_submission(self, caller: Caller) -> None:
        """Count a submission.

        Raises:
            Refusal: 429, too many of late.
        """
        for limit in (self._per_minute, self._per_hour):
            self._count(limit, "submissions", caller)

    def count_estimate(self, caller: Caller) -> None:
        """Count an estimate: it starts nothing, but costs computing time.

        Raises:
            Refusal: 429, too many of late.
        """
        self._count(self._estimates, "estimates", caller)

    def _count(self, limit: RateLimitItem, what: str, caller: Caller) -> None:
        """Count one, unless the limit is reached."""
        if not self._limiter.hit(limit, what, caller.name):
            wait_seconds = self._limiter.get_window_stats(limit, what, caller.name).reset_time - time.time()
            raise too_many(f"At most {limit.amount} {what} per {limit.GRANULARITY.name}.", wait_seconds)

    def check_streams(self, caller: Caller) -> None:
        """Check whether a caller may open one more event stream.

        Raises:
            Refusal: 429, too many are open.
        """
        if self._streams[caller.name] >= self._settings.streams_per_client:
            raise too_many(f"At most {counted(self._settings.streams_per_client, 'event stream')} at once.", 5)

    @contextmanager
    def counted_stream(self, caller: Caller) -> Iterator[None]:
        """Hold a place among the caller's event streams."""
        self._streams[caller.name] += 1
        try:
            yield
        finally:
            self._streams[caller.name] -= 1
            if not self._streams[caller.name]:
                del self._streams[caller.name]


def secret_in(request: Request) -> str:
    """Return the secret of a request: from its header, or from the cookie of a signed-in browser."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    return request.cookies.get(COOKIE, "")


def unauthorised(detail: str) -> Refusal:
    """Return the refusal of a caller without a valid token."""
    headers = {"www-authenticate": 'Bearer realm="tfbisect"'}
    return Refusal(Problem(401, "Unauthorized", detail, "unauthorized", headers=headers))
