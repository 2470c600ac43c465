"""Which releases to run next, or what the answer is: a pure function of the history and of what was observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from service.bisection.agenda import Agenda, PlannedRun, Purpose, agenda, doubts
from service.bisection.findings import state
from service.bisection.known import Known, look
from service.bisection.outcomes import Answer
from service.bisection.policy import Branches, Policy
from service.bisection.releases import ReleaseTree
from service.bisection.verdict import Verdict, changes_of

__all__ = ["Branches", "NextRuns", "PlannedRun", "Policy", "Purpose", "current_verdict", "plan"]


@dataclass(frozen=True)
class NextRuns:
    """What to run now, all at once."""

    runs: tuple[PlannedRun, ...]
    """At most one per worker, the most valuable first."""
    planned_at_least: int
    """Runs that are still to be made however they answer; these included."""
    then: tuple[PlannedRun, ...] = ()
    """What follows however these answer, in order: worth preparing ahead."""
    settled: Verdict | None = None
    """The verdict, where these runs only fill in what it inferred."""


def plan(tree: ReleaseTree, observations: Mapping[str, Sequence[Answer]], policy: Policy) -> NextRuns | Verdict:
    """Say what to run next, or, when nothing is left to ask, what the answer is.

    The same observations give the same plan, whatever order they came in.

    Args:
        tree: the history; its releases are the only ones that are ever planned.
        observations: the answers of each release; those of other releases are ignored.
        policy: what is promised and what may be spent.
    """
    known = look(tree, observations, policy)
    todo = agenda(known)
    if todo:
        return _next_runs(todo, policy.workers)
    verdict, todo = _settled(known, todo)
    if todo:
        return _next_runs(todo, policy.workers)
    if todo.filling:
        ahead = todo.filling[policy.workers :]
        return NextRuns(todo.filling[: policy.workers], len(todo.filling), ahead, verdict)
    return verdict


def _settled(known: Known, todo: Agenda) -> tuple[Verdict, Agenda]:
    """State the verdict, and add to the agenda what it leaves in doubt: only a stated change has a confidence."""
    verdict = state(known, todo)
    if not todo and (doubtful := doubts(known, changes_of(verdict))):
        todo = replace(todo, confirm=doubtful)
        verdict = state(known, todo)
    return verdict, todo


def _next_runs(todo: Agenda, workers: int) -> NextRuns:
    """Choose what to run now, and name what follows in any case."""
    now = tuple(todo.now(workers))
    chosen = {(run.release, run.repeat) for run in now}
    then = tuple(run for run in todo.certain() if (run.release, run.repeat) not in chosen)
    return NextRuns(now, todo.at_least(), then)


def current_verdict(tree: ReleaseTree, observations: Mapping[str, Sequence[Answer]], policy: Policy) -> Verdict:
    """State what is known so far, with what is still open; the final verdict once nothing is."""
    known = look(tree, observations, policy)
    return _settled(known, agenda(known))[0]
