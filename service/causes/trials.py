"""Runs one hypothesis, or takes its answer from the store: a release whose functions have other texts.

A run is stored under the digest of all that its answer depends on, and the same key never runs twice.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from service.bisection.aspects import LOOKS
from service.bisection.bridges import OTHER_SIDE, Shown, Side
from service.bisection.outcomes import Answer, Outcome, RunReport, classify
from service.catalog.probes import composed
from service.catalog.targets import Target
from service.causes.places import ChangePlace
from service.coordination.bridging import shown_by
from service.coordination.intake import Projects, no_projects
from service.coordination.laboratory import UNKEPT, Execute, Measurement
from service.errors import Unavailable
from service.execution.runner import RunRequest
from service.json_text import digest_of, text_digest
from service.resources import resource_dir
from service.storage.store import Store
from service.storage.ulid import new_ulid

PARTS = ("tracing", "donors", "swapping")
MOST_LOST = 3
TRACED_TIMES = 4.0
"""How much longer a run may take whose calls are noted."""
STOPPED = "stopped before it was done"
TRIAL = "trial"
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")


class RunsFail(Unavailable):
    title = "Runs fail"


def worker_source(probe_source: str, probes: Path | None = None) -> str:
    """Return the program that runs a probe while functions have other texts."""
    folder = (probes or resource_dir("probes")) / "why"
    program = composed(folder / "probe.py", [folder / f"why_{name}.py" for name in PARTS])
    return f"PROBE = {probe_source!r}\n{program}"


@dataclass(frozen=True)
class Trial:
    """What one run does otherwise than the release by itself."""

    side: Side
    definitions: tuple[str, ...] = ()
    """Ids of the definitions with the text of the other side, sorted."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What the worker is asked: see probes/why/probe.py; follows from the rest, and is not part of the key."""
    traces: bool = False
    fresh: int = 0
    """Trials with the same number share a container; another number is another one."""
    variables: tuple[tuple[str, str], ...] = ()
    """Variables of the environment before the import."""
    switches: tuple[str, ...] = ()
    """Lines of Python before the snippet."""
    snippet: str = ""
    """In place of the snippet; "": as it is."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """In addition to those of the track."""


@dataclass(frozen=True)
class Shows:
    """What a trial showed."""

    like: Shown
    """Whose behaviour; `cannot`: none that can be compared."""
    reports: tuple[RunReport, ...]
    """As the probe answered."""
    told: tuple[Mapping[str, Any], ...]
    """What the worker said of each run."""

    @property
    def traceback(self) -> str:
        """Return what was raised in the first run, if anything; untrusted."""
        return next(filter(None, map(traceback_of, self.reports)), "")


class Trials:
    """The runs of one explanation."""

    def __init__(
        self,
        store: Store,
        execute: Execute,
        end: Callable[[str], None],
        place: ChangePlace,
        *,
        timeout_seconds: float,
        projects: Projects = no_projects,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Make them.

        Args:
            store: keeps the runs.
            execute: runs a probe.
            end: ends the processes that wait under a name.
            place: the change.
            timeout_seconds: of one run, if the request has none.
            projects: returns the files of a project.
            cancelled: set: stop soon.
        """
        self._store = store
        self._execute = execute
        self._end = end
        self._place = place
        self._timeout_seconds = place.case.request.timeout_seconds or timeout_seconds
        self._projects = projects
        self.cancelled = cancelled or threading.Event()
        self.executed = 0
        """Runs that were made, those from the store left out."""
        self.used = 0
        """Runs that were made or taken from the store."""
        track = place.crossing.progress.track
        self._track = track
        self._source = worker_source(track.probe.probe_source)
        self._worker = text_digest(self._source)
        self._names: set[str] = set()

    @property
    def looks(self) -> int:
        """Return how many runs tell what a trial shows: with several aspects, what wavers needs two."""
        return 1 if self._track.probe.aspects is None else LOOKS

    def shows(self, trial: Trial) -> Shows:
        """Return what a trial shows.

        Raises:
            RunsFail: runs are lost again and again, or this was cancelled.
        """
        crossing = self._place.crossing
        raw = [self._run(trial, 0)]
        # An error that neither side raises is no behaviour of either, whatever the second run shows.
        if traceback_of(unwrapped(raw[0])[0]) and not any(map(traceback_of, crossing.reports.values())):
            raw *= self.looks
        raw += [self._run(trial, repeat) for repeat in range(len(raw), self.looks)]
        reports, told = zip(*map(unwrapped, raw), strict=True)
        release = crossing.release(trial.side)
        measured = [
            Measurement(TRIAL, release, classify(report, self._track.judge), report, reused=True) for report in reports
        ]
        like = shown_by(crossing, measured * (LOOKS // self.looks)) or "cannot"
        if any(like == side and not self._is_told_alike(side, measured) for side in OTHER_SIDE):
            like = "neither"
        return Shows(like, tuple(reports), tuple(told))

    def _is_told_alike(self, side: Side, measured: Sequence[Measurement]) -> bool:
        """Say whether a named outcome came about as on that side, as far as its words say: numbers aside.

        Dropout that is lost in train_on_batch alone has the label of one that is lost in fit as well.
        """
        progress = self._place.crossing.progress
        if self._track.probe.aspects is not None:
            return True
        known = {frame_of(each) for each in progress.answers.get(self._place.crossing.release(side), ())}
        return all(frame_of(each.answer) in known for each in measured)

    def end(self) -> None:
        """End the containers that wait."""
        for name in self._names:
            self._end(name)

    def _run(self, trial: Trial, repeat: int) -> RunReport:
        identity = self._identity(trial)
        key = digest_of(identity)
        self.used += 1
        known = self._store.hypothesis_run(key, repeat)
        if known is not None:
            return known
        report = self._executed(trial, repeat)
        self.executed += 1
        self._store.append_hypothesis_run(self._place.key, key, repeat, identity, report)
        return report

    def _executed(self, trial: Trial, repeat: int) -> RunReport:
        report = RunReport("lost", STOPPED)
        for _ in range(MOST_LOST):
            if self.cancelled.is_set():
                break
            try:
                report = self._execute(self._request(trial, repeat), self.cancelled)
            except Unavailable as error:
                report = RunReport("lost", error.message)
            if report.ending not in UNKEPT - {"timed-out"}:
                return report
        raise RunsFail(STOPPED if self.cancelled.is_set() else report.reason or report.ending)

    def _identity(self, trial: Trial) -> dict[str, Any]:
        """Return all that the answer depends on."""
        return {
            **self._place.identity,
            "worker": self._worker,
            "side": trial.side,
            "definitions": list(trial.definitions),
            "traces": trial.traces,
            "fresh": trial.fresh,
            "variables": [list(each) for each in trial.variables],
            "switches": list(trial.switches),
            "variant": [text_digest(trial.snippet) if trial.snippet else "", dict(trial.parameters)],
        }

    def _target(self, trial: Trial) -> Target:
        crossing = self._place.crossing
        target = self._place.case.target(crossing.release(trial.side))
        return replace(target, variables=(*target.variables, *trial.variables)) if trial.variables else target

    def _request(self, trial: Trial, repeat: int) -> RunRequest:
        case, track = self._place.case, self._track
        # Runs that have the same number share an import, those of other explanations never do.
        name = f"why-{self._place.key[7:31]}-{trial.fresh}"
        self._names.add(name)
        seed = {} if track.probe.aspects is None or track.asked.get("seed") else {"seed": repeat + 1}
        asked = {**trial.asked, "switches": list(trial.switches), "traces": trial.traces}
        return RunRequest(
            run_id=new_ulid(),
            target=self._target(trial),
            harness_source=track.probe.harness_source,
            probe_source=self._source,
            framework=track.framework,
            snippet=trial.snippet or track.snippet,
            parameters={**track.asked, **seed, **trial.parameters, "why": asked},
            timeout_seconds=self._timeout_seconds * (TRACED_TIMES if trial.traces else 1.0),
            files=self._projects(case.request.project).sent if case.request.project else {},
            bisection_id=name,
            process=trial.fresh % 2,
        )


def frame_of(answer: Answer) -> tuple[str, str]:
    """Return an outcome's label and the words of its detail, without the numbers."""
    if not isinstance(answer, Outcome):
        return "", ""
    return answer.label, NUMBER.sub("#", answer.detail)


def unwrapped(report: RunReport) -> tuple[RunReport, Mapping[str, Any]]:
    """Return a worker's report as the probe's own, and what the worker said; all of it is untrusted."""
    result = report.result
    measured = result.get("measurements") if isinstance(result, Mapping) else None
    if not isinstance(result, Mapping) or result.get("kind") != "measured" or not isinstance(measured, Mapping):
        return report, {}
    answer, told = measured.get("answer"), measured.get("why")
    if not isinstance(answer, Mapping):
        answer = {"kind": "untestable", "message": "the worker handed over no answer"}
    return replace(report, result=answer), told if isinstance(told, Mapping) else {}


def traceback_of(report: RunReport) -> str:
    """Return what a run raised, with its traceback; "" if it raised nothing."""
    if report.ending == "signalled":
        return report.reason or "signal"
    result = report.result or {}
    measured = result.get("measurements")
    raised = result if result.get("kind") == "raised" else None
    if raised is None and isinstance(measured, Mapping):
        raised = measured.get("raised")
    if not isinstance(raised, Mapping):
        return ""
    return f"{raised.get('traceback', '')}\n{raised.get('exception', '')}: {raised.get('message', '')}"
