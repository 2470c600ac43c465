"""The one loop: load, plan, submit, append.

Every step starts from the store, so a coordinator that is killed at any moment loses at most the runs in flight; the
next one claims the bisection again and goes on from the observations that are there.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import structlog

from service.bisection import words
from service.bisection.comparison import differences
from service.bisection.outcomes import Answer, Lost, Outcome, Refused, Untestable
from service.bisection.planner import NextRuns, PlannedRun, current_verdict, plan
from service.bisection.variants import compare, in_words
from service.bisection.verdict import NothingTestable, Unchanged, Verdict, VerdictFacts, to_json
from service.errors import NoAnswer, SnippetError, TfbisectError
from service.intake import SUBJECT, BisectionRequest, Case, Intake, Track
from service.measuring import Laboratory, Measurement, Question, measurement_of
from service.storage.json_text import text_digest
from service.storage.store import Store
from service.variants import VARIANTS, cure_in_words

LEASE_SECONDS = 60.0
RENEW_SECONDS = 10.0
POLL_SECONDS = 0.5
"""How soon a cancellation is seen."""
DONE: Literal["done"] = "done"
STOP_SECONDS = 10.0
"""How long running containers get to stop."""
Ending = Literal["done", "failed", "cancelled", "interrupted", "taken-over"]
INTERRUPTED: Literal["interrupted"] = "interrupted"
"""This process stops; the bisection goes back to the queue."""
TAKEN_OVER: Literal["taken-over"] = "taken-over"
"""Another coordinator holds the bisection, since this one was away for longer than its lease."""

log = structlog.get_logger()


class Listener(Protocol):
    """Who watches a bisection in this process: a terminal, or nobody. The store's events serve everybody else."""

    def started(self, case: Case) -> None:
        """The request is ready and planning begins."""

    def running(self, track: str, release: str) -> None:
        """A question was handed on."""

    def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
        """An answer came in."""


class Silent:
    """A listener that does not listen."""

    def started(self, case: Case) -> None:
        """Do nothing."""

    def running(self, track: str, release: str) -> None:
        """Do nothing."""

    def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
        """Do nothing."""


@dataclass
class Progress:
    """What one track knows so far."""

    track: Track
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    taken: list[Measurement] = field(default_factory=list)
    """Every measurement, in the order in which it came."""
    kept: dict[str, int] = field(default_factory=dict)
    """How many answers of a release are stored observations."""
    running: dict[str, int] = field(default_factory=dict)
    executed: int = 0
    reused: int = 0
    lost: int = 0
    runners: set[str] = field(default_factory=set)
    before_filling: Verdict | None = None
    """The verdict before inferred releases were measured too; None where nothing was filled in."""

    def add(self, measurement: Measurement) -> None:
        """Take an answer in."""
        release = measurement.release
        self.answers.setdefault(release, []).append(measurement.answer)
        self.taken.append(measurement)
        self.kept[release] = self.kept.get(release, 0) + (measurement.observation_id is not None)
        self.lost += isinstance(measurement.answer, Lost)
        self.reused += measurement.reused
        self.executed += not measurement.reused
        if measurement.report.runner:
            self.runners.add(measurement.report.runner)

    def next_repeat(self, release: str) -> int:
        """Return which stored observation of a release answers the next question about it."""
        return self.kept.get(release, 0) + self.running.get(release, 0)

    def asked(self, release: str) -> int:
        """Return how many answers of a release are here or on their way."""
        return len(self.answers.get(release, ())) + self.running.get(release, 0)

    @property
    def done(self) -> int:
        """Return how many answers came in."""
        return sum(len(answers) for answers in self.answers.values())


@dataclass(frozen=True)
class Finished:
    """How a bisection ended."""

    status: Ending
    verdict: Mapping[str, Any] | None
    error: Mapping[str, Any] | None = None


def owner_name() -> str:
    """Return who holds a lease: this host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Coordinator:
    """Works bisections off."""

    def __init__(self, store: Store, intake: Intake, laboratory: Laboratory, executor: Executor, workers: int) -> None:
        self._store = store
        self._intake = intake
        self._laboratory = laboratory
        self._executor = executor
        self._workers = workers
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

    def run(self, bisection_id: str, listener: Listener | None = None, stop: threading.Event | None = None) -> Finished:
        """Run one bisection to its end and store how it ended."""
        row = self._store.bisection(bisection_id)
        snippet = self._store.snippet(row.snippet_digest)
        try:
            case = self._intake.case(BisectionRequest.model_validate({**row.request, "snippet": snippet}))
            session = _Session(self._parts(), bisection_id, case, listener or Silent(), stop or threading.Event())
            finished = session.run()
        except TfbisectError as error:
            finished = Finished("failed", None, problem(error))
        if finished.status == INTERRUPTED:
            self._store.requeue(bisection_id, self.owner)
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
            raise ValueError(f"{finished.status} is no end of a bisection")
        told = [("verdict", finished.verdict)] if finished.verdict is not None else []
        self._store.finish(
            bisection_id,
            finished.status,
            finished.verdict,
            finished.error,
            owner=self.owner,
            events=[*before, *told, ("end", ending)],
        )

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
            known = self._recall_first(case, progress, step)
            if known is None:
                return False
            progress.add(known)
        return True

    def _parts(self) -> Parts:
        return Parts(self._store, self._laboratory, self._executor, self._workers, self.owner)

    def _recall_first(self, case: Case, progress: Progress, step: NextRuns) -> Measurement | None:
        """Answer the most valuable question of a step from the store."""
        release = step.runs[0].release
        return self._laboratory.recall(Question(case, progress.track, release, progress.next_repeat(release)))


@dataclass(frozen=True)
class Parts:
    """What a session works with."""

    store: Store
    laboratory: Laboratory
    executor: Executor
    workers: int
    owner: str


class _Session:
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
        if not isinstance(step, NextRuns):
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
        for future in finished:
            question = self._running.pop(future)
            progress = self._tracks[question.track.name]
            progress.running[question.release] -= 1
            self._take(progress, future.result())

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


def observation_event(measurement: Measurement) -> dict[str, Any]:
    """Say an answer in JSON, as the event stream and the API carry it."""
    report = measurement.report
    return {
        "release": measurement.release,
        "variant": measurement.track,
        **answer_json(measurement.answer),
        "reused": measurement.reused,
        "observation": measurement.observation_id,
        "ending": report.ending,
        "runner": report.runner,
        "seconds": dict(report.seconds),
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """Say what a run means in JSON: its kind, and the outcome or the reason."""
    match answer:
        case Outcome(label=label, detail=detail):
            return {"answer": "outcome", "outcome": label, "reason": detail}
        case Untestable(reason=reason):
            return {"answer": "untestable", "outcome": None, "reason": reason}
        case Refused(message=message):
            return {"answer": "refused", "outcome": None, "reason": message}
        case Lost(reason=reason):
            return {"answer": "lost", "outcome": None, "reason": reason}


def conclude(case: Case, bisection_id: str, tracks: Sequence[Progress], status: Ending) -> Finished:
    """State the verdict of what is known."""
    subject = next(progress for progress in tracks if progress.track.name == SUBJECT)
    verdict = current_verdict(case.tree, subject.answers, case.policy)
    fault = no_verdict(verdict, subject) if status == DONE else None
    ending: Ending = "failed" if fault else status
    said = _verdict_json(case, bisection_id, subject, verdict, ending)
    others = [progress for progress in tracks if progress is not subject]
    if others:
        said["variants"] = [_variant_json(case, bisection_id, verdict, progress, ending) for progress in others]
        said["runs"] = {name: sum(getattr(progress, name) for progress in tracks) for name in said["runs"]}
    if subject.before_filling is not None:
        before = _verdict_json(case, bisection_id, subject, subject.before_filling, ending)
        said["filling_changed"] = list(differences(before, said))
    return Finished(ending, said, problem(fault) if fault else None)


def _variant_json(
    case: Case, bisection_id: str, subject: Verdict, progress: Progress, status: Ending
) -> dict[str, Any]:
    """Say in JSON what a variant shows: its own verdict, and how it compares."""
    name = progress.track.name
    verdict = current_verdict(case.tree, progress.answers, case.policy)
    comparison = compare(name, subject, verdict)
    advice = cure_in_words(name) if name in VARIANTS else ""
    return {
        "name": name,
        "effect": comparison.effect,
        "wrong": list(comparison.wrong),
        "words": in_words(comparison, verdict, advice),
        "verdict": _verdict_json(case, bisection_id, progress, verdict, status),
    }


def no_verdict(verdict: Verdict, progress: Progress) -> TfbisectError | None:
    """Say why what is known is no verdict, or None where it is one."""
    match verdict:
        case NothingTestable(gaps=gaps):
            refused = [gap for gap in gaps if gap.kind == "refused"]
            if refused:
                return SnippetError(refused[0].reason, field="snippet")
            return NoAnswer(words.one_line(verdict) + _reasons(verdict))
        case Unchanged(outcome=outcome) if outcome.startswith(("raises:", "exits:")) and verdict.coverage.measured > 1:
            return SnippetError(_fails_everywhere(outcome, progress), field="snippet")
        case _:
            return None


def _reasons(verdict: NothingTestable) -> str:
    """Name each reason once, with how many releases gave it."""
    counted = Counter(gap.reason for gap in verdict.gaps)
    return "".join(f" {number} of {len(verdict.gaps)}: {reason}" for reason, number in counted.most_common(3))


def _fails_everywhere(outcome: str, progress: Progress) -> str:
    """Say that the snippet is at fault, with what it failed by."""
    detail = next(
        (answer.detail for answers in progress.answers.values() for answer in answers if isinstance(answer, Outcome)),
        "",
    )
    return (
        f"the snippet fails in every release that was tried ({outcome}), so it says nothing about any of them; "
        f"mend it and submit again. It said: {detail or 'nothing'}"
    )


def _verdict_json(
    case: Case, bisection_id: str, progress: Progress, verdict: Verdict, status: Ending
) -> dict[str, Any]:
    """Say a verdict in the contract's JSON."""
    facts = VerdictFacts(
        id=bisection_id,
        status=status,
        package=case.request.package,
        hardware=case.request.hardware,
        runner="+".join(sorted(progress.runners)) or "none",
        probe=case.probe.name,
        probe_digest=case.probe.digest,
        snippet_digest=text_digest(progress.track.snippet),
        executed=progress.executed,
        reused=progress.reused,
        lost=progress.lost,
        options=_options(case),
        absent=case.absent,
    )
    return to_json(verdict, facts)


def _options(case: Case) -> tuple[str, ...]:
    """Return the command-line options that ask the same question again."""
    shape = case.request.input_shape
    given = [f"--set={name}={json.dumps(value)}" for name, value in sorted(case.request.parameters.items())]
    return (*(("--input-shape", ",".join(map(str, shape))) if shape else ()), *given)


def problem(error: TfbisectError) -> dict[str, Any]:
    """Say an error in JSON, as the store keeps it."""
    return {
        "type": type(error).__name__,
        "title": error.title,
        "detail": error.message,
        "field": error.field,
        "line": error.line,
        "exit_code": error.exit_code,
    }
