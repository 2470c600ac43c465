"""The workers of a Dask scheduler: what a coordinator asks of them, what a worker and a scheduler do."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import structlog

from service.catalog.targets import Hardware
from service.errors import NoRunner, Unavailable
from service.execution.executors import TICK_SECONDS, Execute, Ran
from service.execution.placement import (
    CUDA_RESOURCE,
    RESTING_SECONDS,
    RUN_RESOURCE,
    Offers,
    choose_worker,
    needs,
    slots,
)
from service.execution.runner import RunRequest
from service.settings import Settings

log = structlog.get_logger()
CONNECT_SECONDS = 5.0
"""How long a connection is waited for, and how long none is tried after that failed."""
LOOK_SECONDS = 1.0
"""How often the scheduler is asked who its workers are."""
REJOIN_SECONDS = 2.0
"""How long a worker whose scheduler ended waits until it looks for it again."""
LOST_SCHEDULER = frozenset(
    {"worker-handle-scheduler-connection-broken", "worker-heartbeat-missing", "worker-heartbeat-error"}
)
"""Reasons for which Dask closes a worker that lost its scheduler; for others it was told to end."""
HOMES_KEPT = 10_000
RETURNING_SECONDS = 60.0
"""How long a worker that is gone is expected back: it looks for its scheduler every few seconds."""

End = Callable[[str], None]
Home = tuple[str, object, int]
"""A bisection, a release, and which process of it answers."""


class DaskCluster:
    """The workers of a Dask scheduler. `run` is a worker's resource, `cuda` that of a worker with an accelerator."""

    def __init__(self, settings: Settings) -> None:
        """Make a cluster; it is connected when it is first needed, and again whenever its scheduler went away.

        Args:
            settings: `scheduler` is its address, such as tcp://10.0.0.1:8786.

        Raises:
            Unavailable: the Dask packages are not installed, or certificates are missing.
        """
        self._distributed = import_distributed()
        self._address = settings.scheduler
        self._security = security_of(settings)
        self._lock = threading.RLock()
        self._offers: Offers = {}
        self._looked_at = float("-inf")
        self._most = 0, float("-inf")
        """The most workers of late, and when they were seen."""
        self._busy: Counter[str] = Counter()
        self._resting: dict[str, float] = {}
        self._homes: dict[Home, str] = {}
        self._connection: Any = None
        self._failed_at = float("-inf")
        self._failure = ""

    @property
    def client(self) -> Any:
        """Return a client that is connected; Dask's own gives up for good when its scheduler is away for long.

        Raises:
            NoRunner: no scheduler answers.
        """
        with self._lock:
            if self._connection is None or self._connection.status == "closed":
                self._connection = self._connected()
                self._looked_at = float("-inf")
            if self._connection.status != "running":
                raise NoRunner(f"the Dask scheduler at {self._address} went away; it is waited for")
            return self._connection

    def _connected(self) -> Any:
        if time.monotonic() - self._failed_at < CONNECT_SECONDS:
            raise NoRunner(self._failure)
        try:
            return self._distributed.Client(
                self._address, timeout=CONNECT_SECONDS, set_as_default=False, security=self._security
            )
        except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
            self._failure = (
                f"no Dask scheduler responds at {self._address} ({str(error) or 'no answer in time'}); start one with "
                "`tfbisect scheduler`"
            )
            self._failed_at = time.monotonic()
            raise NoRunner(self._failure) from error

    def offers(self) -> Offers:
        """Return what each worker offers, as it was a moment ago.

        Raises:
            NoRunner: the scheduler does not answer.
        """
        with self._lock:
            client = self.client
            if time.monotonic() - self._looked_at > LOOK_SECONDS:
                try:
                    workers = client.scheduler_info()["workers"]
                except (OSError, TimeoutError, RuntimeError) as error:
                    raise NoRunner(f"the Dask scheduler at {self._address} does not answer ({error})") from error
                self._offers = {address: dict(facts["resources"]) for address, facts in workers.items()}
                self._looked_at = time.monotonic()
                count, seen_at = self._most
                if len(workers) >= count or self._looked_at - seen_at > RETURNING_SECONDS:
                    self._most = len(workers), self._looked_at
            return self._offers

    def count(self) -> int:
        """Return how many runs the workers can have under way together; 0 where nobody answers."""
        with suppress(Unavailable):
            return sum(slots(self.offers(), "cpu").values())
        return 0

    def submit(self, request: RunRequest, ticket: str, avoided: Collection[str] = ()) -> Future[Ran]:
        """Submit a run to the worker that suits it best; another one may take it if that one dies."""
        hardware = request.target.hardware
        able, home = slots(self.offers(), hardware), _home_of(request)
        with self._lock:
            now = time.monotonic()
            resting = {worker for worker, until in self._resting.items() if until > now}
            chosen = choose_worker(able, self._busy, resting.union(avoided), self._homes.get(home, ""))
            if chosen:
                self._busy[chosen] += 1
        # A preference: a run whose worker has died must go to another one. But never to one that has lost it.
        others = sorted(able.keys() - set(avoided)) if avoided else []
        wish = {"workers": others or [chosen], "allow_other_workers": not others} if chosen else {}
        pool = self.client.get_executor(resources=needs(hardware), pure=False, **wish)
        future: Future[Ran] = pool.submit(run_on_worker, request, ticket)
        future.add_done_callback(lambda done: self._note(done, home, chosen))
        return future

    def _note(self, done: Future[Ran], home: Home, chosen: str | None) -> None:
        """Remember what a run has shown of its worker."""
        with self._lock:
            if chosen:
                self._busy[chosen] -= 1
            if done.cancelled() or done.exception() is not None:
                return
            ran = done.result()
            if ran.report.ending == "lost" and ran.report.reason != "cancelled":
                self._resting[ran.worker] = time.monotonic() + RESTING_SECONDS
                log.warning("worker.lost_a_run", worker=ran.worker, reason=ran.report.reason)
            elif home[0]:
                self._homes[home] = ran.worker
                while len(self._homes) > HOMES_KEPT:
                    self._homes.pop(next(iter(self._homes)))

    def cancel(self, ticket: str) -> None:
        """Set the flag that the run's worker checks."""
        self._distributed.Event(_flag(ticket), client=self.client).set()

    def end(self, bisection: str) -> None:
        """Tell the workers of a bisection that it asks nothing further."""
        with self._lock:
            homes = [home for home in self._homes if home[0] == bisection]
            workers = {self._homes.pop(home) for home in homes}
        with suppress(Exception):  # what waits there ends by itself after a while
            for worker in workers:
                told = self.client.submit(end_on_worker, bisection, workers=[worker], pure=False)
                self._distributed.fire_and_forget(told)

    def lacking(self, hardware: Hardware) -> str | None:
        """Return why no worker could have a run now, or None."""
        try:
            able = slots(self.offers(), hardware)
        except Unavailable as error:
            return error.message
        if able:
            return None
        wanted = "TFBISECT_GPUS=1 tfbisect worker" if hardware == "cuda" else "tfbisect worker"
        what = "worker with an accelerator" if hardware == "cuda" else "worker"
        return f"the Dask scheduler at {self._address} has no {what}; start one with `{wanted} {self._address}`"

    def others(self, hardware: Hardware, avoided: Collection[str]) -> bool:
        """Return whether there are further workers that could have a run."""
        try:
            return bool(slots(self.offers(), hardware).keys() - set(avoided))
        except Unavailable:
            return False

    def expects_others(self) -> bool:
        """Return whether there were more workers a moment ago: they may follow their scheduler back."""
        with self._lock:
            count, seen_at = self._most
            return len(self._offers) < count and time.monotonic() - seen_at < RETURNING_SECONDS

    def problem(self) -> str | None:
        """Return what prevents runs, or None."""
        return self.lacking("cpu")

    def close(self) -> None:
        """Disconnect from the cluster; its workers stay."""
        if self._connection is not None:
            self._connection.close()


def _home_of(request: RunRequest) -> Home:
    return request.bisection_id, request.target, request.process


def run_on_worker(request: RunRequest, ticket: str) -> Ran:
    """Run a request with the runner of the worker that this is called on; called by Dask."""
    distributed = import_distributed()
    worker = distributed.get_worker()
    cancelled, over = threading.Event(), threading.Event()
    flag = distributed.Event(_flag(ticket), client=distributed.get_client())
    watcher = threading.Thread(target=_watch, args=(flag, cancelled, over), daemon=True)
    watcher.start()
    try:
        return Ran(worker.tfbisect_run(request, cancelled), worker.address)
    finally:
        over.set()


def end_on_worker(bisection: str) -> None:
    """End what waits on a worker for a bisection; called by Dask."""
    import_distributed().get_worker().tfbisect_end(bisection)


def _watch(flag: Any, cancelled: threading.Event, over: threading.Event) -> None:
    """Pass the flag of the cluster on to a run."""
    while not over.wait(TICK_SECONDS):
        with suppress(Exception):  # without a scheduler the worker ends, and with it the run
            if flag.is_set():
                cancelled.set()
                return


def _flag(ticket: str) -> str:
    return f"tfbisect-cancel-{ticket}"


def _nothing_waits(_bisection: str) -> None:
    """End nothing."""


def offer_runs(worker: Any, run: Execute, end: End = _nothing_waits) -> None:
    """Let a worker of Dask make runs."""
    worker.tfbisect_run, worker.tfbisect_end = run, end


async def serve_worker(
    settings: Settings, run: Execute, end: End = _nothing_waits, *, name: str | None = None, listen: str = ""
) -> None:
    """Offer this machine's runner to a scheduler until it is told to stop; one that went away is waited for.

    Args:
        settings: `scheduler` is its address; `workers` runs at once, `gpus` of them on an accelerator.
        run: the runner's own `run`.
        end: ends what waits for a bisection.
        name: the worker's name; None lets Dask choose.
        listen: the address at which the scheduler reaches this worker, such as tcp://0.0.0.0:8787; "": any port.

    Raises:
        NoRunner: it cannot be a worker of what is at this address; where nothing is yet, that is waited for.
    """
    distributed = import_distributed()
    address, security, told = settings.scheduler, security_of(settings), asyncio.Event()
    ends_by_signals(told)
    while not told.is_set():
        try:
            # Before the worker starts: Dask would report an error with a stack.
            distributed.comm.addressing.get_address_host_port(address)
            worker = worker_class(distributed)(
                address,
                name=name,
                nthreads=settings.workers,
                resources=worker_resources(settings),
                dashboard=False,
                memory_limit=0,  # runs have limits of their own, and are no children of this process
                security=security,
                **_listening(distributed, listen),
            )
            offer_runs(worker, run, end)
            await _first(_ready(worker), told.wait())
        except (RuntimeError, ValueError, TypeError, OSError) as error:  # Dask wraps others into RuntimeError
            raise NoRunner(
                f"this machine cannot work for {address}: {error.__cause__ or error}; name the address of a Dask "
                "scheduler such as tcp://host:8786."
            ) from error
        try:
            await _first(worker.finished(), told.wait())
        finally:
            await worker.close()
        if worker.tfbisect_ended not in LOST_SCHEDULER:
            return
        log.warning("worker.scheduler_lost", scheduler=address, reason=worker.tfbisect_ended)
        await _first(asyncio.sleep(REJOIN_SECONDS), told.wait())


async def _ready(worker: Any) -> None:
    await worker


async def _first(*waits: Any) -> None:
    """Wait until one of several things has happened; what it raises is raised."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for task in done:
        task.result()


def ends_by_signals(told: asyncio.Event) -> None:
    """Set an event when this process is told to end; as the first process of a container it would ignore that."""
    with suppress(RuntimeError, ValueError, NotImplementedError):  # not in the main thread: somebody else ends it
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)


def worker_class(distributed: Any) -> Any:
    """Return Dask's worker, which remembers why it ended."""

    class RunWorker(distributed.Worker):  # type: ignore[misc]
        tfbisect_ended = ""

        async def close(self, *given: Any, reason: str = "worker-close", **more: Any) -> Any:
            self.tfbisect_ended = self.tfbisect_ended or reason
            return await super().close(*given, reason=reason, **more)

    return RunWorker


def _listening(distributed: Any, address: str) -> dict[str, Any]:
    if not address:
        return {}
    host, port = distributed.comm.addressing.get_address_host_port(address)
    return {"host": host, "port": port}


async def serve_scheduler(settings: Settings, host: str, port: int, dashboard_port: int) -> None:
    """Be the scheduler of a cluster until told to stop.

    Args:
        settings: with certificates it talks to those only who have one of the same authority.
        host: address to listen on.
        port: for workers and coordinators.
        dashboard_port: of its pages about workers and runs, without a password; 0: none.

    Raises:
        NoRunner: it cannot listen there.
    """
    distributed, security, told = import_distributed(), security_of(settings), asyncio.Event()
    ends_by_signals(told)
    # Without a host the pages listen on all addresses; they have no password.
    pages = {"dashboard": True, "dashboard_address": f"{host}:{dashboard_port}"} if dashboard_port else {}
    try:
        scheduler = distributed.Scheduler(
            host=host, port=port, protocol="tls" if security else "tcp", security=security, **pages
        )
        await scheduler
    except (RuntimeError, ValueError, OSError) as error:
        raise NoRunner(f"no scheduler can listen on {host}:{port}: {error.__cause__ or error}") from error
    log.warning("scheduler.listens", address=scheduler.address)
    try:
        await _first(scheduler.finished(), told.wait())
    finally:
        await scheduler.close()


def security_of(settings: Settings) -> Any:
    """Return the certificates that both sides of a connection must show; None: connections are open.

    Raises:
        Unavailable: some of the three files are named and not the others, or one is not there.
    """
    files = {"ca": settings.tls_ca, "cert": settings.tls_certificate, "key": settings.tls_key}
    given = [file for file in files.values() if file]
    if not given:
        return None
    if len(given) < len(files):
        raise Unavailable("TFBISECT_TLS_CA, TFBISECT_TLS_CERTIFICATE and TFBISECT_TLS_KEY are needed together.")
    for file in given:
        if not file.is_file():
            raise Unavailable(f"{file} is not there; docs/scale.md says how to make certificates.")
    own = {
        f"tls_{role}_{kind}": str(files[kind]) for role in ("client", "worker", "scheduler") for kind in ("cert", "key")
    }
    return import_distributed().Security(tls_ca_file=str(files["ca"]), require_encryption=True, **own)


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
