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
THREADS_AT_MOST = 256

Execute = Callable[[RunRequest, threading.Event], RunReport]


@dataclass(frozen=True)
class Ran:
    """The report of a run elsewhere."""

    report: RunReport
    worker: str = ""
    """The worker that had it; "" where none is known."""


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
        while True:
            ran = self._once(request, cancelled, failed)
            is_new = bool(ran.worker) and ran.worker not in failed
            if ran.report.ending != "lost" or cancelled.is_set() or not is_new:
                return ran.report
            failed.add(ran.worker)
            if not self._cluster.others(request.target.hardware, failed):
                return ran.report

    def _once(self, request: RunRequest, cancelled: threading.Event, failed: Collection[str]) -> Ran:
        ticket = f"{request.run_id}-{uuid.uuid4().hex[:8]}"
        try:
            future = self._cluster.submit(request, ticket, failed)
            return self._await(future, request, ticket, cancelled)
        except CancelledError:
            why = "cancelled" if cancelled.is_set() else "the scheduler lost the run: it ended, or was away"
            return Ran(RunReport("lost", why))
        except Unavailable as error:
            return Ran(RunReport("lost", error.message))
        except Exception as error:
            return Ran(RunReport("lost", f"the workers failed: {type(error).__name__}: {error}"[:500]))

    def _await(self, future: Future[Ran], request: RunRequest, ticket: str, cancelled: threading.Event) -> Ran:
        """Wait for a report; a cancelled run gets some time to stop, and is then left to its worker."""
        alone_since: float | None = None
        # Not result(timeout): a TimeoutError of the run itself would look like one of the waiting.
        while not wait([future], TICK_SECONDS).done:
            if cancelled.is_set():
                self._cluster.cancel(ticket)
                if not future.cancel():
                    wait([future], STOP_SECONDS)
                return future.result(0) if future.done() else Ran(RunReport("lost", "cancelled"))
            lacking = self._cluster.lacking(request.target.hardware)
            now = time.monotonic()
            alone_since = (alone_since or now) if lacking else None
            if lacking and now - (alone_since or now) > ALONE_SECONDS:
                future.cancel()
                return Ran(RunReport("lost", lacking))
        return future.result()
