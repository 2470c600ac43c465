"""Gets one answer about one release: from the store if possible, otherwise from a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import structlog

from service.bisection.aspects import LOOKS
from service.bisection.outcomes import Answer, Judge, Lost, RunReport, Untestable, classify
from service.catalog.environments import Environment, Environments
from service.catalog.targets import Hold, Target
from service.coordination.intake import Case, Projects, Track, no_projects
from service.coordination.patience import Outage, Patience, patiently
from service.errors import ReleaseUntestable, TfbisectError, Unavailable
from service.execution.runner import RunRequest
from service.json_text import text_digest
from service.storage.observations import observation_key
from service.storage.records import LinkedObservation, ObservationIdentity, StoredObservation
from service.storage.store import Store
from service.storage.ulid import new_ulid

Execute = Callable[[RunRequest, threading.Event], RunReport]
"""Runs a probe: a local runner, or an executor that sends the request to a runner elsewhere."""

Warm = Callable[[Target, str, int], None]
"""Prepares a release in the n-th process of a bisection, up to the import of the framework."""

Expect = Callable[[str, Sequence[tuple[Target, int]]], None]
"""Is told what a bisection asks next: releases, each with the process that answers."""

End = Callable[[str], None]
"""Ends the processes that wait for further questions of a bisection."""

PROCESSES = 2
"""Answers of one release come from this many processes in turn, each with its own hash seed: effects of hash order or
address layout show, and every further answer costs a fork instead of an import."""

EngineProblem = Callable[[], str | None]

log = structlog.get_logger()
T = TypeVar("T")

UNKEPT = frozenset({"lost", "timed-out", "unprepared"})
"""Endings that are not stored: infrastructure, limits and the index may differ next time."""


@dataclass(frozen=True)
class Question:
    """A question about one release, asked by one track for the n-th time."""

    case: Case
    track: Track
    release: str
    repeat: int
    """Which stored observation answers it, 0-based: bisections that ask the same question share its n-th answer."""
    bisection: str = ""
    """The bisection that asks; processes are kept for its further questions."""
    hold: Hold = field(default_factory=Hold)
    """What a bridge takes from another release's environment."""

    @property
    def process(self) -> int:
        """Return which process of the bisection answers: the answers of a release alternate between processes."""
        # With aspects, the first runs, which differ in seed, fork from one import; those that confirm, from another.
        turn = self.repeat if self.track.probe.aspects is None else self.repeat // LOOKS
        return turn % PROCESSES

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return the probe's parameters; runs whose facts are compared as samples each get a seed.

        The seed follows from the repeat and is not part of the key of the stored answer.
        """
        given = self.track.asked
        if self.track.probe.aspects is None or given.get("seed"):
            return given
        return {**given, "seed": self.repeat + 1}

    @property
    def target(self) -> Target:
        target = self.case.target(self.release)
        return replace(target, hold=self.hold) if self.hold else target

    def identity(self, environment: Environment) -> ObservationIdentity:
        """Return everything that the answer depends on."""
        return ObservationIdentity(
            package=self.target.package,
            release=self.release,
            hardware=self.target.hardware,
            environment=environment.digest,
            probe=self.track.probe.digest,
            snippet=text_digest(self.track.snippet),
            parameters=self.track.keyed,
        )


@dataclass(frozen=True)
class Measurement:
    """One answer that a bisection got."""

    track: str
    release: str
    answer: Answer
    report: RunReport
    reused: bool
    observation_id: str | None = None
    """None if nothing was stored: infrastructure and time limits say nothing about the release."""


class Laboratory:
    """Answers questions; safe to call from several threads at once."""

    def __init__(
        self,
        store: Store,
        environments: Environments,
        execute: Execute,
        timeout_seconds: float,
        warm: Warm,
        *,
        expect: Expect = lambda _bisection, _wanted: None,
        end: End = lambda _bisection: None,
        engine_problem: EngineProblem = lambda: None,
        projects: Projects = no_projects,
        patience: Patience | None = None,
        bridges: bool = False,
    ) -> None:
        """Make a laboratory.

        Args:
            store: holds the observations.
            environments: resolves releases.
            execute: runs a probe.
            timeout_seconds: of one run, if the request has none.
            warm: prepares a release for one more run.
            expect: is told what a bisection asks next.
            end: ends the processes that wait for further questions of a bisection.
            projects: returns the files of a project by its digest.
            engine_problem: returns why nothing can run now, or None; called after a lost run.
            patience: how long to wait for an engine, an index or a database that does not respond.
            bridges: whether releases are run in each other's environments to find out what a change comes from.
        """
        self.bridges = bridges
        self._store = store
        self._engine_problem = engine_problem
        self._projects = projects
        self._patience = patience or Patience()
        self._engine, self._index = Outage(self._patience), Outage(self._patience)
        self._environments = environments
        self._execute = execute
        self._warm = warm
        self._expect = expect
        self._end = end
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._asking: dict[tuple[str, int], tuple[threading.Lock, int]] = {}
        self._resolved: dict[str, dict[Target, Environment]] = {}
        """By bisection: its environments. If one changed meanwhile, the answers would not be comparable."""

    def recall(self, questions: Iterable[Question]) -> list[Measurement]:
        """Answer from stored observations only, without network or containers.

        Unknown answers are left out, with all later repeats: a second answer without a first would be wrong.
        """
        asked = [question for question in questions if not question.case.request.fresh]
        environments = self._environments.known_of({question.target for question in asked})
        keyed = [
            (question, observation_key(question.identity(environments[question.target])))
            for question in asked
            if question.target in environments
        ]
        # One query for all: separate queries took most of the time of a submission.
        found = self._store.observations([key for _, key in keyed])
        stored = {(each.key, each.repeat): each for several in found.values() for each in several}
        known = [_unstored(question, _unprepared(why)) for question in asked if (why := self._conflict(question))]
        unknown: set[str] = set()
        for question, key in keyed:
            observation = None if key in unknown else stored.get((key, question.repeat))
            if observation is None:
                unknown.add(key)
            else:
                known.append(_measurement(question, observation, reused=True))
        return known

    def _conflict(self, question: Question) -> str:
        """Return why a bridge is known to be impossible; "" where it is possible, or nobody tried."""
        return self._environments.known_failure(question.target) if question.hold else ""

    def cutoff(self, target: Target) -> datetime | None:
        """Return the day that a target's packages were resolved as of, where they were."""
        known = self._environments.known(target)
        return None if known is None else known.cutoff

    def is_known_to_resolve(self, target: Target) -> bool | None:
        """Say whether the packages of a target go together, as far as that is known; asks nobody."""
        if self._environments.known_failure(target):
            return False
        return True if self._environments.known(target) is not None else None

    def can_resolve(self, target: Target) -> bool:
        """Say whether the packages of a target go together.

        Raises:
            Unavailable: the index does not answer.
        """
        try:
            self._environments.resolve(target)
        except ReleaseUntestable:
            return False
        return True

    def problem(self) -> str | None:
        """Return what questions wait for because it does not respond; None if nothing."""
        return self._engine.problem or self._index.problem

    def measure(self, question: Question, cancelled: threading.Event) -> Measurement:
        """Answer from the store or by a run; wait for the engine while patience lasts.

        Never raises for what a release, a snippet, an index or an engine does.

        Raises:
            StoreError: the database did not respond within the patience.
        """
        while True:
            measurement, outage, problem = self._try(question, cancelled)
            if outage is None or problem is None:
                return measurement
            while problem is not None:
                if cancelled.is_set() or not outage.wait(problem, cancelled):
                    return measurement
                # Looked at before another run is lost to it.
                problem = self._engine_problem() if outage is self._engine else None

    def _try(self, question: Question, cancelled: threading.Event) -> tuple[Measurement, Outage | None, str | None]:
        """Answer once; if something does not respond, return what, and the message."""
        try:
            environment = self._environment(question)
        except ReleaseUntestable as error:
            return _unstored(question, _unprepared(error.message)), None, None
        except Unavailable as error:
            return _unstored(question, RunReport(ending="lost", reason=error.message)), self._index, error.message
        self._index.over()
        measurement = self._ask(question, environment, cancelled)
        if not isinstance(measurement.answer, Lost):
            if not measurement.reused:
                self._engine.over()
            return measurement, None, None
        if cancelled.is_set():
            return measurement, None, None
        problem = self._engine_problem()
        if problem is None:
            self._engine.over()
            # Only this run was lost: the planner asks again, but not immediately.
            cancelled.wait(self._patience.pause_seconds(1))
        return measurement, self._engine, problem

    def _ask(self, question: Question, environment: Environment, cancelled: threading.Event) -> Measurement:
        """Answer from the store, otherwise by one run."""
        identity = question.identity(environment)
        # If two bisections ask the same at once, the second waits for the first and reuses its answer.
        with self._one_at_a_time(observation_key(identity), question.repeat):
            known = None if question.case.request.fresh else self._recall(question, identity, cancelled)
            return known or self._run(question, environment, identity, cancelled)

    def warm(self, question: Question, process: int) -> None:
        """Prepare the release of a question in another process. Never raises: the run reports any problem."""
        with suppress(TfbisectError):
            self._warm(question.target, question.track.framework, process)

    def expect(self, bisection: str, questions: Iterable[Question]) -> None:
        """Announce what a bisection asks next, in that order."""
        self._expect(bisection, [(question.target, question.process) for question in questions])

    def end(self, bisection: str) -> None:
        """End the processes that wait for further questions of a bisection."""
        self._resolved.pop(bisection, None)
        self._end(bisection)

    def _environment(self, question: Question) -> Environment:
        """Return the environment of a question: the same one for all questions of a bisection about a release."""
        known = self._resolved.setdefault(question.bisection, {}) if question.bisection else {}
        environment = known.get(question.target)
        if environment is None:
            environment = known[question.target] = self._environments.resolve(question.target)
        return environment

    @contextmanager
    def _one_at_a_time(self, key: str, repeat: int) -> Iterator[None]:
        """Hold the right to run one question."""
        with self._lock:
            holder, waiting = self._asking.get((key, repeat), (threading.Lock(), 0))
            self._asking[key, repeat] = holder, waiting + 1
        try:
            with holder:
                yield
        finally:
            with self._lock:
                holder, waiting = self._asking.pop((key, repeat))
                if waiting > 1:
                    self._asking[key, repeat] = holder, waiting - 1

    def _run(
        self, question: Question, environment: Environment, identity: ObservationIdentity, cancelled: threading.Event
    ) -> Measurement:
        """Run the probe once and append what happened."""
        try:
            report = self._execute(self._request(question, environment), cancelled)
        except Unavailable as error:
            report = RunReport("lost", error.message)
        if report.ending in UNKEPT:
            return _unstored(question, report)
        # A new observation goes after all stored ones; its id prevents a second append.
        repeat, own = None if question.case.request.fresh else question.repeat, new_ulid()
        append = partial(self._store.append_observation, identity, repeat, report, observation_id=own)
        return _measurement(question, self._patiently(append, cancelled), reused=False)

    def _recall(
        self, question: Question, identity: ObservationIdentity, cancelled: threading.Event
    ) -> Measurement | None:
        """Return the stored observation with this key and repeat."""
        key = observation_key(identity)
        stored = self._patiently(lambda: self._store.observation(key, question.repeat), cancelled)
        return None if stored is None else _measurement(question, stored, reused=True)

    def _patiently(self, work: Callable[[], T], cancelled: threading.Event) -> T:
        return patiently(work, self._patience, cancelled, "keep an observation")

    def _request(self, question: Question, environment: Environment) -> RunRequest:
        """Return the request to the runner for a question."""
        case = question.case
        return RunRequest(
            run_id=new_ulid(),
            target=question.target,
            harness_source=question.track.probe.harness_source,
            probe_source=question.track.probe.probe_source,
            framework=question.track.framework,
            snippet=question.track.snippet,
            parameters=question.parameters,
            timeout_seconds=case.request.timeout_seconds or self._timeout_seconds,
            files=self._projects(case.request.project).sent if case.request.project else {},
            bisection_id=question.bisection,
            process=question.process,
            environment=environment,
        )


def _unprepared(reason: str) -> RunReport:
    return RunReport(ending="unprepared", reason=reason)


def measurement_of(linked: LinkedObservation, judge: Judge) -> Measurement:
    report = linked.observation.report
    release, observation_id = linked.observation.identity.release, linked.observation.id
    answer = _meaning(report, judge, release)
    return Measurement(linked.variant, release, answer, report, linked.reused, observation_id)


def _meaning(report: RunReport, judge: Judge, release: str) -> Answer:
    """Return what a run means; if the judge fails on its result, that is our mistake and is logged."""
    answer = classify(report, judge)
    if isinstance(answer, Untestable) and answer.fault:
        log.error("judge.failed", judge=judge.__module__, release=release, fault=answer.fault)
    return answer


def _measurement(question: Question, stored: StoredObservation, *, reused: bool) -> Measurement:
    """Return the meaning of a stored observation; derived each time, never stored."""
    return Measurement(
        track=question.track.name,
        release=question.release,
        answer=_meaning(stored.report, question.track.judge, question.release),
        report=stored.report,
        reused=reused,
        observation_id=stored.id,
    )


def _unstored(question: Question, report: RunReport) -> Measurement:
    """Return an answer that counts for this bisection only."""
    answer = _meaning(report, question.track.judge, question.release)
    return Measurement(question.track.name, question.release, answer, report, reused=False)
