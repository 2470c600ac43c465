"""Twenty clients that do what users do, for as long as they are told, and what they and the service went through."""

from __future__ import annotations

import itertools
import json
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.faults.world import CHANGES, Service, request

CLIENTS = 20
SLOWEST_SECONDS = 2.0
"""What 99 of 100 requests stay under, on two cores that do nothing else. Event streams are not among them."""
GROWTH = 0.15
"""How much more memory the last quarter may take than the second: the first fills caches."""
HANDLES = 16
"""How many more file handles the last quarter may hold than the second."""
PAGES = ("/", "/b/{id}", "/b/{id}.md", "/b/{id}.svg", "/api/v1/bisections", "/api/v1/bisections/{id}", "/readyz")


@dataclass
class Watched:
    """What a process took, look by look."""

    memory_bytes: list[int] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def growth(self) -> tuple[float, int]:
        """Return by which share memory grew, and by how many the handles, from the second quarter to the last."""
        quarter = max(1, len(self.handles) // 4)
        early, late = slice(quarter, 2 * quarter), slice(-quarter, None)
        memory = statistics.median(self.memory_bytes[late]) / statistics.median(self.memory_bytes[early]) - 1
        return memory, round(statistics.median(self.handles[late]) - statistics.median(self.handles[early]))


@dataclass
class Seen:
    """What clients saw."""

    seconds: list[float] = field(default_factory=list)
    """How long each request took."""
    ends: Counter[str] = field(default_factory=Counter)
    """How bisections ended: done, cancelled."""
    wrong: list[str] = field(default_factory=list)
    """What should not have been."""
    for_real: int = 0
    """Bisections whose runs were not made up."""

    def percentile(self, share: float) -> float:
        """Return the time that this share of the requests stayed under."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Client:
    """One user, who submits, follows, reads and cancels, over and over."""

    def __init__(self, service: Service, seen: Seen, number: int, marks: Callable[[], int]) -> None:
        self._http = httpx.Client(base_url=service.url, timeout=60)
        self._seen = seen
        self._chance = random.Random(number)
        self._marks = marks

    def live(self, until: float) -> None:
        """Go on until a moment of the monotonic clock."""
        with self._http:
            while time.monotonic() < until:
                try:
                    self._once()
                except (httpx.HTTPError, KeyError, ValueError) as error:
                    self._seen.wrong.append(f"{type(error).__name__}: {error}"[:200])

    def _once(self) -> None:
        bisection_id = self._submitted()
        if self._chance.random() < 0.15:
            self._timed("POST", f"/api/v1/bisections/{bisection_id}/cancel", (202, 409))
        ended, told = self._followed(bisection_id)
        self._seen.ends[ended] += 1
        if ended == "done" and told != CHANGES:
            self._seen.wrong.append(f"{bisection_id}: changes {told}, truly {CHANGES}")
        if ended not in {"done", "cancelled"}:
            self._seen.wrong.append(f"{bisection_id} ended as {ended}")
        for page in self._chance.sample(PAGES, 3):
            self._timed("GET", page.format(id=bisection_id), (200,))

    def _submitted(self) -> str:
        """Submit a new question, or in a quarter of the cases one that was asked before."""
        newest = self._marks()
        mark = self._chance.randrange(newest) if newest and self._chance.random() < 0.25 else newest
        for_real = mark % 100 == 7
        self._seen.for_real += for_real
        words = f"{'for real' if for_real else 'soak'} {mark}"
        answer = self._timed("POST", "/api/v1/bisections", (200, 202), json=request(words))
        return str(answer.json()["id"])

    def _followed(self, bisection_id: str) -> tuple[str, list[tuple[str, str]]]:
        """Follow the events to the end; return how it ended and the changes that the verdict told."""
        changes: list[tuple[str, str]] = []
        with self._http.stream("GET", f"/api/v1/bisections/{bisection_id}/events", timeout=120) as answer:
            kind = ""
            for line in answer.iter_lines():
                if line.startswith("event:"):
                    kind = line.partition(":")[2].strip()
                elif line.startswith("data:"):
                    told = json.loads(line.partition(":")[2])
                    if kind == "verdict":
                        changes = [(change["before"], change["after"]) for change in told["changes"]]
                    if kind == "end":
                        return str(told["status"]), changes
        raise ValueError(f"the events of {bisection_id} ended without an end")

    def _timed(self, method: str, path: str, right: tuple[int, ...], **options: Any) -> httpx.Response:
        started = time.monotonic()
        answer = self._http.request(method, path, **options)
        self._seen.seconds.append(time.monotonic() - started)
        if answer.status_code not in right:
            self._seen.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:150]}")
        return answer


def soak(service: Service, seconds: float) -> tuple[Seen, Watched]:
    """Let the clients live for a while and return what was seen."""
    # One made-up question first, so that every release has said once what is repeated afterwards.
    service.ended(service.submit("for real first"))
    seen = Seen()
    counted = itertools.count()
    until = time.monotonic() + seconds
    with watching(service) as watched, ThreadPoolExecutor(CLIENTS) as pool:
        clients = [Client(service, seen, number, counted.__next__) for number in range(CLIENTS)]
        for future in [pool.submit(client.live, until) for client in clients]:
            future.result()
    return seen, watched


@contextmanager
def watching(service: Service, pause_seconds: float = 0.5) -> Iterator[Watched]:
    """Look at what a service takes while the block runs."""
    watched = Watched()
    over = threading.Event()
    place = Path("/proc") / str(service.process.pid)

    def look() -> None:
        while not over.wait(pause_seconds):
            pages = int((place / "statm").read_text(encoding="ascii").split()[1])
            watched.memory_bytes.append(pages * 4096)
            watched.handles.append(len(list((place / "fd").iterdir())))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()
