"""Live events: one query to the store per tick for all streams.

Each bisection that somebody watches has a topic: its events, encoded once, in order. A stream is a position in that
list, so that a slow or a late reader loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from service.errors import StoreError
from service.reports.documents import json_text

TICK_SECONDS = 0.2
PING_SECONDS = 15.0
RETRY_MILLISECONDS = 1500
BATCH = 1000

log = structlog.get_logger()


class StoredEvent(Protocol):
    """An event of the store."""

    @property
    def seq(self) -> int:
        """Return its number, from 1 without gaps."""

    @property
    def kind(self) -> str:
        """Return its kind."""

    @property
    def payload(self) -> Mapping[str, Any]:
        """Return its content."""


class EventStore(Protocol):
    """The store's part that the broadcaster needs."""

    def events_after(self, bisection_id: str, seq: int = 0, limit: int = 1000) -> Sequence[StoredEvent]:
        """Return the events after a number, oldest first."""

    def event_positions(self, bisection_ids: Sequence[str]) -> Mapping[str, tuple[int, str]]:
        """Return the last event's number and the status of each."""


@dataclass
class Topic:
    """What is known of one watched bisection."""

    encoded: list[bytes] = field(default_factory=list)
    """Item i is event i + 1, encoded."""
    is_over: bool = False
    """Whether no further event will come: finished and all read, or deleted."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0

    def wake(self) -> None:
        """Wake every stream."""
        self.changed.set()
        self.changed = asyncio.Event()


class Broadcaster:
    """Follows the watched bisections and passes their events to every stream."""

    def __init__(self, store: EventStore, tick_seconds: float = TICK_SECONDS) -> None:
        self._store = store
        self._tick_seconds = tick_seconds
        self._topics: dict[str, Topic] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def streams(self) -> int:
        """Return how many streams are open."""
        return sum(topic.streams for topic in self._topics.values())

    async def stream(self, bisection_id: str, after: int = 0) -> AsyncIterator[bytes]:
        """Yield the events after a number as they happen, and end when the bisection has ended."""
        topic = self._topics.setdefault(bisection_id, Topic())
        topic.streams += 1
        self._follow()
        try:
            yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
            position = after
            while True:
                changed = topic.changed
                if fresh := topic.encoded[position:]:
                    position += len(fresh)
                    yield b"".join(fresh)
                elif topic.is_over:
                    return
                elif not await _woken(changed):
                    yield KEEPALIVE_COMMENT
        finally:
            topic.streams -= 1
            if not topic.streams and self._topics.get(bisection_id) is topic:
                del self._topics[bisection_id]

    async def close(self) -> None:
        """End every stream and stop polling."""
        for topic in self._topics.values():
            topic.is_over = True
            topic.wake()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _follow(self) -> None:
        """Poll the store while there are streams."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Poll once per tick, until there is no stream."""
        while self._topics:
            try:
                await self._tick()
            except StoreError as error:
                # A short outage of the store must not end the streams; they continue where they were.
                log.warning("events.tick", reason=error.message)
            except Exception:
                log.exception("events.tick")
            await asyncio.sleep(self._tick_seconds)

    async def _tick(self) -> None:
        """Read the events since the last tick."""
        watched = {name: topic for name, topic in self._topics.items() if not topic.is_over}
        if not watched:
            return
        positions = await asyncio.to_thread(self._store.event_positions, list(watched))
        for bisection_id, topic in watched.items():
            last, status = positions.get(bisection_id, (0, "deleted"))
            if last > len(topic.encoded):
                await self._read(bisection_id, topic)
            if status not in ("queued", "running") and len(topic.encoded) >= last:
                topic.is_over = True
                topic.wake()

    async def _read(self, bisection_id: str, topic: Topic) -> None:
        events = await asyncio.to_thread(self._store.events_after, bisection_id, len(topic.encoded), BATCH)
        topic.encoded.extend(encoded(event) for event in events)
        topic.wake()


def encoded(event: StoredEvent) -> bytes:
    return format_sse_event(data_str=json_text(event.payload), event=event.kind, id=str(event.seq))


async def _woken(changed: asyncio.Event) -> bool:
    """Wait for events; False: none came, and a ping is due."""
    try:
        await asyncio.wait_for(changed.wait(), PING_SECONDS)
    except TimeoutError:
        return False
    return True
