"""The one loop: load, plan, submit, append.

Every step starts from the store, so a coordinator that is killed at any moment loses at most the runs in flight; the
next one claims the bisection again and goes on from the observations that are there.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import structlog

from service.bisection.planner import NextRuns, PlannedRun, plan
from service.coordination.answers import observation_event
from service.coordination.conclusion import DONE, INTERRUPTED, TAKEN_OVER, Finished, conclude, problem
from service.coordination.intake import BisectionRequest, Case, Intake
from service.coordination.laboratory import Laboratory, Question
from service.coordination.progress import Listener, Progress, Silent
from service.coordination.session import LEASE_SECONDS, POLL_SECONDS, Parts, Session
from service.errors import TfbisectError
from service.storage.store import Store

log = structlog.get_logger()


def owner_name() -> str:
    """Return who holds a lease: this host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Coordinator:
    """Works bisections off."""

    def __init__(
        self,
        store: Store,
        intake: Intake,
        laboratory: Laboratory,
        executor: Executor,
        workers: int,
        *,
        after: Callable[[str], object] = lambda _bisection_id: None,
    ) -> None:
        """Put a coordinator together.

        Args:
            store: where everything is.
            intake: makes requests ready.
            laboratory: answers questions.
            executor: waits for answers.
            workers: how many at once.
            after: called with each bisection that has ended.
        """
        self._store = store
        self._intake = intake
        self._laboratory = laboratory
        self._executor = executor
        self._workers = workers
        self._after = after
        self.owner = owner_name()

    def serve(self, stop: threading.Event) -> None:
        """Claim and run queued bisections until told to stop; a bisection whose coordinator died is claimed too."""
        while not stop.is_set():
            claimed = self._store.claim(self.owner, LEASE_SECONDS)
            if claimed is None:
                stop.wait(POLL_SECONDS)
                continue
            try:
                self.run(claimed, stop=stop)
            except Exception:
                # One bisection must not stop the others; its lease runs out and it is tried again.
                log.exception("bisection.crashed", bisection=claimed)
                stop.wait(POLL_SECONDS)

    def run(
        self,
        bisection_id: str,
        listener: Listener | None = None,
        stop: threading.Event | None = None,
        *,
        reserved_for: str | None = None,
    ) -> Finished:
        """Run one bisection to its end and store how it ended.

        Args:
            bisection_id: which one; this coordinator holds it.
            listener: who watches.
            stop: set: stop soon and give it back to the queue.
            reserved_for: for whom it waits there; None: the next coordinator takes it.
        """
        row = self._store.bisection(bisection_id)
        snippet = self._store.snippet(row.snippet_digest)
        try:
            case = self._intake.case(BisectionRequest.model_validate({**row.request, "snippet": snippet}))
            session = Session(self._parts(), bisection_id, case, listener or Silent(), stop or threading.Event())
            finished = session.run()
        except TfbisectError as error:
            finished = Finished("failed", None, problem(error))
        if finished.status == INTERRUPTED:
            self._store.requeue(bisection_id, self.owner, reserved_for=reserved_for)
        elif finished.status != TAKEN_OVER:
            self.finish(bisection_id, finished)
        return finished

    def answer(self, bisection_id: str, case: Case, recalled: Sequence[Progress]) -> Finished:
        """Close a bisection with what was recalled: the same links and events as a run, in few transactions."""
        measurements = [measurement for progress in recalled for measurement in progress.taken]
        used = [(each.observation_id, each.track, each.reused) for each in measurements if each.observation_id]
        self._store.link_all(bisection_id, used)
        finished = conclude(case, bisection_id, recalled, DONE)
        self.finish(bisection_id, finished, [("observation", observation_event(each)) for each in measurements])
        return finished

    def finish(
        self, bisection_id: str, finished: Finished, before: Iterable[tuple[str, Mapping[str, Any]]] = ()
    ) -> None:
        """Store how a bisection ended, and tell everybody; the events `before` come first."""
        ending = {"status": finished.status, "error": finished.error}
        if finished.status in {INTERRUPTED, TAKEN_OVER}:
            raise ValueError(f"{finished.status} is not an end of a bisection")
        told = [("verdict", finished.verdict)] if finished.verdict is not None else []
        is_over = self._store.finish(
            bisection_id,
            finished.status,
            finished.verdict,
            finished.error,
            owner=self.owner,
            events=[*before, *told, ("end", ending)],
        )
        if is_over:
            self._after(bisection_id)

    def recallable(self, case: Case) -> bool:
        """Say whether stored observations alone answer a case."""
        return self.recalled(case) is not None

    def recalled(self, case: Case) -> list[Progress] | None:
        """Return what stored observations say of each track, or None where they do not answer the case alone."""
        tracks = [Progress(track) for track in case.tracks]
        return tracks if all(self._recall_track(case, progress) for progress in tracks) else None

    def _recall_track(self, case: Case, progress: Progress) -> bool:
        """Take in what the store knows of one track; say whether that is everything that the planner asks."""
        while isinstance(step := plan(case.tree, progress.answers, case.policy), NextRuns):
            before = progress.done
            for measurement in self._laboratory.recall(_questions(case, progress, (*step.runs, *step.then))):
                progress.add(measurement)
            if progress.done == before:
                return False
        return True

    def _parts(self) -> Parts:
        return Parts(self._store, self._laboratory, self._executor, self._workers, self.owner)


def _questions(case: Case, progress: Progress, runs: Iterable[PlannedRun]) -> Iterator[Question]:
    """Return what planned runs ask, each of a release for one time more than the one before."""
    asked: Counter[str] = Counter()
    for run in runs:
        yield Question(case, progress.track, run.release, progress.next_repeat(run.release) + asked[run.release])
        asked[run.release] += 1
