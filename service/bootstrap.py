"""The only place that chooses implementations."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import QueuePool

from service.bisection.outcomes import RunReport
from service.bisection.releases import tree_of
from service.catalog.additions import AdditionRules
from service.catalog.cache import Cache, PassingCache
from service.catalog.environments import Environments
from service.catalog.interpreters import find_interpreter, installed_interpreters
from service.catalog.overview import release_rows
from service.catalog.probes import Probe, load_probes
from service.catalog.ranges import parse_releases, select
from service.catalog.releases import Catalog, package_name
from service.catalog.sources import SourceShelf
from service.catalog.targets import Hardware, Target
from service.catalog.wheel_sources import PythonSources
from service.catalog.wheels import Wheels
from service.causes.asked import AskedCauses
from service.causes.defining import Definitions
from service.causes.explaining import Explaining, Inquiry, Stage
from service.causes.raising import Errors
from service.causes.switching import Switches
from service.causes.trials import Trials
from service.clock import Clock, utc_now
from service.coordination.coordinator import Coordinator
from service.coordination.holding import Holding
from service.coordination.intake import BisectionRequest, Intake
from service.coordination.laboratory import Laboratory
from service.coordination.patience import Patience
from service.coordination.standing import StandingPool, standing_order
from service.coordination.submission import Submission
from service.coordination.workers import Workers
from service.errors import NoRunner, ReleaseUntestable, TfbisectError, Unavailable
from service.execution.choice import Choice, choose_runner
from service.execution.dask_cluster import DaskCluster
from service.execution.docker_engine import connect
from service.execution.docker_runner import DockerRunner
from service.execution.executors import THREADS_AT_MOST, RemoteRuns, executor
from service.execution.hardening import accelerators_of
from service.execution.limits import limits_of
from service.execution.local_runner import LocalRunner
from service.execution.runner import Runner, RunRequest
from service.execution.sessions import Waits
from service.images.ahead import Ahead
from service.images.builder import Images, images_for
from service.images.datasets import fetch_datasets
from service.images.disk import free_bytes
from service.images.docker_images import DockerImages
from service.images.engine import PART
from service.images.interpreters import GroundInterpreters
from service.images.known import KnownImages
from service.images.official import OfficialImages
from service.images.shelf import LABEL
from service.locks import made_once
from service.nightly.nights import Summary
from service.nightly.notifications import Postage, Sender
from service.nightly.passes import Budget, Links, Nightly
from service.nightly.repetition import Repetition
from service.nightly.watches import nightly_watch, read_watches
from service.projects.files import Project, unpacked
from service.reports.evidence import bundle_of
from service.reports.markdown import markdown
from service.reports.readings import Readings
from service.reports.reproduction import Lock, LockOf, no_lock
from service.reports.views import Views
from service.resources import resource_dir
from service.secret_urls import without_credentials
from service.settings import Settings
from service.storage.claims import new_owner
from service.storage.records import ADMIN, Bisection
from service.storage.store import Store
from service.threads import Threads

PROJECTS_KEPT = 4
STANDING_PACKAGE = "tensorflow"
IDLE_SECONDS = 0.2
"""How often a hypothesis looks whether a worker is idle."""
WAITING_TOLD_SECONDS = 10.0
"""How often a coordinator notes how many containers wait in it."""


class House:
    """All parts of the program, each made when it is first needed."""

    def __init__(self, settings: Settings | None = None, *, clock: Clock = utc_now) -> None:
        self.settings = settings or Settings()
        self.clock = clock

    @made_once
    def store(self) -> Store:
        """Return the database; an empty one gets its tables."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        return Store.open(self.settings.store_url.reveal(), clock=self.clock)

    @made_once
    def probes(self) -> Mapping[str, Probe]:
        """Return the probes by name."""
        return load_probes(resource_dir("probes"))

    @made_once
    def catalog(self) -> Catalog:
        """Return the releases that the index has."""
        return Catalog(self.cache, self.settings, clock=self.clock)

    @property
    def cache(self) -> Cache:
        """Return what keeps what the index said."""
        return self.store

    @made_once
    def environments(self) -> Environments:
        return Environments(
            self.catalog,
            self.cache,
            self.settings,
            interpreter=self._interpreter,
            official_digest=self._official_digest,
        )

    def _official_digest(self, name: str) -> str:
        try:
            engine = connect()
        except NoRunner as error:
            raise ReleaseUntestable(f"the official image {name} needs a container engine: {error.message}") from error
        return OfficialImages(DockerImages(engine), self.settings.registry).digest(name)

    def _interpreter(self, python: str) -> Path | None:
        """Return an interpreter of this machine, else that of a ground."""
        found = find_interpreter(python)
        if found is not None or self.settings.runner == "local":
            return found
        try:
            return self.ground_interpreters.find(python)
        except NoRunner:
            return None  # the engines are elsewhere, with the workers

    @made_once
    def ground_interpreters(self) -> GroundInterpreters:
        """Return what takes interpreters out of images."""
        return GroundInterpreters(self.images.engine, self.images.grounds, self.settings.data_dir)

    @made_once
    def intake(self) -> Intake:
        rates = {
            "false_alarm_rate": self.settings.false_alarm_rate,
            "miss_rate": self.settings.miss_rate,
            "confirmations": self.settings.confirmations,
        }
        additions = AdditionRules(allowed=self.settings.additions, at_most=self.settings.additions_at_most)
        measured = self.store.measured_releases
        return Intake(self.catalog, self.probes, self.runs_at_once, rates, measured, additions, self.project)

    @made_once
    def project(self) -> Callable[[str], Project]:
        """Return what reads projects from the store; the last few stay in memory, since every run needs its own."""
        return lru_cache(PROJECTS_KEPT)(lambda digest: unpacked(self.store.packed_project(digest)))

    @made_once
    def runner_choice(self) -> Choice:
        """Return what runs a probe, Docker or local, and why it was taken."""
        return choose_runner(self.settings, connect, self._docker_runner, self._local_runner, installed_interpreters)

    @made_once
    def runner(self) -> Runner:
        return self.runner_choice.runner

    @made_once
    def images(self) -> Images:
        return images_for(self.settings, self.environments, DockerImages(connect()))

    @made_once
    def early_images(self) -> Ahead:
        """Return what begins images early that bisections announce."""
        return Ahead(self.images)

    @made_once
    def known_images(self) -> KnownImages:
        """Return what knows which releases have an image already."""
        return KnownImages(lambda: DockerImages(connect()).labelled(f"{PART}=release"))

    def engine_problem(self) -> str | None:
        """Return what prevents runs, or None."""
        try:
            if self.settings.scheduler:
                return self.cluster.problem()
            if self.runner.name == "docker":
                connect().close()
        except Unavailable as error:
            return error.message
        return None

    @property
    def _waits(self) -> Waits:
        settings = self.settings
        return Waits(settings.warm_runs, settings.waiting_bytes, standing_bytes=settings.warm_pool_bytes)

    @made_once
    def standing_pool(self) -> StandingPool:
        """Return what keeps releases ready for whoever asks first."""
        return StandingPool(self.runner.stand, self._likely, self.workers.idle)

    def _likely(self) -> list[Target]:
        """Return the releases of TensorFlow that should stand ready, the likeliest first."""
        present = self.known_images(STANDING_PACKAGE, "cpu")
        mainline = tree_of(release.version for release in self.catalog.releases(STANDING_PACKAGE)).mainline
        order = standing_order(mainline, present, self.store.asked_releases(STANDING_PACKAGE))
        return [Target(STANDING_PACKAGE, release, "cpu") for release in order]

    def waiting_containers(self) -> int:
        """Return how many containers of this process wait for a question."""
        return self.runner.waiting() if "runner" in self.__dict__ else 0

    def has_accelerators(self) -> bool:
        """Say whether this machine has an accelerator, or the settings name a runtime or a cluster that may."""
        settings = self.settings
        return bool(settings.gpu_runtime or settings.scheduler) or Path("/dev/nvidiactl").exists()

    def tell_waiting(self, stop: threading.Event) -> None:
        """Note in the store how many containers wait here, for those who show it elsewhere, until told to stop."""
        owner = new_owner("serve")
        while not stop.is_set():
            self.store.note_waiting(owner, self.waiting_containers())
            stop.wait(WAITING_TOLD_SECONDS)

    def waiting_elsewhere(self) -> int:
        """Return how many containers wait to be asked in the coordinators of this store."""
        return self.store.waiting_noted(3 * WAITING_TOLD_SECONDS)

    def _docker_runner(self, client: Any) -> Runner:
        return DockerRunner(
            client,
            self.environments,
            self.images,
            limits_of(self.settings),
            harness_source=self._harness_source,
            waits=self._waits,
            runtime=self.settings.container_runtime,
            narrow=self.settings.system_calls == "narrow",
            accelerators=accelerators_of(self.settings),
        )

    def _local_runner(self) -> Runner:
        folder = self.settings.data_dir
        return LocalRunner(
            self.environments,
            limits_of(self.settings),
            folder,
            find_interpreter,
            datasets=lambda: fetch_datasets(folder / "datasets", self.environments.catalog.index),
            harness_source=self._harness_source,
            waits=self._waits,
        )

    @property
    def _harness_source(self) -> str:
        return next(iter(self.probes.values())).harness_source

    @made_once
    def cluster(self) -> DaskCluster:
        """Return the workers of the scheduler that the settings name."""
        return DaskCluster(self.settings)

    def runs_at_once(self) -> int:
        """Return how many runs there may be at once: as the settings say, else as the machines here or there can."""
        settings = self.settings
        if settings.parallel or not settings.scheduler:
            return settings.workers
        return min(max(1, self.cluster.count()), THREADS_AT_MOST)

    def execute(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        """Run a probe on the scheduler's workers, or by the local choice of runner, made at the first run."""
        runs = RemoteRuns(self.cluster) if self.settings.scheduler else self.runner.run
        return runs(request, cancelled)

    def warm(self, target: Target, framework: str, process: int) -> None:
        """Prepare a release for one more run, if runs are made here; otherwise the scheduler chooses."""
        if "runner" in self.__dict__ and not self.settings.scheduler:
            self.runner.warm(target, framework, process)

    def expect(self, bisection: str, wanted: Sequence[tuple[Target, int]]) -> None:
        """Say what a bisection asks next, where runs are made here."""
        if "runner" in self.__dict__ and not self.settings.scheduler:
            self.runner.expect(bisection, wanted)
            if self.runner.name == "docker":
                self.early_images.expect([target for target, _ in wanted])

    def end(self, bisection: str) -> None:
        """End the processes that wait for a bisection, here or on workers."""
        if self.settings.scheduler:
            if "cluster" in self.__dict__:
                self.cluster.end(bisection)
        elif "runner" in self.__dict__:
            self.runner.end(bisection)

    @made_once
    def executor(self) -> Executor:
        """Return the coordinator's thread pool."""
        # Threads that only wait cost little, and the workers of a scheduler come and go.
        return executor(THREADS_AT_MOST if self.settings.scheduler else self.settings.workers)

    @made_once
    def laboratory(self) -> Laboratory:
        return Laboratory(
            self.store,
            self.environments,
            self.execute,
            self.settings.timeout_seconds,
            self.warm,
            expect=self.expect,
            end=self.end,
            engine_problem=self.engine_problem,
            projects=self.project,
            patience=self.patience,
            bridges=self.settings.bridges,
        )

    @property
    def patience(self) -> Patience:
        return Patience(self.settings.patience_seconds)

    @made_once
    def threads(self) -> Threads:
        """Return the threads that last as long as this process."""
        return Threads()

    @made_once
    def workers(self) -> Workers:
        """Return the runs that this process may have under way at once."""
        return Workers(self.executor, self.runs_at_once)

    @made_once
    def coordinator(self) -> Coordinator:
        return Coordinator(
            self.store,
            self.intake,
            self.laboratory,
            self.workers,
            Holding(self.store, self.threads, self.clock),
            patience=self.patience,
            after=self._after,
        )

    @made_once
    def explaining(self) -> Explaining:
        """Return what finds the causes of changes."""
        sources = self.settings.download_dir / "sources"
        shelf = SourceShelf(Wheels(self.catalog.index, sources / "wheels"), sources)
        errors = Errors(PythonSources(self.catalog.index, sources / "python"), self._trials)
        stages: list[Stage] = [errors, Switches(self._trials), Definitions(shelf, self._trials)]
        return Explaining(self.store, self.intake, stages)

    @made_once
    def asked_causes(self) -> AskedCauses:
        """Return what looks for the causes that were asked for."""
        return AskedCauses(self.store, lambda: self.explaining)

    def _execute_last(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        """Run a hypothesis once no bisection of this process has a use for the worker."""
        while not self.workers.idle() and not cancelled.wait(IDLE_SECONDS):
            pass
        return self.workers.submit_aside(lambda: self.execute(request, cancelled)).result()

    @made_once
    def readings(self) -> Readings:
        """Return what reads bisections."""
        return Readings(self)

    def _after(self, bisection_id: str) -> None:
        """Render what readers will ask for, and ask for the causes of its changes."""
        self.readings.document(bisection_id, ADMIN)
        if not self.settings.causes:
            return
        row = self.store.bisection(bisection_id)
        if row.request.get("why", True) and (row.verdict or {}).get("changes"):
            self.store.request_explanation(bisection_id, self.settings.causes_budget)

    def _trials(self, inquiry: Inquiry) -> Trials:
        """Return what runs the hypotheses of one inquiry."""
        return Trials(
            self.store,
            self._execute_last,
            self.end,
            inquiry.place,
            timeout_seconds=self.settings.timeout_seconds,
            projects=self.project,
            cancelled=inquiry.cancelled,
        )

    @made_once
    def submission(self) -> Submission:
        return Submission(self.store, self.intake, self.coordinator, nightly_watch)

    @made_once
    def nightly(self) -> Nightly:
        settings = self.settings
        # A pass always asks the index, however new the cache is.
        newest = settings.model_copy(update={"catalog_max_age_seconds": 0.001})
        asked_anew = Catalog(self.store, newest, clock=self.clock)
        repetition = Repetition(self.store, self.intake, self.coordinator, self.laboratory, self.environments)
        budget = Budget(settings.nightly_seconds, settings.nightly_free_bytes, lambda: free_bytes(settings.data_dir))
        links = Links(settings.public_url)
        return Nightly(
            self.store, asked_anew.releases, repetition, self.sender, clock=self.clock, budget=budget, links=links
        )

    @made_once
    def sender(self) -> Sender:
        settings = self.settings
        postage = Postage(
            webhook_secret=settings.webhook_secret.get_secret_value(),
            smtp_url=settings.smtp_url.reveal(),
            mail_from=settings.mail_from,
            inner_addresses=settings.inner_addresses,
        )
        return Sender(self.store, postage)

    def make_pass(self, stop: threading.Event | None = None, *, example: bool = False) -> Summary:
        """Make one nightly pass over the watches in files and in the store, until told to stop.

        Args:
            stop: set to end it in order.
            example: also the watch that comes with tfbisect, where no folder of watch files is set.
        """
        shipped = resource_dir("watches") if example else None
        folder = self.settings.watches_dir or shipped
        files, problems = read_watches(folder) if folder is not None else ([], [])
        return self.nightly.run(files, problems, stop)

    def release_rows(self, package: str, hardware: Hardware, only: str) -> list[dict[str, Any]]:
        """Return the catalog as rows; see catalog/overview.py."""
        package = package_name(package)
        known = self.catalog.releases(package)
        if only:
            chosen = set(select(parse_releases(only), known))
            known = tuple(release for release in known if release.version in chosen)
        return release_rows(package, hardware, known, self.environments, self._built_images())

    def markdown(self, bisection_id: str) -> str:
        """Return the report of a bisection, as the web service gives it."""
        readings = self.readings
        reading = readings.reading(bisection_id, ADMIN)
        source = self.store.snippet(reading.bisection.snippet_digest)
        view = Views(self).of(reading, readings.outlook(reading))
        return markdown(reading, view, source, self.settings.public_url, self.locks_of(reading.bisection))

    def evidence(self, bisection_id: str) -> Iterator[bytes]:
        """Yield the archive with the evidence of a bisection, as the web service gives it."""
        reading = self.readings.reading(bisection_id, ADMIN)
        verdict, report = reading.bisection.verdict or {}, self.markdown(bisection_id)
        return bundle_of(self, reading, verdict, report, self.locks_of(reading.bisection))

    def locks_of(self, bisection: Bisection) -> LockOf:
        """Return what finds the locks of a bisection's releases; it asks nobody but the store."""
        resting = copy(self.environments)
        resting.catalog = self.catalog.at_rest()
        source = self.store.snippet(bisection.snippet_digest)
        try:
            request = BisectionRequest.model_validate({**bisection.request, "snippet": source})
            case = self.intake.at_rest().case(request)
        except (TfbisectError, ValueError):
            return no_lock

        def lock_of(release: str) -> Lock | None:
            try:
                found = resting.known(case.target(release))
            except TfbisectError:
                return None
            return None if found is None else Lock(found.digest, found.lock + found.added)

        return lock_of

    def _built_images(self) -> Mapping[str, str]:
        """Return the references of built images by environment digest; none if no engine responds."""
        try:
            found = DockerImages(connect()).labelled(f"{LABEL}environment")
        except Unavailable:
            return {}
        return {image.labels[f"{LABEL}environment"]: image.references[0] for image in found if image.references}

    def close(self) -> None:
        """Stop everything that was started, even if one part raises; raise that at the end."""
        made = self.__dict__  # parts that were never used are not made only to be closed
        with ExitStack() as stack:
            # In reverse order: the store is closed when nobody writes to it any more.
            for part in ("store", "runner", "cluster"):
                if part in made:
                    stack.callback(made[part].close)
            if "early_images" in made:
                stack.callback(made["early_images"].close)
            if "executor" in made:
                stack.callback(made["executor"].shutdown, cancel_futures=True)
            if "threads" in made:
                stack.callback(made["threads"].close)


class WorkerHouse(House):
    """The parts of a worker of a scheduler: environments come with the runs, so that it has no database."""

    @made_once
    def cache(self) -> Cache:
        """Return what forgets with this process what the index said."""
        return PassingCache()


def without_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove users and passwords of addresses from a log line: libraries' messages may contain them."""
    return {name: without_credentials(value) if isinstance(value, str) else value for name, value in event.items()}


def without_stack(record: logging.LogRecord) -> bool:
    """Remove the stack from a library's log record."""
    if record.exc_info:
        record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]}", ()
        record.exc_info = None
    return True


def set_up_logging(*, quiet: bool = False, json: bool = False) -> None:
    """Send log lines to standard error, so that standard output carries only results."""
    level = logging.ERROR if quiet else logging.WARNING
    # A connection returned to the pool after its database went away; whoever waits for the database logs that already.
    logging.getLogger(f"{QueuePool.__module__}.{QueuePool.__name__}").addFilter(without_stack)
    renderer = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            without_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
