"""Submits a bisection: answered at once if every observation it needs is stored, otherwise queued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from service.coordination.conclusion import Finished
from service.coordination.coordinator import Coordinator
from service.coordination.intake import BisectionRequest, Case, Intake
from service.coordination.progress import Listener, Progress
from service.errors import StoreError
from service.projects.files import Project
from service.storage.claims import new_owner
from service.storage.records import Claim, Created
from service.storage.store import Store
from service.storage.watch_records import NewWatch


@dataclass(frozen=True)
class Submitted:
    id: str
    status: str
    """queued, or how it ended if stored observations answered it at once."""
    is_new: bool
    """False where an Idempotency-Key found an earlier submission."""


class Watching(Protocol):
    """Makes the watch that repeats a bisection every night; see service.nightly.watches."""

    def __call__(
        self, request: BisectionRequest, bisection_id: str, *, public: bool, owner: str | None
    ) -> NewWatch: ...


class Submission:
    """The one way to submit, for REST, form, cron and command line."""

    def __init__(self, store: Store, intake: Intake, coordinator: Coordinator, watching: Watching) -> None:
        self._store = store
        self._intake = intake
        self._coordinator = coordinator
        self._watching = watching

    def submit(
        self,
        request: BisectionRequest,
        *,
        public: bool = True,
        owner: str | None = None,
        idempotency_key: str | None = None,
    ) -> Submitted:
        """Check a request, and store it finished or queued.

        Args:
            request: what is asked.
            public: whether everybody may read it.
            owner: id of the token that asks.
            idempotency_key: of this owner; the same key with the same request gives the same bisection.

        Raises:
            BadInput: nothing was stored.
            IndexUnreachable: the releases are not known and cannot be asked for.
        """
        case = self._intake.case(request)
        recalled = self._coordinator.recalled(case)
        claimed_by = new_owner("command") if recalled is not None else None
        created = self._create(case, public=public, owner=owner, idempotency_key=idempotency_key, claimed_by=claimed_by)
        if request.watch:
            # Not only where it is new: the one before may have got as far as the bisection.
            self._store.add_watch_once(self._watching(request, created.bisection.id, public=public, owner=owner))
        if recalled is None or claimed_by is None or not created.is_new:
            return Submitted(created.bisection.id, created.bisection.status, is_new=created.is_new)
        finished = self._coordinator.answer(Claim(created.bisection.id, claimed_by), case, recalled)
        return Submitted(created.bisection.id, finished.status, is_new=True)

    def run(
        self,
        request: BisectionRequest,
        listener: Listener,
        ready: Callable[[], object],
        project: Project | None = None,
    ) -> Finished:
        """Run a bisection in this process.

        Args:
            request: what is asked.
            listener: who watches.
            ready: called before anything is started, where stored observations are not enough; raises NoRunner where
                nothing here can run a probe.
            project: the files that the request names; stored once all of it is checked.
        """
        case = self._intake.case(request, project)
        recalled = self._coordinator.recalled(case)
        if recalled is None:
            ready()
        if project is not None:
            self._store.put_project(project.digest, project.packed)
        owner = new_owner("command")
        claim = Claim(self._create(case, claimed_by=owner).bisection.id, owner)
        if recalled is not None:
            finished = self._coordinator.answer(claim, case, recalled)
            _tell(listener, case, recalled)
            return finished
        try:
            return self._coordinator.run(claim, listener, case=case)
        except Exception as error:
            # No other coordinator takes a bisection of a terminal.
            with suppress(StoreError):
                self._coordinator.give_up(claim, error)
            raise

    def _create(
        self,
        case: Case,
        *,
        claimed_by: str | None,
        public: bool = True,
        owner: str | None = None,
        idempotency_key: str | None = None,
    ) -> Created:
        """Store a bisection: queued for any coordinator, or held by this one."""
        return self._store.create_bisection(
            case.request.model_dump(mode="json", exclude={"snippet"}),
            case.request.snippet,
            public=public,
            owner=owner,
            idempotency_key=idempotency_key,
            claimed_by=claimed_by,
        )


def _tell(listener: Listener, case: Case, recalled: Sequence[Progress]) -> None:
    """Tell who watches what was known already."""
    measurements = [measurement for progress in recalled for measurement in progress.taken]
    listener.started(case)
    for place, measurement in enumerate(measurements, start=1):
        listener.measured(measurement, place, len(measurements))
