"""Looks for the causes that were asked for, while nothing more important runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from service.causes.explaining import Explaining
from service.errors import StoreError, TfbisectError
from service.storage.claims import new_owner
from service.storage.records import ExplanationRequest
from service.storage.store import Store

LOOK_SECONDS = 2.0
LEASE_SECONDS = 120.0
RENEWED_SECONDS = 30.0

log = structlog.get_logger()


class AskedCauses:
    """Works off requests for causes, one at a time; of several processes one has each request."""

    def __init__(self, store: Store, explaining: Callable[[], Explaining]) -> None:
        self._store = store
        self._explaining = explaining
        self._owner = new_owner("causes")

    def keep(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        while not stop.is_set():
            if not self.work_off(stop):
                stop.wait(LOOK_SECONDS)

    def work_off(self, stop: threading.Event) -> bool:
        """Work off the request that has waited longest and that no other process has; return whether there was one."""
        return any(self._work_off(asked, stop) for asked in self._store.requested_explanations())

    def _work_off(self, asked: ExplanationRequest, stop: threading.Event) -> bool:
        """Look for the causes of one bisection; return whether this process had its turn."""
        name = f"causes {asked.bisection_id}"
        if stop.is_set() or not self._store.acquire_lease(name, self._owner, LEASE_SECONDS):
            return False
        over = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(name, over), daemon=True)
        renewing.start()
        try:
            row = self._store.bisection(asked.bisection_id)
            self._explaining().explain(row, budget=asked.budget, cancelled=stop)
        except StoreError:
            raise
        except TfbisectError as error:
            log.warning("causes.failed", bisection=asked.bisection_id, reason=error.message)
        finally:
            over.set()
            renewing.join()
            if not stop.is_set():
                # Whatever came of it: to ask again is to try again.
                self._store.end_explanation_request(asked.bisection_id)
            self._store.release_lease(name, self._owner)
        return True

    def _renew(self, name: str, over: threading.Event) -> None:
        while not over.wait(RENEWED_SECONDS):
            try:
                self._store.acquire_lease(name, self._owner, LEASE_SECONDS)
            except StoreError as error:
                log.warning("causes.lease", reason=error.message)
