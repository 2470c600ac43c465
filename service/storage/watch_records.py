"""What the store returns about watches: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

RunStatus = Literal["first", "unchanged", "changed", "blind", "failed"]
"""first: there was nothing to compare with. unchanged: nothing new, or the same verdict. blind: the newest release gave
no answer. failed: the watch could not be run, for the reason in `message`."""
DeliveryStatus = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True)
class NewWatch:
    """A watch to be stored."""

    name: str
    request: Mapping[str, Any]
    """A bisection's request without snippet and package."""
    snippet: str
    packages: tuple[Mapping[str, Any], ...]
    """Per package what differs from `request`; names at least `package`."""
    notify: tuple[Mapping[str, Any], ...] = ()
    """Whom to tell: {"channel": "webhook" | "slack" | "mail", "target": address}."""
    blind_after: int = 3
    origin: str = "cli"
    """cli, api, form, or file:NAME."""
    public: bool = True
    owner: str | None = None


@dataclass(frozen=True)
class Watch:
    id: str
    name: str
    created_at: datetime
    removed_at: datetime | None
    origin: str
    request: Mapping[str, Any]
    packages: tuple[Mapping[str, Any], ...]
    notify: tuple[Mapping[str, Any], ...]
    blind_after: int
    snippet_digest: str
    public: bool
    owner: str | None

    @property
    def is_trusted(self) -> bool:
        """Return whether its addresses come from the operator of this service, not from a request."""
        return self.origin == "cli" or self.origin.startswith("file:")


@dataclass(frozen=True)
class NewWatchRun:
    """The result of one pass for one package of a watch."""

    watch_id: str
    pass_id: str
    package: str
    status: RunStatus
    seen: Mapping[str, Any]
    """The releases as they were: release -> {"yanked", "gone", "environment"}."""
    bisection_id: str | None = None
    verdict: Mapping[str, Any] | None = None
    difference: Mapping[str, Any] | None = None
    message: str = ""


@dataclass(frozen=True)
class WatchRun(NewWatchRun):
    """A stored night of a watch."""

    id: str = ""
    finished_at: datetime = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class NightStatus:
    """How a night ended, without its details."""

    id: str
    watch_id: str
    package: str
    status: RunStatus
    blind_after: int
    """As its watch has it."""


@dataclass(frozen=True)
class WatchPass:
    id: str
    started_at: datetime
    finished_at: datetime | None
    summary: Mapping[str, Any] | None


@dataclass(frozen=True)
class NewDelivery:
    """A message to one address."""

    channel: str
    target: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Delivery:
    id: str
    watch_run_id: str
    channel: str
    target: str
    payload: Mapping[str, Any]
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None


@dataclass(frozen=True)
class DeliveryAttempt:
    delivery_id: str
    number: int
    at: datetime
    status_code: int | None
    error: str
