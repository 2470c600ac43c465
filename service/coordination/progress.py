"""What a running bisection knows, and who listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from service.bisection.aspects import AspectSearch, RunFacts, search
from service.bisection.facts import Aspects, facts_of
from service.bisection.findings import with_causes
from service.bisection.outcomes import Answer, Lost, RunReport
from service.bisection.planner import NextRuns, PlannedRun, Policy, current_verdict, plan
from service.bisection.verdict import Change, ChangeCause, Verdict, changes_of
from service.coordination.intake import Case, Track
from service.coordination.laboratory import Measurement, measurement_of
from service.storage.records import LinkedObservation


class Listener(Protocol):
    """Listens to a bisection in this process, such as a terminal. Other processes read the store's events."""

    def started(self, case: Case) -> None:
        """The request is ready and planning begins."""

    def running(self, track: str, release: str) -> None:
        """A question was sent to a worker."""

    def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
        """An answer arrived."""


class Silent:
    """A listener that ignores everything."""

    def started(self, case: Case) -> None:
        """Do nothing."""

    def running(self, track: str, release: str) -> None:
        """Do nothing."""

    def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
        """Do nothing."""


@dataclass
class Progress:
    """What one track knows so far."""

    case: Case
    track: Track
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    taken: list[Measurement] = field(default_factory=list)
    """Every measurement, in order of arrival."""
    kept: dict[str, int] = field(default_factory=dict)
    """How many answers of a release are stored observations."""
    running: dict[str, int] = field(default_factory=dict)
    executed: int = 0
    reused: int = 0
    lost: int = 0
    facts: dict[int, Aspects] = field(default_factory=dict)
    """The facts of each report, by its id: rereading them all after each answer is slow."""
    runners: set[str] = field(default_factory=set)
    before_filling: Verdict | None = None
    """The verdict before inferred releases were measured too; None if none were."""
    causes: dict[str, dict[tuple[str, str], ChangeCause]] = field(default_factory=dict)
    """What changes come from: by aspect ("" without aspects), then by the releases before and after."""
    _step: NextRuns | Verdict | None = None
    _search: AspectSearch | None = None

    @property
    def policy(self) -> Policy:
        """Return the policy of this track; the expected outcomes come from its probe."""
        return replace(self.case.policy, expected=self.track.expected)

    @property
    def step(self) -> NextRuns | Verdict:
        """Return the planner's result for the answers so far; computed once per answer."""
        if self._step is None and (found := self.search) is not None:
            self._step = found.next or found.aspects[0].verdict
        if self._step is None:
            self._step = plan(self.case.tree, self.answers, self.policy)
            if isinstance(self._step, NextRuns):
                self.before_filling = self.before_filling or self._step.settled
        return self._step

    @property
    def search(self) -> AspectSearch | None:
        """Return what is known of each aspect; None for a probe without aspects."""
        read = self.track.probe.aspects
        if self._search is None and read is not None:
            self._search = search(self.case.tree, self.runs, self.policy)
        return self._search

    @property
    def runs(self) -> dict[str, list[RunFacts]]:
        """Return the runs of each release with their facts; none for a probe without aspects."""
        runs: dict[str, list[RunFacts]] = {}
        if (read := self.track.probe.aspects) is not None:
            for measurement in self.taken:
                facts = self.facts.setdefault(id(measurement.report), facts_of(measurement.report, read))
                runs.setdefault(measurement.release, []).append(RunFacts(measurement.answer, facts))
        return runs

    @property
    def verdict(self) -> Verdict:
        """Return the verdict so far; with several aspects, the verdict on how runs end."""
        return with_causes(self._found, self.causes.get("", {}))

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return the changes so far, without their causes."""
        return changes_of(self._found)

    @property
    def _found(self) -> Verdict:
        if self._step is not None and not isinstance(self._step, NextRuns):
            return self._step
        if (found := self.search) is not None:
            return found.aspects[0].verdict
        return current_verdict(self.case.tree, self.answers, self.policy)

    def add(self, measurement: Measurement) -> None:
        self._step = self._search = None
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

    @property
    def reports(self) -> dict[str, RunReport]:
        """Return the last run of each release."""
        return {measurement.release: measurement.report for measurement in self.taken}

    @property
    def done(self) -> int:
        return len(self.taken)

    @property
    def planned_at_least(self) -> int:
        """Return how many more runs are needed, whatever their answers."""
        return self.step.planned_at_least if isinstance(self.step, NextRuns) else 0

    def wanted(self) -> list[PlannedRun]:
        """Return the planned runs that have not started."""
        if not isinstance(self.step, NextRuns):
            return []
        wanted: list[PlannedRun] = []
        claimed: Counter[str] = Counter()
        # Idle workers start early on runs that are needed in any case.
        for run in (*self.step.runs, *self.step.then):
            if claimed[run.release] >= self.running.get(run.release, 0):
                wanted.append(run)
            claimed[run.release] += 1
        return wanted


def progress_of(case: Case, linked: Iterable[LinkedObservation]) -> list[Progress]:
    """Return what the tracks of a bisection know from its stored observations."""
    tracks = {track.name: Progress(case, track) for track in case.tracks}
    for one in linked:
        if one.variant in tracks:
            progress = tracks[one.variant]
            progress.add(measurement_of(one, progress.track.judge))
    return list(tracks.values())
