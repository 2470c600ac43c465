"""The confidence of a change: the posterior of its two sides, with "nothing changed" among the hypotheses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log
from operator import mul

from service.bisection.settling import FLAKY, FLAKY_PRIOR

# Prior of the share of wrong answers: most probes are exact, some are noisy, and how much is to be learned.
NOISE_PRIOR = {0.001: 0.4, 0.02: 0.15, 0.06: 0.15, 0.13: 0.15, 0.22: 0.1, 0.32: 0.05}
WINDOW = 8  # Measured releases on each side of a change that count; more only take time.
# Before any answer: one in five of what wavers does so by process. Seeds are drawn anew for every answer; what answers
# of one process share is its hash order, its address layout and its import.
BY_PROCESS = 0.2
CEILING = 0.999  # One in a thousand is kept for what the model does not know.


@dataclass(frozen=True)
class Sighting:
    """What was seen of one measured release."""

    index: int
    """Its place on the line."""
    counts: Mapping[str, int]
    label: str
    """What it was read as."""
    processes: tuple[tuple[tuple[str, int], ...], ...] = ()
    """The counts of each process that answered; empty: every answer came from a process of its own."""


def change_confidences(
    sightings: Sequence[Sighting], labels: Sequence[str], releases: int, noise_weights: Mapping[float, float]
) -> tuple[dict[int, float], Mapping[float, float]]:
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
    places = _changes(sightings)
    if not places:
        return {}, noise_weights
    kept = _near(places, len(sightings))
    chains = _chains([sightings[at] for at in kept], labels, _hazard(len(places), releases), noise_weights)
    sure = {
        sightings[at].index: min(sum(weight * chain.pair(kept.index(at)) for chain, weight in chains), CEILING)
        for at in places
    }
    return sure, dict(zip(noise_weights, [weight for _, weight in chains], strict=True))


def likeliest_labels(
    sightings: Sequence[Sighting], labels: Sequence[str], releases: int, wanted: Sequence[int]
) -> dict[int, str]:
    """Return the likeliest behaviour of some releases of a line, given all that was seen on it.

    Args:
        sightings: the measured releases of a line, oldest first, shape (m,).
        labels: every label that any run gave, shape (k,).
        releases: how many releases the line has.
        wanted: indices of the releases on the line, all of them measured.
    """
    if not wanted:
        return {}
    places = [at for at, sighting in enumerate(sightings) if sighting.index in wanted]
    kept = _near(places, len(sightings))
    hazard = _hazard(len(_changes(sightings)), releases)
    chains = _chains([sightings[at] for at in kept], labels, hazard, NOISE_PRIOR)
    found = {}
    for at in places:
        shares = [[weight * share for share in chain.shares(kept.index(at))] for chain, weight in chains]
        totals = [sum(column) for column in zip(*shares, strict=True)]
        found[sightings[at].index] = chains[0][0].states[totals.index(max(totals))]
    return found


def _changes(sightings: Sequence[Sighting]) -> list[int]:
    """Return after which measured releases the reading changes."""
    return [at for at, (left, right) in enumerate(pairwise(sightings)) if left.label != right.label]


def _hazard(changes: int, releases: int) -> float:
    """Return the probability of a change at each step, from the number of changes seen."""
    return min(0.5, (changes + 1) / (releases + 2))


def _near(places: Sequence[int], count: int) -> list[int]:
    """Return the measured releases near any of the changes, oldest first."""
    near = {at for place in places for at in range(max(0, place - WINDOW), min(count, place + WINDOW + 2))}
    return sorted(near)


def _chains(
    sightings: Sequence[Sighting], labels: Sequence[str], hazard: float, noise_weights: Mapping[float, float]
) -> list[tuple[_Chain, float]]:
    """Return a chain for each share of wrong answers, with its posterior weight."""
    chains = [_Chain.run(sightings, sorted(labels), noise, hazard) for noise in noise_weights]
    scores = [log(weight) + chain.evidence for chain, weight in zip(chains, noise_weights.values(), strict=True)]
    weights = [max(exp(score - max(scores)), 1e-12) for score in scores]
    return [(chain, weight / sum(weights)) for chain, weight in zip(chains, weights, strict=True)]


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
        known: dict[object, list[float]] = {}
        emissions = []
        for sighting in chain:
            key = (tuple(sighting.counts.items()), sighting.processes)
            if key not in known:
                known[key] = _emission(sighting, states, noise, kinds)
            emissions.append(known[key])
        moves = [1 - (1 - hazard) ** (right.index - left.index) for left, right in pairwise(chain)]
        forward, evidence = _forwards(emissions, moves, prior)
        return cls(states, chain, emissions, moves, prior, forward, _backwards(emissions, moves, prior), evidence)

    def pair(self, at: int) -> float:
        """Return the probability that both behaviours, at a place and after it, were read correctly."""
        old, new = self.states.index(self.chain[at].label), self.states.index(self.chain[at + 1].label)
        left, right = (
            self.forward[at],
            [seen * later for seen, later in zip(self.emissions[at + 1], self.backward[at + 1], strict=True)],
        )
        total = self._joint(left, right, at)
        return left[old] * self.moves[at] * self.prior[new] * right[new] / total if total else 0.0

    def shares(self, at: int) -> list[float]:
        """Return the probability of each behaviour at a place."""
        weights = list(map(mul, self.forward[at], self.backward[at]))
        return [weight / sum(weights) for weight in weights]

    def _joint(self, left: list[float], right: list[float], at: int) -> float:
        """Return the weight of all pairs of behaviours at a place."""
        move = self.moves[at]
        arriving: float = sum(map(mul, self.prior, right))
        staying: float = sum(map(mul, left, right))
        return (1 - move) * staying + move * sum(left) * arriving


def _emission(sighting: Sighting, states: list[str], noise: float, kinds: int) -> list[float]:
    """Return how likely the answers of one release are under each behaviour; flaky gives every label alike.

    What makes an answer wrong may strike each answer (chance, threads) or each process as a whole (hash order, address
    layout), so that answers of one process that agree count for less than answers of several.
    """
    apart = _seen(sighting.counts, states, noise, kinds)
    if not sighting.processes:
        return apart
    together = [1.0] * len(states)
    for process in sighting.processes:
        # If the answers of one process differ, each was wrong by itself.
        counts = {process[0][0]: 1} if len(process) == 1 else dict(process)
        together = list(map(mul, together, _seen(counts, states, noise, kinds)))
    return [(1 - BY_PROCESS) * one + BY_PROCESS * other for one, other in zip(apart, together, strict=True)]


def _seen(counts: Mapping[str, int], states: list[str], noise: float, kinds: int) -> list[float]:
    """Return how likely answers that come about one by one are under each behaviour."""
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
