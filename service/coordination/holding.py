"""Keeps the claims of this process, and notices when one of them is lost or its bisection is to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from service.coordination.patience import Patience
from service.errors import StoreError
from service.storage.records import Claim, Standing
from service.storage.store import Store
from service.threads import Threads

LEASE_SECONDS = 60.0
RENEW_SECONDS = 10.0
LOOK_SECONDS = 0.5
"""How soon a cancellation is seen."""

log = structlog.get_logger()


class Held:
    """A claim while it is kept."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.is_lost = False
        """Another coordinator has it, since this one was away for longer than its lease."""
        self.is_cancelled = False
        """Somebody asked for an end."""

    def note(self, standing: Standing) -> None:
        """Take in how the claim stands; what was lost does not come back."""
        self.is_lost = self.is_lost or not standing.is_held
        self.is_cancelled = self.is_cancelled or standing.is_cancelled


class Holding:
    """Renews every claim of this process by a timer, whatever its bisection is waiting for: an image, an engine.

    One thread and one question to the store, for any number of claims.
    """

    def __init__(self, store: Store, threads: Threads) -> None:
        self._store = store
        self._threads = threads
        self._lock = threading.Lock()
        self._held: list[Held] = []
        self._renewed = 0.0

    @contextmanager
    def keep(self, claim: Claim) -> Iterator[Held]:
        """Keep a claim until the end of the block; see what becomes of it in what is given."""
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
        """Renew what is due, and see how every claim stands.

        Raises:
            StoreError: the database is away; the claims hold until their leases run out, and longer if nobody comes.
        """
        with self._lock:
            held = list(self._held)
        if not held:
            return
        now = time.monotonic()
        if now - self._renewed >= RENEW_SECONDS:
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
        if time.monotonic() - self._renewed >= RENEW_SECONDS:
            self.look()

    def _work(self, stop: threading.Event) -> None:
        """Look again and again, until told to stop."""
        failures, patience = 0, Patience()
        while not stop.wait(patience.pause_seconds(failures) if failures else LOOK_SECONDS):
            try:
                self.look()
                failures = 0
            except StoreError as error:
                failures += 1
                log.warning("claims.not_renewed", reason=error.message, failures=failures)
