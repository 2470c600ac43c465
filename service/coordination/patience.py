"""What is retried when the database, engine or index does not respond, and for how long."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from service.errors import NoAnswer, StoreDamaged, Unavailable

T = TypeVar("T")
log = structlog.get_logger()

ATTEMPTS_AT_MOST = 5
"""After five attempts without progress a sixth would fail too."""
LONGEST_PAUSE_SECONDS = 15.0
"""A service that responds again is noticed within this time."""


@dataclass(frozen=True)
class Patience:
    """How long, and how often, something that does not respond is retried."""

    seconds: float = 300.0
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS

    def pause_seconds(self, failures: int) -> float:
        """Return the pause after so many failures, counted from 1: twice as long each time, and never quite the same.

        Without chance in it, all that wait for one engine would come back to it in the same moment.
        """
        longest = min(self.first_pause_seconds * 2.0 ** min(failures - 1, 32), self.longest_pause_seconds)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing


def is_passing(error: BaseException) -> bool:
    """Return whether an error comes from something that may soon respond again."""
    return isinstance(error, Unavailable) and not isinstance(error, StoreDamaged | NoAnswer)


def patiently(work: Callable[[], T], patience: Patience, stop: threading.Event, doing: str) -> T:
    """Do something, and retry while what it needs does not respond.

    Args:
        work: what to do; may be done twice where the first time failed half-way.
        patience: how long it is tried.
        stop: set: try no more.
        doing: the work in words, for the log.

    Raises:
        Unavailable: it is still away, or `stop` is set.
    """

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("waiting", doing=doing, reason=str(error), failures=state.attempt_number)

    trying = Retrying(
        retry=retry_if_exception(is_passing),
        wait=wait_random_exponential(patience.first_pause_seconds, max=patience.longest_pause_seconds),
        stop=stop_any(stop_after_delay(patience.seconds), stop_when_event_set(stop)),
        sleep=sleep_using_event(stop),
        before_sleep=say,
        reraise=True,
    )
    return trying(work)


@dataclass
class Outage:
    """Something that does not respond, with one patience shared by all who need it."""

    patience: Patience
    clock: Callable[[], float] = time.monotonic
    problem: str | None = None
    """What is wrong, while somebody waits."""
    _since: float | None = None
    _failures: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def over(self) -> None:
        """Note that it responds."""
        with self._lock:
            self.problem, self._since, self._failures = None, None, 0

    def wait(self, problem: str, cancelled: threading.Event) -> bool:
        """Note that it does not respond, wait, and return whether to retry."""
        with self._lock:
            if self._since is None:
                self._since = self.clock()
                log.warning("waiting", reason=problem, at_most_seconds=self.patience.seconds)
            self._failures += 1
            pause = self.patience.pause_seconds(self._failures)
            if self.clock() - self._since > self.patience.seconds:
                return False
            self.problem = problem
        return not cancelled.wait(pause)


def pause_before_next(attempts: int, patience: Patience) -> float | None:
    """Return how long a bisection that failed waits for its next attempt; None where it is given up."""
    return None if attempts >= ATTEMPTS_AT_MOST else patience.pause_seconds(attempts)
