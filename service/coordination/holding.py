"""Renews the claims of this process, and notices when one is lost or its bisection is cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from service.clock import Clock, utc_now
from service.coordination.patience import Patience
from service.errors import StoreError
from service.storage.records import Claim, Standing, Waiting
from service.storage.store import Store
from service.threads import Threads

LEASE_SECONDS = 60.0
RENEW_SECONDS = 10.0
LOOK_SECONDS = 0.5
"""How soon a cancellation is seen."""
STEP_SECONDS = 5.0
"""If the clock moved by this much more or less than the elapsed time, it was set, or the machine slept."""
SETTLING_SECONDS = 10.0
"""How long after that others may still renew leases that have expired by the new clock."""

log = structlog.get_logger()


class Held:
    """A claim while it is kept."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.is_lost = False
        """Another coordinator holds it, because this one did not renew its lease in time."""
        self.is_cancelled = False
        """Somebody asked for an end."""
        self.last_event: int | None = None
        """The last event that is known to be written."""

    def note(self, standing: Standing) -> None:
        """Note how the claim stands; a lost claim stays lost."""
        self.last_event = self.last_event if standing.last_event is None else standing.last_event
        self.is_lost = self.is_lost or not standing.is_held
        self.is_cancelled = self.is_cancelled or standing.is_cancelled


class Holding:
    """Renews every claim of this process by a timer, even while its bisection waits for an image or an engine.

    One thread and one question to the store, for any number of claims.
    """

    def __init__(self, store: Store, threads: Threads, clock: Clock = utc_now) -> None:
        self._store = store
        self._threads = threads
        self._clock = clock
        self._lock = threading.Lock()
        self._held: list[Held] = []
        self._renewed = float("-inf")
        self._ahead = self._clock_ahead()
        self._stepped = float("-inf")

    @contextmanager
    def keep(self, claim: Claim) -> Iterator[Held]:
        """Renew a claim until the end of the block; the value tells how it stands."""
        held = Held(claim)
        with self._lock:
            self._held.append(held)
        self._threads.keep("claims", self._work)
        try:
            yield held
        finally:
            with self._lock:
                self._held.remove(held)

    def look(self) -> None:
        """Renew what is due, and check every claim.

        Raises:
            StoreError: the database is away; the claims hold until their leases run out, and longer if nobody comes.
        """
        with self._lock:
            held = list(self._held)
        if not held:
            return
        if self._is_due():
            now = time.monotonic()
            self._store.renew([each.claim for each in held], LEASE_SECONDS)
            self._renewed = now
        standing = self._store.standing([each.claim for each in held])
        for each in held:
            each.note(standing[each.claim])

    def renew_if_due(self) -> None:
        """Renew now what the timer would renew soon.

        Raises:
            StoreError: the database is away.
        """
        if self._is_due():
            self.look()

    def may_take(self, waiting: Waiting) -> bool:
        """Return whether a waiting bisection really has no owner.

        Leases are told by the clock. Where that was stepped, all of them have run out at once: those of this process,
        which it never takes from itself, and those of others, who get a moment to renew them.
        """
        if not waiting.abandoned:
            return True
        if time.monotonic() - self._stepped < SETTLING_SECONDS:
            return False
        with self._lock:
            return not any(each.claim.bisection_id == waiting.bisection_id and not each.is_lost for each in self._held)

    def _is_due(self) -> bool:
        """Return whether leases must be renewed: it is time, or the clock was stepped."""
        ahead = self._clock_ahead()
        if abs(ahead - self._ahead) > STEP_SECONDS:
            log.warning("clock.stepped", seconds=round(ahead - self._ahead))
            self._stepped, self._renewed = time.monotonic(), float("-inf")
        self._ahead = ahead
        return time.monotonic() - self._renewed >= RENEW_SECONDS

    def _clock_ahead(self) -> float:
        """Return by how much the clock is ahead of the monotonic time."""
        return self._clock().timestamp() - time.monotonic()

    def _work(self, stop: threading.Event) -> None:
        """Check until told to stop."""
        failures, patience = 0, Patience()
        while not stop.wait(patience.pause_seconds(failures) if failures else LOOK_SECONDS):
            try:
                self.look()
                failures = 0
            except StoreError as error:
                failures += 1
                log.warning("claims.not_renewed", reason=error.message, failures=failures)
