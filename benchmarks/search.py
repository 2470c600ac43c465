"""The search, side by side with what other tools do: python -m benchmarks.search [--quick] [--seed N].

Thousands of random histories: the share whose every change was found, runs, rounds, and whether the confidence that is
claimed is true. Writes search.json, search.md and two drawings to benchmarks/results; exit 1 if a claim fails.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.search_baselines import BASELINES
from benchmarks.search_report import calibration_drawing, markdown, runs_drawing
from benchmarks.search_worlds import Asker, Trial, fewest_rounds, most_runs, noisy_bound, trial
from service.bisection.outcomes import Outcome
from service.bisection.planner import Policy, plan
from service.bisection.releases import ReleaseTree
from service.bisection.verdict import changes_of
from service.coordination.replay import run_world

OURS = "tfbisect"
COUNTS, CHANGES, NOISES, WORKERS = (10, 40, 100, 400), range(7), (0.0, 0.05, 0.2), (1, 2, 4, 8)
# Histories per cell of count, changes, noise and workers: noisy ones and long ones cost the most and teach the least.
TRIALS = {10: 14, 40: 14, 100: 8, 400: 3}
BINS = (0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)
ENOUGH = 300  # Below it a share of 0.97 is uncertain by more than the 0.02 that the claim is about.
SLACK = 0.02


@dataclass(frozen=True)
class Result:
    """One planner on one history."""

    planner: str
    count: int
    changes: int
    noise: float
    workers: int
    found: bool
    """Every change was found."""
    exact: bool
    """And nothing else was reported."""
    runs: int
    rounds: int
    most_runs: int
    fewest_rounds: int


@dataclass(frozen=True)
class Claim:
    """A change that was reported, how sure the planner was, and whether it is so."""

    noise: float
    confidence: float
    right: bool


def trials(quick: bool, seed: int) -> Iterator[tuple[Trial, int, int]]:
    """Return every history with its number of changes and workers."""
    for count in COUNTS:
        for changes in CHANGES:
            for noise in NOISES:
                for workers in WORKERS:
                    for number in range(_trials(count, noise, quick)):
                        own_seed = f"{seed}/{workers}/{number}"
                        if made := trial(count, changes, noise, own_seed):
                            yield made, changes, workers


def _trials(count: int, noise: float, quick: bool) -> int:
    """Return how many histories a cell has."""
    if quick:
        return 0 if count == 400 or (noise and count == 100) else 1
    return TRIALS[count]


def run_ours(made: Trial, changes: int, workers: int) -> tuple[Result, list[Claim]]:
    """Bisect a history with the planner."""
    policy = Policy(expected=frozenset("a"), resolution=made.resolution, branches="none", workers=workers)
    result = run_world(made.world, policy, made.seed)
    at = {release: index for index, release in enumerate(made.releases)}
    reported, claims = set(), []
    for change in changes_of(result.verdict):
        place = (at[change.before], at[change.after])
        right = place in made.changes and (change.old, change.new) == tuple(made.labels[index] for index in place)
        reported.add(place)
        claims.append(Claim(made.noise, change.confidence or 0.0, right))
    return _result(OURS, made, changes, workers, reported, result.runs, len(result.rounds)), claims


def run_baseline(name: str, made: Trial, changes: int, workers: int) -> Result:
    """Bisect a history the way of another tool."""
    asker = Asker(made)
    reported = BASELINES[name](asker, workers)
    return _result(name, made, changes, workers, reported, asker.runs, asker.rounds)


def _result(
    planner: str, made: Trial, changes: int, workers: int, reported: set[tuple[int, int]], runs: int, rounds: int
) -> Result:
    """Compare what was reported with the history."""
    count, truth = len(made.releases), made.changes
    bounds = most_runs(count, made.resolution, changes), fewest_rounds(count, made.resolution, changes, workers)
    return Result(
        planner, count, changes, made.noise, workers, truth <= reported, truth == reported, runs, rounds, *bounds
    )


def summaries(results: list[Result]) -> list[dict[str, Any]]:
    """Return the means of each planner by noise, number of releases and workers."""
    groups: dict[tuple[float, int, int, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[result.noise, result.count, result.workers, result.planner].append(result)
    return [
        {
            "noise": noise,
            "releases": count,
            "workers": workers,
            "planner": planner,
            "histories": len(group),
            "all_found": mean(result.found for result in group),
            "exact": mean(result.exact for result in group),
            "runs": mean(result.runs for result in group),
            "rounds": mean(result.rounds for result in group),
            "bound_runs": mean(result.most_runs for result in group),
            "bound_rounds": mean(result.fewest_rounds for result in group),
            "bound_one_noisy_change": noisy_bound(count, noise),
        }
        for (noise, count, workers, planner), group in sorted(groups.items())
    ]


def calibration(claims: list[Claim]) -> list[dict[str, Any]]:
    """Return, by bin of claimed confidence, what was claimed and what was true."""
    rows = []
    for low, high in itertools.pairwise(BINS):
        inside = [claim for claim in claims if low <= claim.confidence < high]
        if inside:
            claimed, true = mean(claim.confidence for claim in inside), mean(claim.right for claim in inside)
            rows.append({"from": low, "to": high, "changes": len(inside), "claimed": claimed, "true": true})
    return rows


def step_milliseconds(count: int = 400, times: int = 25) -> dict[str, float]:
    """Return the median time of planning one step over that many releases, in the states that cost the most."""
    releases = tuple(f"1.{index}.0" for index in range(count))
    tree = ReleaseTree(releases)
    labels = ["a"] * 100 + ["b"] * 50 + ["c"] * 150 + ["a"] * (count - 300)
    pairs = list(zip(releases, labels, strict=True))
    states = {
        "nothing observed": {},
        "half observed": {release: [Outcome(label)] for release, label in pairs[::2]},
        "all observed, verdict stated": {release: [Outcome(label)] * 2 for release, label in pairs},
    }
    policy = Policy(expected=frozenset("a"), resolution=1, workers=8)
    found = {}
    for name, observations in states.items():
        spent = []
        for _ in range(times):
            start = time.perf_counter()
            plan(tree, observations, policy)
            spent.append((time.perf_counter() - start) * 1000)
        found[name] = median(spent)
    return found


def checks(results: list[Result], bins: list[dict[str, Any]], steps: dict[str, float]) -> dict[str, bool]:
    """Return each thing that must show, and whether it does."""
    ours = [result for result in results if result.planner == OURS]
    clean = [result for result in ours if not result.noise]
    rounds: dict[tuple[int, int], list[Result]] = defaultdict(list)
    for result in clean:
        rounds[result.count, result.workers].append(result)
    ratios = [mean(one.rounds for one in cell) / mean(one.fewest_rounds for one in cell) for cell in rounds.values()]
    full = [row for row in bins if row["changes"] >= ENOUGH]
    return {
        "every change of every clean history is found": all(result.exact for result in clean),
        "one worker never makes more runs than the bound": all(
            result.runs <= result.most_runs for result in clean if result.workers == 1
        ),
        "rounds stay within 1.5 times of the best for w": max(ratios) <= 1.5,
        "claimed confidence is never over the true share by more than 0.02": all(
            row["claimed"] - row["true"] <= SLACK for row in full
        ),
        "planning one step over 400 releases takes under 5 ms": max(steps.values()) < 5,
    }


def measure(quick: bool, seed: int) -> dict[str, Any]:
    """Run all planners over all histories."""
    results: list[Result] = []
    claims: list[Claim] = []
    for made, changes, workers in trials(quick, seed):
        result, claimed = run_ours(made, changes, workers)
        results += [result, *(run_baseline(name, made, changes, workers) for name in BASELINES)]
        claims += claimed
    bins, steps = calibration(claims), step_milliseconds()
    return {
        "seed": seed,
        "quick": quick,
        "histories": sum(result.planner == OURS for result in results),
        "checks": checks(results, bins, steps),
        "calibration": bins,
        "calibration_by_noise": {
            str(noise): calibration([one for one in claims if one.noise == noise]) for noise in NOISES
        },
        "step_milliseconds": steps,
        "cells": summaries(results),
        "one_change": summaries([result for result in results if result.changes == 1]),
    }


def main() -> int:
    """Run the benchmark; return 1 if a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds; too few trials for the calibration")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    start = time.perf_counter()
    found = measure(options.quick, options.seed)
    options.results.mkdir(parents=True, exist_ok=True)
    table = markdown(found)
    for name, text in {
        "search.json": json.dumps(found, indent=1) + "\n",
        "search.md": table,
        "search-calibration.svg": calibration_drawing(found["calibration"], ENOUGH),
        "search-runs.svg": runs_drawing(found["cells"]),
    }.items():
        (options.results / name).write_text(text)
    print(table)
    print(f"{found['histories']} histories in {time.perf_counter() - start:.0f} s; results in {options.results}")
    return 0 if all(found["checks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
