"""Live events: every one of them, in order, to every stream, from wherever it stopped."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.errors import StoreError
from service.web.events import Broadcaster
from tests.web.conftest import Served
from tests.web.world import TUTORIAL, MadeUpRuns


def parsed(lines: Iterable[str]) -> list[tuple[int, str, Any]]:
    """Read a stream of events to its end: (id, kind, data)."""
    events, current = [], {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            current[name] = value
        elif "data" in current:
            events.append((int(current["id"]), current["event"], json.loads(current["data"])))
            current = {}
    return events


def followed(service: Served, bisection_id: str, last: str | None = None) -> list[tuple[int, str, Any]]:
    headers = {} if last is None else {"last-event-id": last}
    path = f"{service.url}/api/v1/bisections/{bisection_id}/events"
    with httpx.stream("GET", path, headers=headers, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return parsed(answer.iter_lines())


def test_a_stream_tells_everything_and_ends_with_the_verdict(service: Served) -> None:
    bisection_id = service.submit(TUTORIAL)["id"]
    worker = threading.Thread(target=service.world.work_off)
    worker.start()
    events = followed(service, bisection_id)
    worker.join()
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    kinds = [kind for _, kind, _ in events]
    assert kinds[-2:] == ["verdict", "end"]
    assert {"observation", "progress"} <= set(kinds)
    assert events[-1][2]["status"] == "done"
    assert events[-2][2]["changes"][0]["after"] == "1.11.0"


def test_a_stream_resumes_after_the_last_event_that_was_seen(service: Served) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    everything = followed(service, bisection_id)
    for seen in (1, 5, len(everything) - 1):
        assert followed(service, bisection_id, str(seen)) == everything[seen:]
    path = f"/api/v1/bisections/{bisection_id}/events"
    caught_up = service.client.get(path, headers={"last-event-id": str(len(everything))})
    assert caught_up.status_code == 204


def test_a_client_without_headers_says_in_the_address_where_it_was(service: Served) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    path = f"{service.url}/api/v1/bisections/{bisection_id}/events?after=3"
    with httpx.stream("GET", path) as answer:
        assert parsed(answer.iter_lines())[0][0] == 4


@pytest.mark.parametrize("nonsense", ["x", "-1", "1e9", "٣"])
def test_a_last_event_that_is_no_number_starts_from_the_first(service: Served, nonsense: str) -> None:
    bisection_id = service.bisected(TUTORIAL)["id"]
    path = f"{service.url}/api/v1/bisections/{bisection_id}/events"
    with httpx.stream("GET", path, headers={b"last-event-id": nonsense.encode()}) as answer:
        assert parsed(answer.iter_lines())[0][0] == 1


def test_a_stream_of_a_deleted_bisection_ends(service_with: Callable[..., Served]) -> None:
    service = service_with(MadeUpRuns())
    bisection_id = service.submit(TUTORIAL)["id"]
    with service.client.stream("GET", f"/api/v1/bisections/{bisection_id}/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        service.world.store.delete_bisection(bisection_id)
        assert parsed(lines) == []


@dataclass
class Happening:
    """An event as the store keeps it."""

    seq: int
    kind: str
    payload: Mapping[str, Any]


@dataclass
class CountingStore:
    """Keeps events in memory and counts what it is asked."""

    events: dict[str, list[Happening]] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    positions_asked: int = 0
    events_asked: int = 0

    def append(self, name: str) -> None:
        log = self.events.setdefault(name, [])
        log.append(Happening(len(log) + 1, "observation", {"n": len(log) + 1}))

    def events_after(self, bisection_id: str, seq: int = 0, limit: int = 1000) -> Sequence[Happening]:
        self.events_asked += 1
        return self.events.get(bisection_id, [])[seq : seq + limit]

    def event_positions(self, bisection_ids: Sequence[str]) -> Mapping[str, tuple[int, str]]:
        self.positions_asked += 1
        return {
            name: (len(self.events.get(name, ())), "done" if name in self.over else "running") for name in bisection_ids
        }


async def numbers(broadcaster: Broadcaster, name: str, after: int = 0) -> list[int]:
    """Read a stream to its end and return the numbers of its events."""
    chunks = [chunk async for chunk in broadcaster.stream(name, after)]
    return [number for number, _, _ in parsed(b"".join(chunks).decode().split("\n"))]


def test_three_hundred_streams_lose_nothing_and_cost_one_question_a_tick() -> None:
    async def scene() -> None:
        store = CountingStore()
        store.append("a")
        broadcaster = Broadcaster(store, tick_seconds=0.002)
        names = [f"{'ab'[number % 2]}" for number in range(300)]
        streams = [asyncio.create_task(numbers(broadcaster, name, number % 3)) for number, name in enumerate(names)]
        for _ in range(100):
            store.append("a")
            store.append("b")
            await asyncio.sleep(0.001)
        store.over |= {"a", "b"}
        read = await asyncio.gather(*streams)
        for number, (name, seen) in enumerate(zip(names, read, strict=True)):
            assert seen == list(range(1 + number % 3, len(store.events[name]) + 1))
        assert broadcaster.streams == 0
        assert store.events_asked <= 2 * store.positions_asked
        await broadcaster.close()

    asyncio.run(scene())


@pytest.mark.parametrize(("error", "in_words"), [(StoreError("away"), True), (OSError("a mistake"), False)])
def test_a_store_that_is_away_for_a_moment_ends_no_stream(error: Exception, *, in_words: bool) -> None:
    class Absent(CountingStore):
        def event_positions(self, bisection_ids: Sequence[str]) -> Mapping[str, tuple[int, str]]:
            if self.positions_asked < 3:
                self.positions_asked += 1
                raise error
            return super().event_positions(bisection_ids)

    store = Absent(over={"a"})
    store.append("a")
    with capture_logs() as logs:
        assert asyncio.run(numbers(Broadcaster(store, tick_seconds=0.001), "a")) == [1]
    assert [log["event"] for log in logs] == ["events.tick"] * 3
    assert all(("exc_info" not in log) == in_words for log in logs)


def test_closing_ends_every_stream() -> None:
    async def scene() -> list[int]:
        broadcaster = Broadcaster(CountingStore(), tick_seconds=0.001)
        stream = asyncio.create_task(numbers(broadcaster, "a"))
        await asyncio.sleep(0.01)
        await broadcaster.close()
        return await asyncio.wait_for(stream, 2)

    assert asyncio.run(scene()) == []
