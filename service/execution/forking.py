"""Decides whether a child's answer counts, or the question is repeated in a process that was not forked.

A child inherits its parent's state after the import of the framework, but no threads, and locks may be held. So a
crash, a hang or a dead parent may be due to the fork, not the release. A separate process, not forked, then decides.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass

import structlog

from service.bisection.outcomes import RunReport
from service.catalog.targets import Target
from service.execution.conversation import Stop
from service.execution.runner import RunRequest

log = structlog.get_logger()

OF_ITS_OWN = frozenset(
    getattr(signal, f"SIG{name}")
    for name in ("ILL", "TRAP", "ABRT", "BUS", "FPE", "SEGV", "PIPE", "ALRM", "SYS", "XCPU", "XFSZ", "VTALRM", "PROF")
)
"""Signals that the kernel sends a program for its own actions. All others are sent by another process or the script."""


@dataclass(frozen=True)
class Answered:
    """A report, and how its conversation ended."""

    report: RunReport
    stop: Stop
    asked: bool = False
    """Whether the question was sent, that is, the import had ended."""
    over: bool = False
    """Whether the parent closed the question."""


Ending = tuple[str, int | None]


class Forking:
    """What is known of releases whose processes fork; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._proven: set[Target] = set()
        """Children of these have answered."""
        self._start_anew: set[Target] = set()
        """Children of these ended differently from a separate process."""
        self._same: dict[str, set[tuple[Target, Ending]]] = {}
        """By bisection: endings that a separate process confirmed."""

    def survives(self, target: Target) -> bool:
        """Return whether children may answer for a release."""
        with self._lock:
            return target not in self._start_anew

    def doubts(self, request: RunRequest, answer: Answered) -> bool:
        """Return whether a separate process must confirm; records whether a child of the release has answered."""
        report = answer.report
        with self._lock:
            if report.ending == "answered" and answer.over:
                self._proven.add(request.target)
            proven = request.target in self._proven
            known = (request.target, _ending(report)) in self._same.get(request.bisection_id, ())
        return is_doubtful(answer, proven=proven) and not known

    def compare(self, request: RunRequest, forked: Answered, alone: Answered) -> None:
        """Record the answer of a separate process after a child's doubtful ending."""
        if alone.report.ending == "lost":
            return
        with self._lock:
            if _ending(forked.report) == _ending(alone.report) and request.bisection_id:
                self._same.setdefault(request.bisection_id, set()).add((request.target, _ending(alone.report)))
            elif is_sent(forked.report):
                return  # sent from outside: it says nothing about forks
            elif alone.report.ending == "answered" and forked.asked and request.target not in self._proven:
                self._start_anew.add(request.target)
                log.warning(
                    "a release does not survive a fork; each question starts it anew",
                    package=request.target.package,
                    release=request.target.release,
                    ending=forked.report.reason,
                )

    def is_known(self, request: RunRequest, report: RunReport) -> bool:
        """Say whether a separate process has confirmed this ending in this bisection."""
        with self._lock:
            return (request.target, _ending(report)) in self._same.get(request.bisection_id, ())

    def forget(self, bisection_id: str) -> None:
        """Forget the endings of a bisection."""
        with self._lock:
            self._same.pop(bisection_id, None)


def is_sent(report: RunReport) -> bool:
    """Say whether a sent signal ended a run: from the script itself, or from another process on this machine.

    The two cannot be distinguished afterwards, but the script would do the same if it ran again.
    """
    return report.ending == "signalled" and report.signal not in OF_ITS_OWN


def end_alike(one: RunReport, other: RunReport) -> bool:
    """Say whether two runs ended in the same way, whatever their answers."""
    return _ending(one) == _ending(other)


def _ending(report: RunReport) -> Ending:
    return report.ending, report.signal


def is_doubtful(answer: Answered, *, proven: bool) -> bool:
    """Return whether the fork may be the cause of how a question ended.

    Args:
        answer: of a child, or of its parent.
        proven: whether children of this release have answered before.
    """
    report = answer.report
    if report.ending in ("answered", "out-of-memory", "output-flood", "lost"):
        return False
    if report.ending == "timed-out" and answer.over:
        return not proven
    if report.ending == "timed-out":
        return answer.asked  # before that, it imports like any process
    return report.ending == "signalled" or not answer.over
