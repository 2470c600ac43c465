"""Removes what runs leave in an engine: at once, with retries, and what has no owner any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from service.errors import EngineLost

log = structlog.get_logger()

AT_ONCE = 32
"""Concurrent removals: an engine may take a minute for one."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
ORPHANS_SECONDS = 60.0
"""How often orphans are searched."""
CLOSING_SECONDS = 60.0
"""How long closing waits for a slow engine: others remove what is left, by its owner label."""
CLOSING_TRIES = 3
"""How often closing asks an engine that refuses, within some seconds: one that is away is not waited for."""


def pause_seconds(failures: int) -> float:
    """Return the pause after the n-th failure, n >= 1."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16))


@dataclass
class _Removal:
    """A container to be removed."""

    failures: int = 0
    due: float = 0.0
    under_way: bool = False


class Removals:
    """Removes containers in the background; safe to use from several threads."""

    def __init__(
        self,
        remove: Callable[[str], None],
        find_orphans: Callable[[], Iterable[str]],
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        orphans_seconds: float = ORPHANS_SECONDS,
    ) -> None:
        """Begin.

        Args:
            remove: removes one; returns once it is gone and raises EngineLost where it may still be there.
            find_orphans: returns what nobody owns any more; raises EngineLost.
            first_pause_seconds: how soon a removal that failed is tried again; the pauses double.
            orphans_seconds: how often orphans are looked for.
        """
        self._remove = remove
        self._find_orphans = find_orphans
        self._scale = first_pause_seconds / FIRST_PAUSE_SECONDS
        self._orphans_seconds = orphans_seconds
        self._waiting: dict[str, _Removal] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tfbisect-remove")
        self._rounds = threading.Thread(target=self._go_round, name="tfbisect-removals", daemon=True)
        self._rounds.start()

    def add(self, container: str) -> None:
        """Remove a container, with retries until it is gone."""
        with self._changed:
            self._waiting.setdefault(container, _Removal())
            self._changed.notify_all()

    def waiting(self) -> frozenset[str]:
        """Return what is still to be removed."""
        with self._changed:
            return frozenset(self._waiting)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until everything added is gone; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_seconds)

    def close(self, timeout_seconds: float = CLOSING_SECONDS) -> None:
        """Remove what is left and stop; others remove what the engine did not remove in time."""
        with self._changed:
            for removal in self._waiting.values():
                removal.due, removal.failures = 0.0, 0
            self._changed.notify_all()
            self._changed.wait_for(self._has_tried_all, timeout_seconds)
        if self.waiting():
            log.warning("containers are left behind; the next start removes them", containers=sorted(self.waiting()))
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._rounds.join()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _has_tried_all(self) -> bool:
        """Return whether everything is gone, or was refused too often."""
        return all(removal.failures >= CLOSING_TRIES for removal in self._waiting.values())

    def _go_round(self) -> None:
        """Start what is due, until closed."""
        look_again = time.monotonic() + self._orphans_seconds
        while True:
            with self._changed:
                if self._closed:
                    return
                now = time.monotonic()
                for container, removal in self._waiting.items():
                    if not removal.under_way and removal.due <= now:
                        removal.under_way = True
                        self._pool.submit(self._try, container, removal)
                if now >= look_again:
                    look_again = now + self._orphans_seconds
                    self._pool.submit(self._look_for_orphans)
                moments = [removal.due for removal in self._waiting.values() if not removal.under_way]
                self._changed.wait(max(0.0, min([look_again, *moments]) - time.monotonic()))

    def _try(self, container: str, removal: _Removal) -> None:
        gone = False
        try:
            self._remove(container)
            gone = True
        except EngineLost as error:
            log.info("a container is not removed yet", container=container, reason=error.message)
        finally:
            # It is retried after any error.
            with self._changed:
                if gone:
                    self._waiting.pop(container, None)
                removal.under_way = False
                removal.failures += 1
                removal.due = time.monotonic() + pause_seconds(removal.failures) * self._scale
                self._changed.notify_all()

    def _look_for_orphans(self) -> None:
        try:
            for container in self._find_orphans():
                self.add(container)
        except EngineLost as error:
            log.info("orphans could not be looked for", reason=error.message)
