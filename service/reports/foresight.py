"""The verdict so far, and the runs to come: the planner asked without running anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from service.bisection.aspects import LOOKS
from service.bisection.outcomes import Answer, Outcome
from service.bisection.planner import NextRuns, current_verdict, plan
from service.bisection.policy import Policy
from service.bisection.releases import ReleaseTree
from service.bisection.verdict import VerdictFacts, to_json
from service.coordination.intake import BisectionRequest, Case, Intake

MOST_ROUNDS = 400
MOST_STEPS = 30_000
"""Limit of rounds times releases in a simulation: about half a second in all."""
MOST_REPEATS_PLAYED = 2


@dataclass(frozen=True)
class Outlook:
    """What is known of a bisection before or while it runs."""

    tree: ReleaseTree
    verdict: Mapping[str, Any]
    """The verdict so far, in the contract's JSON."""
    runs_at_least: int
    """Runs that are still to come, if nothing surprising turns up."""
    runs_with_changes: int = 0
    """Runs where the behaviour is lost once and comes back; only where that was asked for."""
    planned: tuple[str, ...] = ()
    """The releases that those runs are of."""


def look_ahead(
    intake: Intake, request: BisectionRequest, answers: Mapping[str, Sequence[Answer]], *, simulate: bool = False
) -> Outlook:
    """Return the verdict so far and how much is still to come.

    Args:
        intake: makes the request ready.
        request: what was asked.
        answers: release -> what its runs meant.
        simulate: play through a history in which the behaviour is lost and comes back.

    Raises:
        BadInput: the request cannot be used.
        IndexUnreachable: the releases are not known.
    """
    case = intake.case(request)
    verdict = to_json(current_verdict(case.tree, answers, case.policy), VerdictFacts(package=request.package))
    step = plan(case.tree, answers, case.policy)
    least = step.planned_at_least if isinstance(step, NextRuns) else 0
    if not simulate:
        return Outlook(case.tree, verdict, least)
    branches = tuple(case.tree.branches.items())
    quiet, eventful, planned = _forecast(case.tree.mainline, branches, case.policy)
    looks = _looks(case)
    return Outlook(case.tree, verdict, max(least, round(quiet * looks)), round(eventful * looks), planned)


def _looks(case: Case) -> float:
    """Return how many times as many runs all tracks take as one question does: named probes and variants run beside.

    A comparison of several aspects looks at every release at least so often.
    """
    own = 1.0 if case.probe.aspects is None else max(1.0, LOOKS / case.policy.repeats)
    return own + len(case.tracks) - 1


@lru_cache(256)  # the form asks after each key press, and the releases rarely change
def _forecast(
    mainline: tuple[str, ...], branches: tuple[tuple[str, tuple[str, ...]], ...], policy: Policy
) -> tuple[int, int, tuple[str, ...]]:
    """Return the runs where nothing changes, those where something does, and the releases that those are of.

    From two answers of each release on, so many answers cost so many times the runs: two are played through for all.
    """
    tree = ReleaseTree(mainline, MappingProxyType(dict(branches)))
    played = replace(policy, repeats=min(policy.repeats, MOST_REPEATS_PLAYED))
    quiet, eventful = (simulated(tree, played, changes=changes) for changes in (False, True))
    times = policy.repeats / played.repeats
    return round(len(quiet) * times), round(len(eventful) * times), tuple(dict.fromkeys(eventful))


def simulated(tree: ReleaseTree, policy: Policy, *, changes: bool) -> list[str]:
    """Return the releases that are run, in order, if nothing changes, or if the middle third has a wrong outcome."""
    third = len(tree.mainline) // 3
    broken = set(tree.mainline[third : len(tree.mainline) - third]) if changes and third else set()
    branch_of = {release: releases[0] for releases in tree.branches.values() for release in releases}
    right = next(iter(sorted(policy.expected)), "same")
    answers: dict[str, list[Answer]] = {}
    runs: list[str] = []
    for _ in range(min(MOST_ROUNDS, MOST_STEPS // max(1, len(tree.all())))):
        step = plan(tree, answers, policy)
        if not isinstance(step, NextRuns) or not step.runs:
            break
        for run in step.runs:
            label = "other" if branch_of.get(run.release, run.release) in broken else right
            answers.setdefault(run.release, []).append(Outcome(label))
            runs.append(run.release)
    return runs
