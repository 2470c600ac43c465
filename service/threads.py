"""Threads that last as long as their process: one that fails is started again, and reported as down meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from service.errors import TfbisectError

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
JOIN_SECONDS = 30.0

log = structlog.get_logger()


class Threads:
    """The lasting threads of a process."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        """Set once the process ends."""
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._down: dict[str, str] = {}
        self._checks: dict[str, Callable[[], bool]] = {}

    def keep(self, name: str, work: Callable[[threading.Event], object]) -> None:
        """Start a thread that does its work until the end of the process, unless it runs already.

        Args:
            name: of the thread, as /readyz says it.
            work: called with the event that tells it to end; called again, after a pause, where it fails or returns
                before that.
        """
        with self._lock:
            present = self._threads.get(name)
            if self.stop.is_set() or (present is not None and present.is_alive()):
                return
            thread = threading.Thread(target=self._work, args=(name, work), name=name, daemon=True)
            self._threads[name] = thread
            thread.start()

    def watch(self, name: str, is_alive: Callable[[], bool]) -> None:
        """Count a thread that somebody else started among those of the process."""
        with self._lock:
            self._checks[name] = is_alive

    def down(self) -> list[str]:
        """Return the threads that do no work now, each with the reason."""
        if self.stop.is_set():
            return []
        with self._lock:
            found = dict(self._down)
            ended = [name for name, thread in self._threads.items() if not thread.is_alive()]
            checks = dict(self._checks)
        found |= {name: "ended" for name in ended if name not in found}
        found |= {name: "ended" for name, is_alive in checks.items() if not is_alive()}
        return [f"{name}: {reason}" for name, reason in sorted(found.items())]

    def close(self, wait_seconds: float = JOIN_SECONDS) -> None:
        """Stop all threads and wait for them."""
        self.stop.set()
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(wait_seconds)

    def _work(self, name: str, work: Callable[[threading.Event], object]) -> None:
        failures = 0
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                work(self.stop)
                reason = "returned early"
            except TfbisectError as error:
                reason = error.message
                log.error("thread.failed", thread=name, reason=reason)  # noqa: TRY400 - foreseen: its words say it all
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                log.exception("thread.failed", thread=name)
            if self.stop.is_set():
                return
            failures = 0 if time.monotonic() - began > LONGEST_PAUSE_SECONDS else failures
            pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 16), LONGEST_PAUSE_SECONDS)
            failures += 1
            with self._lock:
                self._down[name] = f"{reason}; starts again in {pause:g} s"
            self.stop.wait(pause)
            with self._lock:
                self._down.pop(name, None)
