"""How the answers of one release settle into one reading, and how noisy the answers of all releases are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, exp, log

from service.bisection.outcomes import Answer, Lost, Outcome, Refused, Untestable

FLAKY = "flaky"
NOISE_CEILING = 0.4  # Above it, a label is hardly ahead of its rival and the leads below grow without bound.
# A minority of over a third of six answers means a flaky release, which says nothing about the probe's noise.
FLAKY_MINORITY = 1 / 3
FLAKY_ANSWERS = 6
FLAKY_PRIOR = 0.02  # Prior: one release in fifty is flaky.
NOISE_FLOOR = 0.02  # Answers that differ prove some noise, however exact the probe is assumed to be.
FLAKY_DOUBT = 0.005
"""A label is settled once "flaky" is less probable than this; flaky, once everything else together is."""


@dataclass(frozen=True)
class NoiseRule:
    """When answers that differ are settled."""

    confirmations: int = 2
    """Agreeing answers that each neighbour of a change needs, even without noise."""
    repeats: int = 1
    """Answers that every other release needs, even without noise."""
    false_alarm_rate: float = 0.01
    """Accepted probability that a neighbour of a change is read wrongly."""
    miss_rate: float = 0.02
    """Accepted probability that a survey release is read wrongly, which hides a behaviour seen nowhere else."""
    noise: float = 0.0
    """Share of wrong answers that the probe is known to give; observations can only raise it."""
    max_repeats: int = 15
    """Answers after which a release that has not settled gets its likeliest reading."""
    max_lost: int = 3
    """Lost or cut-off runs after which a release is not run again."""


@dataclass(frozen=True)
class Tally:
    """How often one release gave each answer; deliberately without their order."""

    counts: dict[str, int] = field(default_factory=dict)
    untestable: int = 0
    refused: int = 0
    lost: int = 0
    hopeless: bool = False
    """A lost run reports that another would be lost too."""
    reason: str = ""
    """Why it could not answer, if so."""
    details: dict[str, str] = field(default_factory=dict)
    """The detail of an outcome, by label; the smallest of several, so that the order does not matter."""
    processes: tuple[tuple[tuple[str, int], ...], ...] = ()
    """The counts per process, as pairs; answers of one process may be wrong together."""

    @property
    def outcomes(self) -> int:
        """Return how many runs showed a behaviour."""
        return sum(self.counts.values())

    @property
    def lead(self) -> int:
        """Return by how many runs the most common outcome leads all others together."""
        return 2 * max(self.counts.values(), default=0) - self.outcomes

    @property
    def answers(self) -> int:
        """Return how many runs gave an answer; also the number of the next repeat."""
        return self.outcomes + self.untestable + self.refused


@dataclass(frozen=True)
class Reading:
    """What is known of one release."""

    tally: Tally
    label: str | None = None
    """Its outcome; None if it has no answers, is disputed, or is a gap."""
    gap: str | None = None
    """Why it is a gap: untestable, refused or lost; otherwise None."""
    disputed: bool = False
    """Its answers differ and have not settled."""
    exhausted: bool = False
    """It is not run again, even if answers are missing."""
    contested: bool = False
    """Its answers differ and did not settle before the last run; the label is only the likeliest."""

    @property
    def tried(self) -> bool:
        """Return whether it has any result."""
        return self.label is not None or self.gap is not None or self.disputed


UNREAD = Reading(Tally())


def tally(answers: Sequence[Answer]) -> Tally:
    """Count the answers of one release."""
    counts: dict[str, int] = {}
    details: dict[str, str] = {}
    shared: dict[str, Counter[str]] = {}
    untestable: list[str] = []
    refused: list[str] = []
    lost: list[str] = []
    hopeless = False
    for answer in answers:
        match answer:
            case Outcome(label=label, detail=detail, process=process):
                counts[label] = counts.get(label, 0) + 1
                if detail:
                    details[label] = min(detail, details.get(label, detail))
                shared.setdefault(process or f"its own {len(shared)}", Counter())[label] += 1
            case Untestable(reason=reason):
                untestable.append(reason)
            case Refused(message=message):
                refused.append(message)
            case Lost(reason=reason, hopeless=without_hope):
                lost.append(reason)
                hopeless = hopeless or without_hope
    # The smallest reason, not the first: the reading must not depend on the order in which runs finished.
    reasons = untestable or refused or lost
    reason = min(reasons, default="")
    processes = tuple(sorted(tuple(sorted(counted.items())) for counted in shared.values()))
    return Tally(counts, len(untestable), len(refused), len(lost), hopeless, reason, details, processes)


def pooled_noise(tallies: Iterable[Tally], floor: float = 0.0) -> float:
    """Estimate the share of wrong answers from all releases that answered more than once.

    Zero (or the floor) while no two answers of one release differ. Then the minority's share, with half an answer added
    to the wrong ones and five to all, so that a first difference does not count too much.
    """
    wrong = total = 0
    for counted in tallies:
        if len(counted.counts) == 0 or (answers := counted.outcomes) < 2:
            continue
        minority = answers - max(counted.counts.values())
        if answers >= FLAKY_ANSWERS and minority > FLAKY_MINORITY * answers:
            continue
        wrong += minority
        total += answers
    seen = (wrong + 0.5) / (total + 5) if wrong else 0.0
    return min(max(floor, seen), NOISE_CEILING)


def needed_lead(error_rate: float, noise: float) -> int:
    """Return the lead that keeps the probability of a wrong reading at `error_rate` (Wald's sequential test)."""
    if noise <= 0:
        return 1
    return max(1, ceil(log((1 - error_rate) / error_rate) / log((1 - noise) / noise) - 1e-9))


def settle(counts: dict[str, int], noise: float, rule: NoiseRule) -> str | None:
    """Return the behaviour that the answers of one release show; None if it needs another run.

    If all answers agree, that is the behaviour. Otherwise these explanations are compared: one label is right and the
    others are noise, for each label; or the release is flaky, with every label equally likely. A label is settled once
    all other labels together have at most `false_alarm_rate` and flaky has at most FLAKY_DOUBT; flaky is settled once
    the labels together have at most FLAKY_DOUBT.
    """
    if len(counts) == 1:
        return next(iter(counts))
    labels, flaky = _weigh(counts, max(noise, NOISE_FLOOR))
    best = max(sorted(labels), key=lambda label: labels[label])
    others = sum(labels.values()) - labels[best]
    if others <= rule.false_alarm_rate * (others + labels[best]) and flaky <= FLAKY_DOUBT:
        return best
    return FLAKY if flaky >= 1 - FLAKY_DOUBT else None


def holds_most(counts: dict[str, int], noise: float) -> str:
    """Return the likeliest explanation of answers that did not settle: a label, or flaky."""
    labels, flaky = _weigh(counts, max(noise, NOISE_FLOOR))
    best = max(sorted(labels), key=lambda label: labels[label])
    return best if labels[best] > flaky else FLAKY


def _weigh(counts: dict[str, int], noise: float) -> tuple[dict[str, float], float]:
    """Return the share of each label and of "flaky" among the explanations."""
    kinds, answers = len(counts), sum(counts.values())
    logs = {
        label: count * log(1 - noise) + (answers - count) * log(noise / (kinds - 1)) for label, count in counts.items()
    }
    flaky_log = log(FLAKY_PRIOR) - answers * log(kinds)
    top = max(*logs.values(), flaky_log)
    weights = {label: exp(value - top) for label, value in logs.items()}
    flaky = exp(flaky_log - top)
    total = sum(weights.values()) + flaky
    return {label: weight / total for label, weight in weights.items()}, flaky / total


def read_answers(counted: Tally, noise: float, rule: NoiseRule) -> Reading:
    """Say what is known of a release."""
    given_up = counted.hopeless or counted.lost >= rule.max_lost
    stuck = given_up or counted.untestable + counted.refused >= rule.max_lost
    if counted.counts:
        label = settle(counted.counts, noise, rule)
        exhausted = stuck or counted.outcomes >= rule.max_repeats
        if label is None and exhausted:
            return Reading(counted, holds_most(counted.counts, noise), exhausted=True, contested=True)
        return Reading(counted, label, disputed=label is None, exhausted=exhausted)
    if counted.untestable or counted.refused:
        return Reading(counted, gap="untestable" if counted.untestable else "refused", exhausted=True)
    if given_up:
        return Reading(counted, gap="lost", exhausted=True)
    return Reading(counted)


def interval(count: int, answers: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson's score interval)."""
    share, square = count / answers, z * z / answers
    middle = (share + square / 2) / (1 + square)
    half = z * ((share * (1 - share) + square / 4) / answers) ** 0.5 / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)
