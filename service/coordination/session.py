"""One running bisection: plan, submit, append, until the planner needs nothing more."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from service.bisection.planner import PlannedRun
from service.bisection.verdict import NothingTestable
from service.catalog.targets import Target
from service.coordination.answers import observation_event
from service.coordination.bridging import BRIDGE, Bridging, Span
from service.coordination.conclusion import DONE, INTERRUPTED, TAKEN_OVER, Ending, Finished, conclude
from service.coordination.faults import snippet_fault
from service.coordination.holding import LOOK_SECONDS, Held
from service.coordination.intake import SUBJECT, Case
from service.coordination.laboratory import Laboratory, Measurement, Question
from service.coordination.patience import Patience, patiently
from service.coordination.progress import Listener, Progress, progress_of
from service.coordination.workers import Seat
from service.storage.claims import Used
from service.storage.store import Store

T = TypeVar("T")
STOP_SECONDS = 10.0
"""How long running containers get to stop."""


@dataclass(frozen=True)
class Parts:
    store: Store
    laboratory: Laboratory
    patience: Patience


class TakenOver(Exception):
    """Another coordinator holds the bisection."""


class Session:
    """One bisection, run by one coordinator."""

    def __init__(
        self, parts: Parts, held: Held, seat: Seat, case: Case, listener: Listener, stop: threading.Event
    ) -> None:
        self._parts = parts
        self._held = held
        self._seat = seat
        self._case = case
        self._listener = listener
        self._stop = stop
        self._cancelled = threading.Event()
        self._tracks = {track.name: Progress(case, track) for track in case.tracks}
        self._running: dict[Future[Measurement], Question] = {}
        self._warming: list[Future[None]] = []
        self._warmed: set[Target] = set()
        self._said: Mapping[str, Any] = {}
        self._planned_at_first = 0
        self._bridging = Bridging(parts.laboratory, held.claim.bisection_id)
        self._spans: dict[Future[Measurement], Span] = {}

    def run(self) -> Finished:
        """Plan, submit and append until the planner has nothing left to ask.

        Raises:
            Unavailable: the database is away for longer than anybody's patience.
        """
        try:
            self._resume()
            self._listener.started(self._case)
            return self._end(self._work())
        except TakenOver:
            return self._end(TAKEN_OVER)
        except KeyboardInterrupt:
            # Cancelled: stop the containers, keep what was measured.
            return self._end("cancelled")
        finally:
            self._let_go()

    def _work(self) -> Ending:
        """Take steps until one is the last, and return why."""
        taken: list[Measurement] = []
        while True:
            wanted = self._wanted()
            asked = self._submit(wanted)
            if asked or taken:
                self._record(taken)
            if not self._running and asked == len(wanted):
                return self._bridge()
            if ending := self._interruption():
                return ending
            taken = self._collect()

    def _bridge(self) -> Ending:
        """Run what tells the environment from the release at each change, if the case asks why."""
        tracks = list(self._tracks.values())
        while True:
            wanted = self._bridging.wanted(tracks)
            self._seat.wants(len(wanted))
            for span, question in wanted:
                future = self._seat.submit(partial(self._parts.laboratory.measure, question, self._cancelled))
                if future is None:
                    break
                self._bridging.started(span)
                self._running[future] = question
                self._spans[future] = span
                self._listener.running(question.track.name, f"{question.release} in another environment")
                self._record([])
            if not self._running:
                self._bridging.settle(tracks)
                return DONE
            if ending := self._interruption():
                return ending
            self._seat.awake.wait(LOOK_SECONDS)
            self._seat.awake.clear()
            for future in [future for future in self._running if future.done()]:
                self._running.pop(future)
                measurement = future.result()
                self._bridging.add(self._spans.pop(future), measurement)
                done, planned = self._counts()
                bridged = sum(map(len, self._bridging.taken.values()))
                self._listener.measured(replace(measurement, track=BRIDGE), done + bridged, planned + bridged)

    def _resume(self) -> None:
        """Load what an earlier coordinator of this bisection has linked."""
        linked = self._patiently(
            lambda: self._parts.store.linked_observations(self._held.claim.bisection_id), "read a bisection"
        )
        self._tracks = {progress.track.name: progress for progress in progress_of(self._case, linked)}
        if linked:
            mine = self._held.claim.bisection_id
            row = self._patiently(lambda: self._parts.store.bisection(mine), "read a bisection")
            self._planned_at_first = int((row.progress or {}).get("runs_planned_at_first", 0))

    def _submit(self, wanted: list[tuple[Progress, PlannedRun]]) -> int:
        """Submit the most valuable questions that have a worker; return how many."""
        self._seat.wants(len(wanted))
        submitted = 0
        for progress, run in wanted:
            if not self._ask(progress, run):
                break
            submitted += 1
        self._parts.laboratory.expect(self._held.claim.bisection_id, self._questions(wanted[submitted:]))
        return submitted

    def _questions(self, wanted: list[tuple[Progress, PlannedRun]]) -> Iterator[Question]:
        """Yield what planned runs ask, each of a release for one time more than the one before."""
        before: Counter[tuple[str, str]] = Counter()
        for progress, run in wanted:
            track, release = progress.track, run.release
            repeat = progress.next_repeat(release) + before[track.name, release]
            before[track.name, release] += 1
            yield Question(self._case, track, release, repeat, self._held.claim.bisection_id)

    def _wanted(self) -> list[tuple[Progress, PlannedRun]]:
        """Return the planned runs of every track that have not started."""
        refused = self._refused()
        return [
            (progress, run)
            for progress in self._tracks.values()
            if progress.track.name == SUBJECT or not refused
            for run in progress.wanted()
        ]

    def _refused(self) -> bool:
        """Return whether the snippet itself is at fault: then there is nothing to compare variants with."""
        subject = self._tracks[SUBJECT]
        step, source = subject.step, subject.track.snippet
        return isinstance(step, NothingTestable) and snippet_fault(step, subject.reports, source) is not None

    def _ask(self, progress: Progress, run: PlannedRun) -> bool:
        """Submit one question; return whether there was a worker for it."""
        question = Question(
            self._case, progress.track, run.release, progress.next_repeat(run.release), self._held.claim.bisection_id
        )
        future = self._seat.submit(partial(self._parts.laboratory.measure, question, self._cancelled))
        if future is None:
            return False
        progress.running[run.release] = progress.running.get(run.release, 0) + 1
        self._running[future] = question
        self._listener.running(progress.track.name, run.release)
        return True

    def _collect(self) -> list[Measurement]:
        """Wait briefly for an answer or a worker, and store what came."""
        if not self._seat.awake.wait(LOOK_SECONDS):
            self._warm_on_idle_workers()
        self._seat.awake.clear()
        taken: list[Measurement] = []
        for future in [future for future in self._running if future.done()]:
            question = self._running.pop(future)
            progress = self._tracks[question.track.name]
            progress.running[question.release] -= 1
            measurement = future.result()
            progress.add(measurement)
            taken.append(measurement)
        return taken

    def _warm_on_idle_workers(self) -> None:
        """Prepare releases that run for the first time in another process.

        Where it turns out to border a change, that one confirms it.
        """
        self._warming = [future for future in self._warming if not future.done()]
        idle = self._seat.idle_workers()
        first = [question for question in self._running.values() if not question.repeat]
        for question in [each for each in first if each.target not in self._warmed][: max(0, idle)]:
            self._warmed.add(question.target)
            self._warming.append(
                self._seat.submit_aside(partial(self._parts.laboratory.warm, question, question.process + 1))
            )

    def _record(self, taken: list[Measurement]) -> None:
        """Store one step in one transaction, then notify the listener.

        Raises:
            TakenOver: another coordinator holds the bisection.
        """
        self._said = self._progress()
        happened = [*(("observation", observation_event(each)) for each in taken), ("progress", self._said)]
        standing = self._patiently(
            lambda: self._parts.store.record(
                self._held.claim, used_by(taken), happened, self._said, after=self._held.last_event
            ),
            "write down a step of a bisection",
        )
        self._held.note(standing)
        if self._held.is_lost:
            raise TakenOver
        done, planned = self._counts()
        for place, measurement in enumerate(taken, start=done - len(taken) + 1):
            self._listener.measured(measurement, place, planned)

    def _progress(self) -> dict[str, Any]:
        done, planned = self._counts()
        current = sorted({question.release for question in self._running.values()})
        self._planned_at_first = self._planned_at_first or planned
        said: dict[str, Any] = {
            "runs_done": done,
            "runs_planned_at_least": planned,
            "runs_planned_at_first": self._planned_at_first,
            "current": current,
        }
        problem = self._parts.laboratory.problem()
        return said if problem is None else {**said, "problem": problem}

    def _counts(self) -> tuple[int, int]:
        """Return how many answers are there and how many there will be at least."""
        done = sum(progress.done for progress in self._tracks.values())
        return done, done + sum(progress.planned_at_least for progress in self._tracks.values())

    def _interruption(self) -> Ending | None:
        """Return why to stop, if there is a reason; store what it waits for, if that changed."""
        if self._held.is_lost:
            return TAKEN_OVER
        if self._stop.is_set():
            return INTERRUPTED
        if self._held.is_cancelled:
            return "cancelled"
        if self._parts.laboratory.problem() != self._said.get("problem"):
            self._record([])
        return None

    def _end(self, ending: Ending) -> Finished:
        """Stop the runs and return what is known."""
        self._let_go()
        return conclude(self._case, self._held.claim.bisection_id, list(self._tracks.values()), ending)

    def _let_go(self) -> None:
        """Stop the runs: none outlives its bisection, however it ends."""
        self._cancelled.set()
        under_way: list[Future[Any]] = [*self._running, *self._warming]
        for future in under_way:
            future.cancel()
        wait(under_way, timeout=STOP_SECONDS)
        self._running.clear()
        self._warming.clear()
        self._parts.laboratory.end(self._held.claim.bisection_id)

    def _patiently(self, work: Callable[[], T], doing: str) -> T:
        return patiently(work, self._parts.patience, self._stop, doing)


def used_by(measurements: list[Measurement]) -> list[Used]:
    """Return which stored observations these answers rest on."""
    return [(each.observation_id, each.track, each.reused) for each in measurements if each.observation_id is not None]
