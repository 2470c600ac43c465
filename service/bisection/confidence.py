"""How sure a change is: the posterior of its two sides, "nothing changed" among the hypotheses."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from operator import mul

from service.bisection.settling import FLAKY

# Prior of the share of wrong answers: most probes are exact, some are noisy, and how much is to be learned.
NOISE_PRIOR = {0.001: 0.4, 0.02: 0.15, 0.06: 0.15, 0.13: 0.15, 0.22: 0.1, 0.32: 0.05}
FLAKY_PRIOR = 0.02  # Share of the behaviours that a change leads to.
WINDOW = 8  # Measured releases on each side of a change that bear on it; further ones add time and nothing else.
CEILING = 0.999  # One in a thousand is kept for what the model does not know.


@dataclass(frozen=True)
class Sighting:
    """What was seen of one measured release."""

    index: int
    """Its place on the line."""
    counts: Mapping[str, int]
    label: str
    """What it was read as."""


def change_confidences(
    sightings: Sequence[Sighting], labels: Sequence[str], releases: int, noise_weights: dict[float, float]
) -> tuple[dict[int, float], dict[float, float]]:
    """Return how sure each change of a line is, and what the line says about the probe's noise.

    A change is right if the release before it really has the old behaviour and the one after it the new one; that
    nothing changed there, or something else did, are the other hypotheses.

    Args:
        sightings: the measured releases of a line, oldest first, shape (m,).
        labels: every label that any run gave, shape (k,).
        releases: how many releases the line has.
        noise_weights: prior of the share of wrong answers, as NOISE_PRIOR.

    Returns:
        The probability by the index of the release before the change, and the weights for the next line.

    Source: forward-backward over a hidden chain of behaviours, one pass per share of wrong answers.
    """
    places = [at for at in range(len(sightings) - 1) if sightings[at].label != sightings[at + 1].label]
    if not places:
        return {}, noise_weights
    kept = _near(places, len(sightings))
    chain = [sightings[at] for at in kept]
    wanted = [at for at in range(len(chain) - 1) if kept[at + 1] == kept[at] + 1 and kept[at] in set(places)]
    hazard = min(0.5, (len(places) + 1) / (releases + 2))
    scores: dict[float, float] = {}
    found: dict[float, list[float]] = {}
    for noise, weight in noise_weights.items():
        passed = _Chain.run(chain, sorted(labels), noise, hazard)
        scores[noise] = log(weight) + passed.evidence
        found[noise] = [passed.pair(at) for at in wanted]
    top = max(scores.values())
    weights = {noise: max(exp(score - top), 1e-12) for noise, score in scores.items()}
    total = sum(weights.values())
    mixed = [sum(weights[noise] * found[noise][place] for noise in weights) / total for place in range(len(wanted))]
    posterior = {noise: weight / total for noise, weight in weights.items()}
    return {chain[at].index: min(value, CEILING) for at, value in zip(wanted, mixed, strict=True)}, posterior


def _near(places: Sequence[int], count: int) -> list[int]:
    """Return the measured releases near any change, oldest first."""
    near = {at for place in places for at in range(max(0, place - WINDOW), min(count, place + WINDOW + 2))}
    return sorted(near)


@dataclass(frozen=True)
class _Chain:
    """A hidden chain of behaviours after both passes, for one share of wrong answers."""

    states: list[str]
    chain: Sequence[Sighting]
    emissions: list[list[float]]
    moves: list[float]
    """Probability of a change between each release and the next measured one."""
    prior: list[float]
    """Where a change leads to."""
    forward: list[list[float]]
    backward: list[list[float]]
    evidence: float

    @classmethod
    def run(cls, chain: Sequence[Sighting], labels: list[str], noise: float, hazard: float) -> _Chain:
        """Pass over the chain forwards and backwards."""
        states = [label for label in labels if label != FLAKY] + [FLAKY]
        kinds = max(2, len(states) - 1)
        prior = [(1 - FLAKY_PRIOR) / (len(states) - 1)] * (len(states) - 1) + [FLAKY_PRIOR]
        known: dict[tuple[tuple[str, int], ...], list[float]] = {}
        emissions = []
        for sighting in chain:
            key = tuple(sighting.counts.items())
            if key not in known:
                known[key] = _emission(sighting.counts, states, noise, kinds)
            emissions.append(known[key])
        moves = [1 - (1 - hazard) ** (right.index - left.index) for left, right in itertools.pairwise(chain)]
        forward, evidence = _forwards(emissions, moves, prior)
        return cls(states, chain, emissions, moves, prior, forward, _backwards(emissions, moves, prior), evidence)

    def pair(self, at: int) -> float:
        """Return the probability that the behaviours at a place and after it are the ones that were read."""
        old, new = self.states.index(self.chain[at].label), self.states.index(self.chain[at + 1].label)
        left, right = (
            self.forward[at],
            [seen * later for seen, later in zip(self.emissions[at + 1], self.backward[at + 1], strict=True)],
        )
        total = self._joint(left, right, at)
        return left[old] * self.moves[at] * self.prior[new] * right[new] / total if total else 0.0

    def _joint(self, left: list[float], right: list[float], at: int) -> float:
        """Return the weight of all pairs of behaviours at a place."""
        move = self.moves[at]
        arriving = sum(map(mul, self.prior, right))
        staying = sum(map(mul, left, right))
        return (1 - move) * staying + move * sum(left) * arriving


def _emission(counts: Mapping[str, int], states: list[str], noise: float, kinds: int) -> list[float]:
    """Return how likely the answers of one release are under each behaviour; flaky gives every label alike."""
    answers = sum(counts.values())
    wrong, right = noise / (kinds - 1), 1 - noise
    seen = [right ** counts.get(state, 0) * wrong ** (answers - counts.get(state, 0)) for state in states[:-1]]
    return [*seen, float(kinds) ** -answers]


def _forwards(emissions: list[list[float]], moves: list[float], prior: list[float]) -> tuple[list[list[float]], float]:
    """Return the filtered weights of each behaviour at each place, and the log evidence."""
    current = [seen * share for seen, share in zip(emissions[0], prior, strict=True)]
    evidence, passed = 0.0, []
    for at in range(len(emissions)):
        if at:
            stay, move = 1 - moves[at - 1], moves[at - 1]
            current = [
                seen * (stay * before + move * share)
                for seen, before, share in zip(emissions[at], current, prior, strict=True)
            ]
        total = sum(current)
        evidence += log(total)
        current = [value / total for value in current]
        passed.append(current)
    return passed, evidence


def _backwards(emissions: list[list[float]], moves: list[float], prior: list[float]) -> list[list[float]]:
    """Return how likely the later answers are under each behaviour at each place, up to a factor."""
    current = [1.0] * len(prior)
    passed = [current]
    for at in range(len(emissions) - 1, 0, -1):
        ahead = list(map(mul, emissions[at], current))
        move = moves[at - 1]
        stay, arriving = 1 - move, move * sum(map(mul, prior, ahead))
        current = [arriving + stay * value for value in ahead]
        top = max(current)
        current = [value / top for value in current]
        passed.append(current)
    return passed[::-1]
