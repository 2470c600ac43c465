"""From what happened in a run to what it means.

What happened (RunReport) and what it means (Answer) are two types: facts are stored once and for all, meaning is
derived from them each time they are read, so that a better rule can read old facts again.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from service.bisection.untrusted import brief

Ending = Literal["answered", "exited", "signalled", "out-of-memory", "timed-out", "output-flood", "unprepared", "lost"]
"""How a run ended.

answered: the harness handed over its one result. exited, signalled: the process ended without one.
unprepared: the release's environment could not be made (`reason` says why). lost: infrastructure failed; says nothing
about the release and is retried.
"""


@dataclass(frozen=True)
class RunReport:
    """The facts of one run, as a runner saw them. Everything under `result` and `output` is untrusted."""

    ending: Ending
    reason: str = ""
    """Why, where the ending is unprepared, lost, timed-out, out-of-memory or output-flood; for people."""
    result: Mapping[str, Any] | None = None
    """The harness's one result: {"kind": "measured"|"raised"|"refused"|"untestable", …}; see probes/README.md."""
    exit_code: int | None = None
    signal: int | None = None
    output: str = ""
    """What the snippet printed (standard output and error), bounded; the middle is cut."""
    runner: str = ""
    """"docker" or "local"."""
    image: str = ""
    """Image id (sha256:…) or the environment's folder name."""
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Installed packages: name -> version."""
    device: str = ""
    """The device that really ran: "cpu", or the accelerator's name."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Durations by step: prepare, start, import, probe, total."""
    missing_protections: tuple[str, ...] = ()
    """Protections that this runner could not give, such as "no network namespace"."""
    hopeless: bool = False
    """Lost for a reason that the next try would meet too, such as a full disk."""
    process: str = ""
    """Answers with the same word come from one process, and share its import, hash order and address layout."""
    forked: bool = False
    """Whether a child of that process answered."""
    hash_seed: int = 0
    """The process's PYTHONHASHSEED."""


Value = bool | int | float | str | None


@dataclass(frozen=True)
class Reported:
    """Values that a release is compared with others by: those within the tolerance are one behaviour."""

    values: tuple[tuple[str, Value], ...]
    """By name; whatever is no number is compared exactly."""
    tolerance: float
    """Relative."""


@dataclass(frozen=True)
class Outcome:
    """A behaviour of a release, by its label."""

    label: str
    detail: str = ""
    reported: Reported | None = None
    """What the label stands for, where closeness decides and not the label; see likeness.py."""
    process: str = field(default="", compare=False)
    """Which process gave it; see RunReport. "": one of its own."""


@dataclass(frozen=True)
class Untestable:
    """The release cannot answer, for this reason."""

    reason: str
    fault: str = field(default="", compare=False)
    """The traceback of a probe's rule that broke on this result, for the log: a mistake of ours. Empty: none did."""


@dataclass(frozen=True)
class Refused:
    """The snippet itself is at fault (no model in it, no dropout layer, …); says nothing about the release."""

    message: str
    line: int | None = None
    raised: str = ""
    """The exception that says so; where another release answers it is a behaviour after all. Empty: none."""


@dataclass(frozen=True)
class Lost:
    """Infrastructure failed; says nothing about the release and is retried."""

    reason: str
    hopeless: bool = False
    """The next try would meet the same: it is not made."""


Answer = Outcome | Untestable | Refused | Lost
CANNOT_ANSWER = 125
"""The exit code by which a script says so, as for `git bisect run`."""
RULE_FAILED = "the probe's rule failed on this result"
FAULT_CHARACTERS = 4000
NAME_CHARACTERS = 200
MESSAGE_CHARACTERS = 4000
"""The harness cuts at half of that: only what was forged is longer."""
Judge = Callable[[Mapping[str, Any]], Answer]
"""A probe's own rule: measurements -> Answer. Pure, total, tolerant of missing keys (measurements are untrusted).

Called by `classify` alone, which reads a result for every room.
"""


def is_failure(label: str) -> bool:
    """Say whether an outcome means that the snippet broke off: it raised, was killed, or left without an answer."""
    return label.startswith(("raises:", "exits:"))


def classify(report: RunReport, judge: Judge) -> Answer:
    """Say what a run means.

    Args:
        report: the facts.
        judge: the probe's rule for a run that measured something.
    """
    answer = _meaning(report, judge)
    return replace(answer, process=report.process) if isinstance(answer, Outcome) else answer


def _meaning(report: RunReport, judge: Judge) -> Answer:
    """Say what a run means, whichever process it came from."""
    match report.ending:
        case "lost":
            return Lost(report.reason, report.hopeless)
        case "unprepared":
            return Untestable(report.reason)
        case "answered" if report.result is not None:
            return _read_result(report.result, judge)
        case "signalled":
            return Outcome(f"raises:signal-{report.signal}", report.reason)
        case "timed-out" | "out-of-memory" | "output-flood":
            # A limit is ours, not the release's behaviour: it cannot answer within these limits.
            return Untestable(report.reason or report.ending)
        case _:
            return _classify_exit(report)


def _classify_exit(report: RunReport) -> Answer:
    """Say what a process means that ended without a result."""
    if report.exit_code == CANNOT_ANSWER:
        return Untestable(f"the process ended with {CANNOT_ANSWER}: it cannot answer here")
    return Outcome(f"exits:{report.exit_code}", report.reason)


def _read_result(result: Mapping[str, Any], judge: Judge) -> Answer:
    """Say what the harness's result means; one that the rule breaks on is as good as none.

    An exception that got out of here would end the bisection without storing what it stumbled over, and the next
    coordinator would run it again, without end.
    """
    try:
        return _classify_result(result, judge)
    except Exception:
        # The end of the trail says where it broke; a snippet can make the values in it long.
        return Untestable(RULE_FAILED, traceback.format_exc()[-FAULT_CHARACTERS:])


def _classify_result(result: Mapping[str, Any], judge: Judge) -> Answer:
    """Say what the harness's result means."""
    match result.get("kind"):
        case "measured":
            measurements = result.get("measurements")
            return judge(measurements if isinstance(measurements, Mapping) else {})
        case "raised":
            name = _text(result.get("exception"), NAME_CHARACTERS) or "Exception"
            return Outcome(f"raises:{name}", _text(result.get("message")))
        case "refused":
            line = result.get("line")
            raised = _text(result.get("exception"), NAME_CHARACTERS)
            return Refused(_text(result.get("message")), line if isinstance(line, int) else None, raised)
        case "untestable":
            return Untestable(_text(result.get("message")) or "no reason given")
        case kind:
            return Untestable(f"the probe answered with an unknown kind of result ({brief(kind)})")


def _text(value: object, characters: int = MESSAGE_CHARACTERS) -> str:
    """Return a text of a result, bounded; what should have been one in short."""
    return "" if value is None else brief(value, characters)
