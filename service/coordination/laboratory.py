"""One answer about one release: from the store if it is there, from a run if not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from service.bisection.outcomes import Answer, Judge, RunReport, Untestable, classify
from service.catalog.environments import Environment, Environments
from service.catalog.targets import Target
from service.coordination.intake import Case, Track
from service.errors import ReleaseUntestable, TfbisectError, Unavailable
from service.execution.runner import RunRequest
from service.storage.json_text import text_digest
from service.storage.observations import observation_key
from service.storage.records import LinkedObservation, ObservationIdentity, StoredObservation
from service.storage.store import Store
from service.storage.ulid import new_ulid

Execute = Callable[[RunRequest, threading.Event], RunReport]
"""Whatever runs a probe: a runner here, or an engine that hands the request to a runner elsewhere."""

Warm = Callable[[Target, str], None]
"""Whatever can have a release ready, its framework imported, for one more run."""

log = structlog.get_logger()

UNKEPT = frozenset({"lost", "timed-out", "unprepared"})
"""Endings that hold for this bisection only: infrastructure, a limit or an index may be another one tomorrow."""


@dataclass(frozen=True)
class Question:
    """What is asked: one release, by one track, for the n-th time."""

    case: Case
    track: Track
    release: str
    repeat: int
    """Which stored observation answers it, 0-based: two bisections that ask the same n-th time share the answer."""

    @property
    def target(self) -> Target:
        """Return what an environment is made for."""
        request = self.case.request
        return Target(request.package, self.release, request.hardware, request.image_source)

    def identity(self, environment: Environment) -> ObservationIdentity:
        """Return all that the answer depends on."""
        return ObservationIdentity(
            package=self.target.package,
            release=self.release,
            hardware=self.target.hardware,
            environment=environment.digest,
            probe=self.case.probe.digest,
            snippet=text_digest(self.track.snippet),
            parameters=self.track.parameters,
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
    """None where nothing was stored, since infrastructure or a time limit says nothing about the release."""


class Laboratory:
    """Answers questions; safe to call from several threads at once."""

    def __init__(
        self, store: Store, environments: Environments, execute: Execute, timeout_seconds: float, warm: Warm
    ) -> None:
        self._store = store
        self._environments = environments
        self._execute = execute
        self._warm = warm
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._asking: dict[tuple[str, int], tuple[threading.Lock, int]] = {}

    def recall(self, questions: Iterable[Question]) -> list[Measurement]:
        """Answer from stored observations alone, with no network and no container.

        What is not known is left out, and so is every later repeat of it: nothing has a second answer but no first.
        """
        asked = [question for question in questions if not question.case.request.fresh]
        environments = self._environments.known_of({question.target for question in asked})
        keyed = [
            (question, observation_key(question.identity(environments[question.target])))
            for question in asked
            if question.target in environments
        ]
        # One query for all: asked for one by one they took most of the time of a submission.
        found = self._store.observations([key for _, key in keyed])
        stored = {(each.key, each.repeat): each for several in found.values() for each in several}
        known: list[Measurement] = []
        unknown: set[str] = set()
        for question, key in keyed:
            observation = None if key in unknown else stored.get((key, question.repeat))
            if observation is None:
                unknown.add(key)
            else:
                known.append(_measurement(question, observation, reused=True))
        return known

    def measure(self, question: Question, cancelled: threading.Event) -> Measurement:
        """Answer from the store, else by a run. Never raises for what a release, a snippet or an engine does."""
        try:
            environment = self._environments.resolve(question.target)
        except ReleaseUntestable as error:
            return _unstored(question, RunReport(ending="unprepared", reason=error.message))
        except Unavailable as error:
            return _unstored(question, RunReport(ending="lost", reason=error.message))
        identity = question.identity(environment)
        # Two bisections that ask the same at the same time: the second waits for the first and takes its answer.
        with self._one_at_a_time(observation_key(identity), question.repeat):
            known = None if question.case.request.fresh else self._recall(question, identity)
            return known or self._run(question, identity, cancelled)

    def warm(self, question: Question) -> None:
        """Have the release of a question ready for another run. Never raises: the run itself says what is wrong."""
        with suppress(TfbisectError):
            self._warm(question.target, question.case.framework)

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

    def _run(self, question: Question, identity: ObservationIdentity, cancelled: threading.Event) -> Measurement:
        """Run the probe once and append what happened."""
        report = self._execute(self._request(question), cancelled)
        if report.ending in UNKEPT:
            return _unstored(question, report)
        stored = self._store.append_observation(identity, self._repeat(question, identity), report)
        return _measurement(question, stored, reused=False)

    def _repeat(self, question: Question, identity: ObservationIdentity) -> int:
        """Return which observation of its kind this becomes; a fresh one comes after all that are stored."""
        if not question.case.request.fresh:
            return question.repeat
        key = observation_key(identity)
        return max((stored.repeat + 1 for stored in self._store.observations([key]).get(key, [])), default=0)

    def _recall(self, question: Question, identity: ObservationIdentity) -> Measurement | None:
        """Return the stored observation of that key and repeat."""
        stored = self._store.observation(observation_key(identity), question.repeat)
        return None if stored is None else _measurement(question, stored, reused=True)

    def _request(self, question: Question) -> RunRequest:
        """Return what a runner needs to know."""
        case = question.case
        return RunRequest(
            run_id=new_ulid(),
            target=question.target,
            harness_source=case.probe.harness_source,
            probe_source=case.probe.probe_source,
            framework=case.framework,
            snippet=question.track.snippet,
            parameters=question.track.parameters,
            timeout_seconds=case.request.timeout_seconds or self._timeout_seconds,
        )


def measurement_of(linked: LinkedObservation, judge: Judge) -> Measurement:
    """Read back an answer that a bisection already has."""
    report = linked.observation.report
    release, observation_id = linked.observation.identity.release, linked.observation.id
    answer = _meaning(report, judge, release)
    return Measurement(linked.variant, release, answer, report, linked.reused, observation_id)


def _meaning(report: RunReport, judge: Judge, release: str) -> Answer:
    """Say what a run means; a rule of a probe that broke on its result is a mistake of ours and is logged."""
    answer = classify(report, judge)
    if isinstance(answer, Untestable) and answer.fault:
        log.error("judge.failed", judge=judge.__module__, release=release, fault=answer.fault)
    return answer


def _measurement(question: Question, stored: StoredObservation, *, reused: bool) -> Measurement:
    """Read a stored observation: the meaning is derived anew each time."""
    return Measurement(
        track=question.track.name,
        release=question.release,
        answer=_meaning(stored.report, question.case.probe.judge, question.release),
        report=stored.report,
        reused=reused,
        observation_id=stored.id,
    )


def _unstored(question: Question, report: RunReport) -> Measurement:
    """Return an answer that holds for this bisection only."""
    answer = _meaning(report, question.case.probe.judge, question.release)
    return Measurement(question.track.name, question.release, answer, report, reused=False)
