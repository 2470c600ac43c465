"""Where runs go: to the runner of this process, or to the workers of a cluster. Both are executors.

What travels is a RunRequest out and a RunReport back. The store is the truth: a cluster that forgets costs a re-run.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from service.bisection.outcomes import RunReport
from service.catalog.targets import Hardware
from service.errors import Unavailable
from service.execution.runner import RunRequest

TICK_SECONDS = 0.2
STOP_SECONDS = 10.0
"""How long a run elsewhere gets to stop."""
ALONE_SECONDS = 30.0
"""How long a run waits while no worker is there that could have it."""
UNSEEN_AT_MOST = 3
"""How often a run is submitted again that was lost on the way to a worker or back."""
THREADS_AT_MOST = 256

Execute = Callable[[RunRequest, threading.Event], RunReport]


@dataclass(frozen=True)
class Ran:
    """The report of a run elsewhere."""

    report: RunReport
    worker: str = ""
    """The worker that had it; "" where none is known."""
    unseen: bool = False
    """It was lost on the way: no worker is known to have had it."""


class Cluster(Protocol):
    """Submits runs to workers, and can stop a run elsewhere."""

    def submit(self, request: RunRequest, ticket: str, avoided: Collection[str] = ()) -> Future[Ran]:
        """Submit a run under a ticket, if possible to none of the workers that are to be avoided."""

    def cancel(self, ticket: str) -> None:
        """Stop the run of a ticket."""

    def lacking(self, hardware: Hardware) -> str | None:
        """Return why nobody could have a run now; None if somebody could."""

    def others(self, hardware: Hardware, avoided: Collection[str]) -> bool:
        """Return whether there are further workers that could have a run."""

    def expects_others(self) -> bool:
        """Return whether there were more workers a moment ago."""


def executor(threads: int) -> Executor:
    """Return the thread pool of a coordinator; its threads only wait for containers."""
    return ThreadPoolExecutor(threads, thread_name_prefix="run")


class RemoteRuns:
    """Runs requests elsewhere; called like a runner's own `run`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __call__(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        """Submit a run and wait for its report.

        A run that one worker loses goes to the next: that one may have no room or no engine, and others may. Only when
        there is no other worker the run is lost.
        """
        failed: set[str] = set()
        unseen = 0
        while True:
            ran = self._once(request, cancelled, failed)
            unseen += ran.unseen
            is_new = bool(ran.worker) and ran.worker not in failed
            may_go_on = unseen <= UNSEEN_AT_MOST if ran.unseen else is_new
            if ran.report.ending != "lost" or cancelled.is_set() or not may_go_on:
                return ran.report
            failed |= {ran.worker} if is_new else set()
            if not self._another(request.target.hardware, failed, cancelled, wanted=ran.unseen):
                return ran.report

    def _another(
        self, hardware: Hardware, failed: Collection[str], cancelled: threading.Event, *, wanted: bool
    ) -> bool:
        """Say whether there is a further worker; those that follow their scheduler back are waited for."""
        until = time.monotonic() + ALONE_SECONDS
        while not self._cluster.others(hardware, failed):
            waits = wanted or self._cluster.expects_others()
            if not waits or time.monotonic() > until or cancelled.wait(TICK_SECONDS):
                return False
        return True

    def _once(self, request: RunRequest, cancelled: threading.Event, failed: Collection[str]) -> Ran:
        ticket = f"{request.run_id}-{uuid.uuid4().hex[:8]}"
        try:
            future = self._cluster.submit(request, ticket, failed)
            return self._await(future, request, ticket, cancelled, failed)
        except CancelledError:
            why = "cancelled" if cancelled.is_set() else "the scheduler lost the run: it ended, or was away"
            return Ran(RunReport("lost", why), unseen=True)
        except Unavailable as error:
            return Ran(RunReport("lost", error.message), unseen=True)
        except Exception as error:
            return Ran(RunReport("lost", f"the workers failed: {type(error).__name__}: {error}"[:500]))

    def _lacking(self, hardware: Hardware, failed: Collection[str]) -> str | None:
        """Return why no worker that has not lost the run could have it, or None."""
        lacking = self._cluster.lacking(hardware)
        if lacking is None and failed and not self._cluster.others(hardware, failed):
            return "all other workers went away"
        return lacking

    def _await(
        self,
        future: Future[Ran],
        request: RunRequest,
        ticket: str,
        cancelled: threading.Event,
        failed: Collection[str],
    ) -> Ran:
        """Wait for a report; a cancelled run gets some time to stop, and is then left to its worker."""
        alone_since: float | None = None
        # Not result(timeout): a TimeoutError of the run itself would look like one of the waiting.
        while not wait([future], TICK_SECONDS).done:
            if cancelled.is_set():
                self._cluster.cancel(ticket)
                if not future.cancel():
                    wait([future], STOP_SECONDS)
                return future.result(0) if future.done() else Ran(RunReport("lost", "cancelled"))
            lacking = self._lacking(request.target.hardware, failed)
            now = time.monotonic()
            alone_since = (alone_since or now) if lacking else None
            if lacking and now - (alone_since or now) > ALONE_SECONDS:
                future.cancel()
                return Ran(RunReport("lost", lacking))
        return future.result()
