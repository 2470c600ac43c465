"""Random histories for the search benchmark, and what every planner is asked through."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from math import ceil, log, log2
from random import Random
from zlib import crc32

from service.bisection.outcomes import Outcome
from service.bisection.planner import PlannedRun
from service.bisection.releases import ReleaseTree
from service.coordination.replay import World

LETTERS = "abc"


@dataclass(frozen=True)
class Trial:
    """One random history, and the planner's terms for it."""

    releases: tuple[str, ...]
    labels: tuple[str, ...]
    noise: float
    resolution: int
    seed: int
    world: World

    @property
    def changes(self) -> set[tuple[int, int]]:
        """Return where the history really changes, as pairs of neighbouring indices."""
        return {(at, at + 1) for at in range(len(self.labels) - 1) if self.labels[at] != self.labels[at + 1]}


@dataclass
class Asker:
    """Answers runs of a trial, and counts them; a round is whatever is asked at once."""

    trial: Trial
    runs: int = 0
    rounds: int = 0
    repeats: dict[int, int] = field(default_factory=dict)

    def ask(self, indices: list[int], workers: int) -> list[str]:
        """Run releases, at most `workers` at once, and return their labels."""
        self.runs += len(indices)
        self.rounds += ceil(len(indices) / workers)
        return [self._one(index) for index in indices]

    def _one(self, index: int) -> str:
        repeat = self.repeats.get(index, 0)
        self.repeats[index] = repeat + 1
        answer = self.trial.world.answer(PlannedRun(self.trial.releases[index], repeat), 0, self.trial.seed)
        return answer.label if isinstance(answer, Outcome) else "untestable"


def trial(count: int, changes: int, noise: float, seed: str) -> Trial | None:
    """Return a history of `count` releases with that many changes; None where so many do not fit.

    Behaviours last at least a quarter of their even share, which is the resolution that the planner is given.
    """
    shortest = max(1, count // (4 * (changes + 1)))
    free = count - shortest * (changes + 1)
    if free < 0:
        return None
    name = f"{count}/{changes}/{noise}/{seed}"
    dice = Random(name)
    cuts = [0, *sorted(dice.randint(0, free) for _ in range(changes)), free]
    labels: list[str] = []
    current = dice.choice(LETTERS)
    for left, right in itertools.pairwise(cuts):
        labels += [current] * (right - left + shortest)
        current = dice.choice([letter for letter in LETTERS if letter != current])
    releases = tuple(f"1.{index}.0" for index in range(count))
    outcomes = {release: _shares(label, noise) for release, label in zip(releases, labels, strict=True)}
    return Trial(releases, tuple(labels), noise, shortest, crc32(name.encode()), World(ReleaseTree(releases), outcomes))


def _shares(label: str, noise: float) -> dict[str, float]:
    """Return how often a release gives each label: its own, or with `noise` one of the others."""
    if not noise:
        return {label: 1.0}
    others = [letter for letter in LETTERS if letter != label]
    return {label: 1 - noise, **dict.fromkeys(others, noise / len(others))}


def most_runs(count: int, resolution: int, changes: int) -> int:
    """Return the promised bound for one worker on a clean history, two confirmations per change included."""
    return ceil((count - 1) / resolution) + 1 + changes * ceil(log2(resolution)) + 2 * changes


def fewest_rounds(count: int, resolution: int, changes: int, workers: int) -> int:
    """Return a bound below which no planner with the same promise gets on every history.

    It must make the survey's runs, tell `resolution` places apart for each change and run both neighbours twice, with
    at most `workers` runs a round; and a round of w runs tells at most w + 1 places of one change apart.
    """
    survey = ceil((count - 1) / resolution) + 1
    work = ceil((survey + changes * log2(resolution) + 2 * changes) / workers)
    depth = 1 + (ceil(log(resolution) / log(workers + 1) - 1e-9) + 1 if changes else 0)
    return max(work, depth, ceil(survey / workers))


def noisy_bound(count: int, noise: float) -> float:
    """Return log2(n) over the capacity of a binary channel: the published order of noisy search for one change.

    Source: Burnashev and Zigangirov 1974; Ben-Or and Hassidim 2008.
    """
    if not noise:
        return log2(count)
    capacity = 1 + noise * log2(noise) + (1 - noise) * log2(1 - noise)
    return log2(count) / capacity
