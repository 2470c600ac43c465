"""When a child's answer counts, and when the question is asked again in a process that was not forked.

A child shares what its parent made when it imported the framework: threads are gone, locks may be held. So what could
be the fork's doing, and not the release's, is told by a process of its own: a crash, a hang, a parent that did not come
through.
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
"""What the kernel sends a program for something that it did. Every other signal is sent by somebody."""


@dataclass(frozen=True)
class Answered:
    """A report, and how its conversation ended."""

    report: RunReport
    stop: Stop
    asked: bool = False
    """Whether the question was asked: the import was done."""
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
        """Children of these ended differently from a process of their own."""
        self._same: dict[str, set[tuple[Target, Ending]]] = {}
        """By bisection: endings that a process of its own had too."""

    def survives(self, target: Target) -> bool:
        """Return whether a release may be asked in children."""
        with self._lock:
            return target not in self._start_anew

    def doubts(self, request: RunRequest, answer: Answered) -> bool:
        """Return whether a process of its own must confirm; notes that a child of the release has answered."""
        report = answer.report
        with self._lock:
            if report.ending == "answered" and answer.over:
                self._proven.add(request.target)
            proven = request.target in self._proven
            known = (request.target, _ending(report)) in self._same.get(request.bisection_id, ())
        return is_doubtful(answer, proven=proven) and not known

    def compare(self, request: RunRequest, forked: Answered, alone: Answered) -> None:
        """Note the answer of a process of its own where a child's end was doubtful."""
        if alone.report.ending == "lost":
            return
        with self._lock:
            if _ending(forked.report) == _ending(alone.report) and request.bisection_id:
                self._same.setdefault(request.bisection_id, set()).add((request.target, _ending(alone.report)))
            elif is_sent(forked.report):
                return  # by somebody: it says nothing about forks
            elif alone.report.ending == "answered" and forked.asked and request.target not in self._proven:
                self._start_anew.add(request.target)
                log.warning(
                    "a release does not survive a fork; each question starts it anew",
                    package=request.target.package,
                    release=request.target.release,
                    ending=forked.report.reason,
                )

    def is_known(self, request: RunRequest, report: RunReport) -> bool:
        """Say whether two processes of this bisection ended like this."""
        with self._lock:
            return (request.target, _ending(report)) in self._same.get(request.bisection_id, ())

    def forget(self, bisection_id: str) -> None:
        """Drop what was known of a bisection."""
        with self._lock:
            self._same.pop(bisection_id, None)


def is_sent(report: RunReport) -> bool:
    """Say whether a run was ended by a signal that somebody sent: the script to itself, or somebody on this machine.

    The kernel does not tell the two apart afterwards. A script does the same when it is asked again.
    """
    return report.ending == "signalled" and report.signal not in OF_ITS_OWN


def end_alike(one: RunReport, other: RunReport) -> bool:
    """Say whether two runs ended in the same way, whatever they answered."""
    return _ending(one) == _ending(other)


def _ending(report: RunReport) -> Ending:
    return report.ending, report.signal


def is_doubtful(answer: Answered, *, proven: bool) -> bool:
    """Return whether the fork may be the cause of how a question ended.

    Args:
        answer: what a child, or its parent, came to.
        proven: whether children of this release have answered before.
    """
    report = answer.report
    if report.ending in ("answered", "out-of-memory", "output-flood", "lost"):
        return False
    if report.ending == "timed-out" and answer.over:
        return not proven
    if report.ending == "timed-out":
        return answer.asked  # before that it imports like any process
    return report.ending == "signalled" or not answer.over
