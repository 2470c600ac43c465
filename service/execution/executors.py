"""Where runs go: to the runner of this process, or to the workers of a Dask cluster. Both are executors.

What travels is a RunRequest out and a RunReport back. The store is the truth: a cluster that forgets costs a re-run.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, Protocol

from service.bisection.outcomes import RunReport
from service.catalog.targets import Hardware
from service.errors import NoRunner, Unavailable
from service.execution.runner import RunRequest
from service.settings import Settings

TICK_SECONDS = 0.2
STOP_SECONDS = 10.0
"""How long a run elsewhere gets to stop."""
CONNECT_SECONDS = 15
RUN_RESOURCE = "run"
CUDA_RESOURCE = "cuda"

Execute = Callable[[RunRequest, threading.Event], RunReport]


class Cluster(Protocol):
    """Submits runs to an executor, and can stop a run elsewhere."""

    def submit(self, request: RunRequest, ticket: str) -> Future[RunReport]:
        """Submit a run under a ticket."""

    def cancel(self, ticket: str) -> None:
        """Stop the run of a ticket."""


def executor(settings: Settings) -> Executor:
    """Return the thread pool of a coordinator; its threads only wait for containers."""
    return ThreadPoolExecutor(settings.workers, thread_name_prefix="run")


class RemoteRuns:
    """Runs requests elsewhere; called like a runner's own `run`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __call__(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        """Submit a run and wait for its report; if the executor fails, the run is lost."""
        ticket = f"{request.run_id}-{uuid.uuid4().hex[:8]}"
        try:
            future = self._cluster.submit(request, ticket)
            return self._await(future, ticket, cancelled)
        except CancelledError:
            return RunReport("lost", "cancelled")
        except Exception as error:
            return RunReport("lost", f"the workers failed: {type(error).__name__}: {error}"[:500])

    def _await(self, future: Future[RunReport], ticket: str, cancelled: threading.Event) -> RunReport:
        """Wait for a report; a cancelled run gets some time to stop, and is then left to its worker."""
        # Not result(timeout): a TimeoutError of the run itself would look like one of the waiting.
        while not wait([future], TICK_SECONDS).done:
            if cancelled.is_set():
                self._cluster.cancel(ticket)
                if not future.cancel():
                    wait([future], STOP_SECONDS)
                return future.result(0) if future.done() else RunReport("lost", "cancelled")
        return future.result()


class DaskCluster:
    """The workers of a Dask scheduler. `run` is a worker's resource, `cuda` that of a worker with an accelerator."""

    def __init__(self, address: str) -> None:
        """Connect.

        Args:
            address: the scheduler's, such as tcp://10.0.0.1:8786.

        Raises:
            Unavailable: the Dask packages are not installed.
            NoRunner: no scheduler answers there.
        """
        distributed = import_distributed()
        try:
            self.client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise NoRunner(
                f"no Dask scheduler responds at {address} ({error}); start one with `dask scheduler`."
            ) from error
        self._distributed = distributed
        self._address = address
        wanted: dict[Hardware, dict[str, int]] = {"cpu": {RUN_RESOURCE: 1}, "cuda": {RUN_RESOURCE: 1, CUDA_RESOURCE: 1}}
        self._executors = {
            hardware: self.client.get_executor(resources=resources, pure=False)
            for hardware, resources in wanted.items()
        }

    def submit(self, request: RunRequest, ticket: str) -> Future[RunReport]:
        """Submit a run to a worker with the hardware that it needs."""
        future: Future[RunReport] = self._executors[request.target.hardware].submit(run_on_worker, request, ticket)
        return future

    def cancel(self, ticket: str) -> None:
        """Set the flag that the run's worker checks."""
        self._distributed.Event(_flag(ticket), client=self.client).set()

    def problem(self) -> str | None:
        """Return what prevents runs, or None."""
        if self.client.status == "running":
            return None
        return f"no Dask scheduler answers at {self._address} (the connection is {self.client.status})"

    def close(self) -> None:
        """Disconnect from the cluster; its workers stay."""
        for pool in self._executors.values():
            pool.shutdown(wait=False)
        self.client.close()


def run_on_worker(request: RunRequest, ticket: str) -> RunReport:
    """Run a request with the runner of the worker that this is called on; called by Dask."""
    distributed = import_distributed()
    worker = distributed.get_worker()
    cancelled, over = threading.Event(), threading.Event()
    flag = distributed.Event(_flag(ticket), client=distributed.get_client())
    watcher = threading.Thread(target=_watch, args=(flag, cancelled, over), daemon=True)
    watcher.start()
    try:
        report: RunReport = worker.tfbisect_run(request, cancelled)
        return report
    finally:
        over.set()


def _watch(flag: Any, cancelled: threading.Event, over: threading.Event) -> None:
    """Pass the flag of the cluster on to a run."""
    while not over.wait(TICK_SECONDS):
        with suppress(Exception):  # without a scheduler the worker ends, and with it the run
            if flag.is_set():
                cancelled.set()
                return


def _flag(ticket: str) -> str:
    return f"tfbisect-cancel-{ticket}"


async def serve_worker(address: str, run: Execute, settings: Settings, *, name: str | None = None) -> None:
    """Offer this machine's runner to a scheduler until it is told to stop.

    Args:
        address: the scheduler's.
        run: the runner's own `run`.
        settings: `workers` runs at once, `gpus` of them on an accelerator.
        name: the worker's name; None lets Dask choose.

    Raises:
        NoRunner: it cannot be a worker of what is at this address; where nothing is yet, that is waited for.
    """
    distributed = import_distributed()
    resources = worker_resources(settings)
    try:
        # Before the worker starts: Dask would report an error with a stack.
        distributed.comm.addressing.get_address_host_port(address)
        worker = distributed.Worker(address, name=name, nthreads=settings.workers, resources=resources, dashboard=False)
        worker.tfbisect_run = run
        await worker
    except (RuntimeError, ValueError, TypeError, OSError) as error:  # Dask wraps others into RuntimeError
        raise NoRunner(
            f"this machine cannot work for {address}: {error.__cause__ or error}; name the address of a Dask scheduler "
            "such as tcp://host:8786."
        ) from error
    try:
        await worker.finished()
    finally:
        await worker.close()


def worker_resources(settings: Settings) -> dict[str, float]:
    """Return the resources that a worker with these settings offers."""
    offered: dict[str, float] = {RUN_RESOURCE: settings.workers}
    return offered | ({CUDA_RESOURCE: settings.gpus} if settings.gpus else {})


def import_distributed() -> Any:
    """Return the Dask package.

    Raises:
        Unavailable: it is not installed, with how to.
    """
    try:
        import distributed  # noqa: PLC0415 - an extra: one machine needs none of it
    except ImportError as error:
        raise Unavailable("several machines need Dask; install it with `pip install tfbisect[workers]`.") from error
    return distributed
