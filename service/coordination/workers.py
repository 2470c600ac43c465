"""The runs that this process may have under way at once, shared by all bisections that it works on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import TypeVar

from service.coordination.turns import Wish, allot

T = TypeVar("T")


class Seat:
    """What one bisection has of the workers; made by `Workers.seat`."""

    def __init__(self, workers: Workers, submitter: str, *, nightly: bool) -> None:
        self._workers = workers
        self.submitter = submitter
        self.nightly = nightly
        self.awake = threading.Event()
        """Set when an answer has come, or a worker is there for it."""
        self.is_starting = True
        self.wanted = 0
        self.running = 0
        self.last_turn = -1

    def wants(self, number: int) -> None:
        """Say how many runs it could start now."""
        self._workers.wish(self, number)

    def submit(self, work: Callable[[], T]) -> Future[T] | None:
        """Start one of the wanted runs; None where it is not its turn."""
        return self._workers.submit(self, work)

    def submit_aside(self, work: Callable[[], T]) -> Future[T]:
        """Start what is of use only while workers idle; see `idle_workers`."""
        return self._workers.submit_aside(work)

    def idle_workers(self) -> int:
        """Return how many workers nobody here has a use for."""
        return self._workers.idle()


class Workers:
    """So many runs at once, each to the bisection whose turn it is; see turns.py. Safe for several threads."""

    def __init__(self, executor: Executor, count: int | Callable[[], int]) -> None:
        """Make workers.

        Args:
            executor: makes the runs.
            count: how many at once; a function where machines come and go.
        """
        self.executor = executor
        self._count = count
        self._lock = threading.Lock()
        self._seats: list[Seat] = []
        self._turns = 0
        self._aside = 0

    @property
    def count(self) -> int:
        """Return how many runs there may be at once, now."""
        return self._count() if callable(self._count) else self._count

    @contextmanager
    def seat(self, submitter: str, *, nightly: bool = False) -> Iterator[Seat]:
        """Let one more bisection share the workers until the end of the block."""
        seat = self.join(submitter, nightly=nightly)
        try:
            yield seat
        finally:
            self.leave(seat)

    def join(self, submitter: str, *, nightly: bool = False) -> Seat:
        """Let one more bisection share the workers, until it leaves."""
        seat = Seat(self, submitter, nightly=nightly)
        with self._lock:
            self._seats.append(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Share the workers among the others."""
        with self._lock:
            self._seats.remove(seat)
            self._wake()

    def wish(self, seat: Seat, number: int) -> None:
        """Note how many runs a bisection could start now."""
        with self._lock:
            seat.is_starting = False
            seat.wanted = number
            self._wake()

    def submit(self, seat: Seat, work: Callable[[], T]) -> Future[T] | None:
        """Start a run if it is this bisection's turn."""
        with self._lock:
            if not self._allotted()[self._seats.index(seat)]:
                return None
            self._turns += 1
            seat.wanted, seat.running, seat.last_turn = seat.wanted - 1, seat.running + 1, self._turns
        try:
            future = self.executor.submit(work)
        except BaseException:
            self._leave(seat)
            raise
        future.add_done_callback(lambda _: self._leave(seat))
        return future

    def submit_aside(self, work: Callable[[], T]) -> Future[T]:
        """Start what nobody waits for."""
        with self._lock:
            self._aside += 1
        future = self.executor.submit(work)
        future.add_done_callback(lambda _: self._leave_aside())
        return future

    def idle(self) -> int:
        """Return how many workers nobody here has a use for; who has just begun will have one."""
        with self._lock:
            used = sum(seat.running + seat.wanted + seat.is_starting for seat in self._seats)
            return max(0, self.count - used - self._aside)

    def held(self) -> Counter[str]:
        """Return how many bisections share the workers, by submitter."""
        with self._lock:
            return Counter(seat.submitter for seat in self._seats)

    def _leave(self, seat: Seat) -> None:
        with self._lock:
            seat.running -= 1
            seat.awake.set()
            self._wake()

    def _leave_aside(self) -> None:
        with self._lock:
            self._aside -= 1

    def _wake(self) -> None:
        """Wake the bisections that have a worker to take."""
        for seat, number in zip(self._seats, self._allotted(), strict=True):
            if number:
                seat.awake.set()

    def _allotted(self) -> list[int]:
        wishes = [Wish(each.submitter, each.nightly, each.wanted, each.running, each.last_turn) for each in self._seats]
        return allot(wishes, self.count)
