"""One bisection being worked off: plan, submit, append, until the planner has nothing left to ask."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass

from service.bisection.planner import NextRuns, PlannedRun, plan
from service.bisection.verdict import NothingTestable
from service.catalog.targets import Target
from service.coordination.answers import observation_event
from service.coordination.conclusion import INTERRUPTED, TAKEN_OVER, Ending, Finished, conclude
from service.coordination.faults import snippet_fault
from service.coordination.intake import SUBJECT, Case
from service.coordination.laboratory import Laboratory, Measurement, Question, measurement_of
from service.coordination.progress import Listener, Progress
from service.storage.store import Store

LEASE_SECONDS = 60.0
RENEW_SECONDS = 10.0
POLL_SECONDS = 0.5
"""How soon a cancellation is seen."""
STOP_SECONDS = 10.0
"""How long running containers get to stop."""


@dataclass(frozen=True)
class Parts:
    """What a session works with."""

    store: Store
    laboratory: Laboratory
    executor: Executor
    workers: int
    owner: str


class Session:
    """One bisection being worked off by one coordinator."""

    def __init__(self, parts: Parts, bisection_id: str, case: Case, listener: Listener, stop: threading.Event) -> None:
        self._parts = parts
        self._store = parts.store
        self._id = bisection_id
        self._case = case
        self._listener = listener
        self._stop = stop
        self._cancelled = threading.Event()
        self._tracks = {track.name: Progress(track) for track in case.tracks}
        self._running: dict[Future[Measurement], Question] = {}
        self._warming: list[Future[None]] = []
        self._warmed: set[Target] = set()
        self._renewed = 0.0

    def run(self) -> Finished:
        """Plan, submit and append until the planner has nothing left to ask."""
        self._resume()
        self._listener.started(self._case)
        try:
            while self._submit() or self._running:
                self._collect()
                if status := self._interruption():
                    return self._end(status)
        except KeyboardInterrupt:
            # The user does not want it any more: stop the containers, keep what was measured.
            return self._end("cancelled")
        return conclude(self._case, self._id, list(self._tracks.values()), "done")

    def _resume(self) -> None:
        """Take in what an earlier coordinator of this bisection already linked."""
        for linked in self._store.linked_observations(self._id):
            if linked.variant in self._tracks:
                self._tracks[linked.variant].add(measurement_of(linked, self._case.probe.judge))

    def _submit(self) -> int:
        """Hand on the most valuable questions that a free worker can take; return how many."""
        submitted = 0
        for progress in self._tracks.values():
            for run in self._wanted(progress):
                if len(self._running) >= self._parts.workers:
                    return submitted
                self._ask(progress, run)
                submitted += 1
        return submitted

    def _wanted(self, progress: Progress) -> list[PlannedRun]:
        """Return the runs that the planner asks for and that are not on their way."""
        step = plan(self._case.tree, progress.answers, self._case.policy)
        if not isinstance(step, NextRuns) or (progress.track.name != SUBJECT and self._refused()):
            return []
        progress.before_filling = progress.before_filling or step.settled
        wanted: list[PlannedRun] = []
        claimed: dict[str, int] = {}
        # What follows in any case is taken early by workers that would stand idle.
        for run in (*step.runs, *step.then):
            have = progress.asked(run.release) - len(progress.answers.get(run.release, ()))
            if claimed.get(run.release, 0) >= have:
                wanted.append(run)
            claimed[run.release] = claimed.get(run.release, 0) + 1
        return wanted

    def _refused(self) -> bool:
        """Say whether the snippet itself is at fault, so that its variants have nothing to be compared with."""
        subject = self._tracks[SUBJECT]
        step = plan(self._case.tree, subject.answers, self._case.policy)
        return isinstance(step, NothingTestable) and snippet_fault(step, subject.reports) is not None

    def _ask(self, progress: Progress, run: PlannedRun) -> None:
        """Hand one question on."""
        question = Question(self._case, progress.track, run.release, progress.next_repeat(run.release))
        progress.running[run.release] = progress.running.get(run.release, 0) + 1
        future = self._parts.executor.submit(self._parts.laboratory.measure, question, self._cancelled)
        self._running[future] = question
        self._listener.running(progress.track.name, run.release)
        self._publish_progress()

    def _collect(self) -> None:
        """Wait for an answer, a moment at most, and take in what came."""
        finished, _ = wait(self._running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        if not finished:
            self._warm_on_idle_workers()
        for future in finished:
            question = self._running.pop(future)
            progress = self._tracks[question.track.name]
            progress.running[question.release] -= 1
            self._take(progress, future.result())

    def _warm_on_idle_workers(self) -> None:
        """Have what runs for the first time ready once more: where it turns out to border a change it is run again."""
        self._warming = [future for future in self._warming if not future.done()]
        idle = self._parts.workers - len(self._running) - len(self._warming)
        first = [question for question in self._running.values() if not question.repeat]
        for question in [each for each in first if each.target not in self._warmed][: max(0, idle)]:
            self._warmed.add(question.target)
            self._warming.append(self._parts.executor.submit(self._parts.laboratory.warm, question))

    def _take(self, progress: Progress, measurement: Measurement) -> None:
        """Append one answer and tell everybody."""
        progress.add(measurement)
        link(self._store, self._id, measurement)
        self._store.append_event(self._id, "observation", observation_event(measurement))
        self._publish_progress()
        self._listener.measured(measurement, *self._counts())

    def _counts(self) -> tuple[int, int]:
        """Return how many answers are there and how many there will be at least."""
        done = sum(progress.done for progress in self._tracks.values())
        open_runs = 0
        for progress in self._tracks.values():
            step = plan(self._case.tree, progress.answers, self._case.policy)
            open_runs += step.planned_at_least if isinstance(step, NextRuns) else 0
        return done, done + open_runs

    def _publish_progress(self) -> None:
        """Append a progress event."""
        done, planned = self._counts()
        current = sorted({question.release for question in self._running.values()})
        payload = {"runs_done": done, "runs_planned_at_least": planned, "current": current}
        self._store.set_progress(self._id, payload)
        self._store.append_event(self._id, "progress", payload)

    def _interruption(self) -> Ending | None:
        """Renew the lease; say why to stop, if there is a reason."""
        if self._stop.is_set():
            return INTERRUPTED
        if self._store.cancel_requested(self._id):
            return "cancelled"
        if time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            if not self._store.renew(self._id, self._parts.owner, LEASE_SECONDS):
                return TAKEN_OVER
        return None

    def _end(self, status: Ending) -> Finished:
        """Stop what runs and say what is known so far."""
        self._cancelled.set()
        for future in self._running:
            future.cancel()
        wait(self._running, timeout=STOP_SECONDS)
        return conclude(self._case, self._id, list(self._tracks.values()), status)


def link(store: Store, bisection_id: str, measurement: Measurement) -> None:
    """Note that a bisection rests on a stored observation."""
    if measurement.observation_id is not None:
        store.link(bisection_id, measurement.observation_id, measurement.track, reused=measurement.reused)
