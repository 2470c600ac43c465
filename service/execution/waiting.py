"""Started processes that wait for their first question, or for the next one of their bisection."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.catalog.targets import Target
from service.execution.channel import Transcript
from service.execution.conversation import Conversation, Process
from service.settings import MIB

UNKNOWN_BYTES = 200 * MIB
"""Assumed memory of a process that has not reported it yet; the largest measured one is 163 MiB."""


@dataclass
class Started:
    """A process, its transcript and its conversation."""

    session: Process
    transcript: Transcript
    conversation: Conversation
    start_seconds: float
    process: str
    """Identifies the process in run reports."""
    born: float = field(default_factory=time.monotonic)

    @property
    def memory_bytes(self) -> int:
        """Return its private memory."""
        ready = self.transcript.ready
        return (ready.memory_bytes if ready else 0) or UNKNOWN_BYTES


ProcessOf = tuple[Target, int]
"""A release, and which process of a bisection it is asked in."""


@dataclass(frozen=True)
class Purpose:
    """Which questions a process can answer."""

    key: str
    """How it was started: release, framework, harness and hash seed."""
    bisection_id: str = ""
    """The bisection that owns it, after its first question; "" before that."""
    answers_as: ProcessOf | None = field(default=None, compare=False)
    """The planner's name for it."""


@dataclass
class _Waiting:
    purpose: Purpose
    started: Started
    since: float
    standing: bool = False
    """Part of the standing pool, which has a separate budget."""


class WaitingProcesses:
    """Waiting processes: those without a first question are limited in number, and all together in memory.

    Processes that no planner is about to ask are ended first, the longest waiting before the others; then those that
    are asked last. Safe to use from several threads.
    """

    def __init__(self, slots: int, most_bytes: int, lifetime_seconds: float, standing_bytes: int = 0) -> None:
        """Begin.

        Args:
            slots: how many may wait for their first question.
            most_bytes: memory limit of all but the standing ones together.
            lifetime_seconds: how long each may wait.
            standing_bytes: memory limit of the standing ones together.
        """
        self._slots = slots
        self._most_bytes = most_bytes
        self._lifetime_seconds = lifetime_seconds
        self._standing_bytes = standing_bytes
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._expected: dict[str, Mapping[ProcessOf | None, int]] = {}
        """By bisection: the turn in which each process is asked."""

    def expect(self, bisection_id: str, wanted: Sequence[ProcessOf]) -> None:
        """Record what a bisection asks next, in that order."""
        turns: dict[ProcessOf | None, int] = {one: turn for turn, one in reversed(list(enumerate(wanted)))}
        with self._lock:
            self._expected[bisection_id] = turns

    def wants(self, key: str) -> bool:
        """Return whether another process of this key, not yet asked, is useful."""
        with self._lock:
            return self._slots > 0 and all(each.purpose != Purpose(key) for each in self._waiting)

    def put(self, purpose: Purpose, started: Started) -> list[Started]:
        """Keep a process; return those that must end to make room."""
        with self._lock:
            self._waiting.append(_Waiting(purpose, started, time.monotonic()))
            passing = [each for each in self._waiting if not each.standing]
            unasked = [each for each in passing if not each.purpose.bisection_id]
            gone = unasked[: max(0, len(unasked) - self._slots)]
            left = [each for each in passing if each not in gone]
            while left and sum(each.started.memory_bytes for each in left) > self._most_bytes:
                gone.append(max(left, key=self._dispensable))
                left.remove(gone[-1])
            self._waiting = [each for each in self._waiting if each not in gone]
        return [each.started for each in gone]

    def _dispensable(self, waiting: _Waiting) -> tuple[float, float]:
        """Return a sort key that is largest for the process that is needed least."""
        purpose = waiting.purpose
        owners = [purpose.bisection_id] if purpose.bisection_id else list(self._expected)
        wanted = [self._expected.get(owner, {}) for owner in owners]
        turns = [each[purpose.answers_as] for each in wanted if purpose.answers_as in each]
        return min(turns, default=math.inf), -waiting.since

    def has_room_to_stand(self, key: str) -> bool:
        """Return whether the standing pool lacks a process of this key and has memory for it."""
        with self._lock:
            standing = [each for each in self._waiting if each.standing]
            taken = sum(each.started.memory_bytes for each in standing) + UNKNOWN_BYTES
            return taken <= self._standing_bytes and all(each.purpose != Purpose(key) for each in self._waiting)

    def stand(self, key: str, started: Started) -> None:
        """Add a process to the standing pool."""
        with self._lock:
            self._waiting.append(_Waiting(Purpose(key), started, time.monotonic(), standing=True))

    def take(self, *purposes: Purpose) -> Started | None:
        """Remove and return a process for the first of these purposes that has one."""
        with self._lock:
            for purpose in purposes:
                for each in self._waiting:
                    if each.purpose == purpose:
                        self._waiting.remove(each)
                        return each.started
        return None

    def count(self) -> int:
        """Return how many processes wait."""
        with self._lock:
            return len(self._waiting)

    def end(self, bisection_id: str) -> list[Started]:
        """Remove and return the processes that wait for a bisection."""
        with self._lock:
            self._expected.pop(bisection_id, None)
            gone = [each for each in self._waiting if each.purpose.bisection_id == bisection_id]
            self._waiting = [each for each in self._waiting if each not in gone]
        return [each.started for each in gone]

    def expire(self) -> tuple[list[Started], float | None]:
        """Remove and return those that have waited too long, and the seconds until the next one, None if none waits."""
        now = time.monotonic()
        with self._lock:
            stale = [each for each in self._waiting if now - each.since >= self._lifetime_seconds]
            self._waiting = [each for each in self._waiting if each not in stale]
            next_at = min((each.since for each in self._waiting), default=None)
        return [each.started for each in stale], None if next_at is None else next_at + self._lifetime_seconds - now

    def clear(self) -> list[Started]:
        """Remove and return all processes."""
        with self._lock:
            gone, self._waiting = self._waiting, []
        return [each.started for each in gone]
