"""The confidence that is shown is true: claimed against what is so, over random noisy histories."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import pytest

from service.bisection.confidence import BY_PROCESS, CEILING, NOISE_PRIOR, Sighting, change_confidences
from service.bisection.outcomes import Answer, Outcome
from service.bisection.planner import Policy
from service.bisection.settling import tally
from service.bisection.verdict import changes_of
from service.coordination.replay import replay

ENOUGH = 150


def sighting(index: int, label: str, **counts: int) -> Sighting:
    return Sighting(index, counts, label)


def sure(*sightings: Sighting) -> float:
    found, _ = change_confidences(list(sightings), ["a", "b"], 10, NOISE_PRIOR)
    return next(iter(found.values()))


def test_a_change_seen_once_is_less_sure_than_one_seen_twice() -> None:
    once = sure(sighting(0, "a", a=1), sighting(1, "b", b=1))
    twice = sure(sighting(0, "a", a=2), sighting(1, "b", b=2))
    assert once < twice <= CEILING


def test_an_answer_against_it_makes_a_change_less_sure() -> None:
    assert sure(sighting(0, "a", a=4), sighting(1, "b", b=4, a=1)) < sure(sighting(0, "a", a=4), sighting(1, "b", b=4))


def test_without_a_change_there_is_nothing_to_be_sure_of() -> None:
    assert change_confidences([sighting(0, "a", a=1), sighting(1, "a", a=1)], ["a"], 2, NOISE_PRIOR)[0] == {}


def test_claimed_confidence_is_never_over_the_true_share_by_more_than_two_hundredths() -> None:
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for seed in range(500):
        dice = Random(f"calibration {seed}")
        noise, truth = dice.choice([0.0, 0.05, 0.2]), _labels(dice)
        outcomes = {label: {label: 1 - noise, **dict.fromkeys(set("abc") - {label}, noise / 2)} for label in "abc"}
        table = [
            {"release": f"1.{at}.0", "outcomes": dict(sorted(outcomes[label].items()))}
            for at, label in enumerate(truth)
        ]
        policy = Policy(expected=frozenset("a"), resolution=3, workers=4)
        for change in changes_of(replay(table, policy, seed).verdict):
            before, after = (int(release.split(".")[1]) for release in (change.before, change.after))
            right = (truth[before], truth[after]) == (change.old, change.new)
            assert change.confidence is not None
            bins[sum(change.confidence >= edge for edge in (0.9, 0.97, 0.99))].append((change.confidence, right))
    full = [claims for claims in bins.values() if len(claims) >= ENOUGH]
    assert len(full) >= 2
    for claims in full:
        claimed, true = (sum(column) / len(claims) for column in zip(*claims, strict=True))
        assert claimed - true <= 0.02


def _answers(dice: Random, label: str, noise: float, *, by_process: bool) -> list[Answer]:
    """Return four answers of one release, from two processes in turn."""
    wrong = [other for other in "ab" if other != label]
    processes = [dice.random() < noise for _ in range(2)]
    struck = [processes[at % 2] if by_process else dice.random() < noise for at in range(4)]
    return [
        Outcome(dice.choice(wrong) if is_wrong else label, process=str(at % 2)) for at, is_wrong in enumerate(struck)
    ]


def test_the_confidence_of_answers_that_share_a_process_is_true_too() -> None:
    """One in five noisy probes is wrong by process, as the model says; every claim from 0.99 up is held to its word."""
    bins: dict[bool, list[tuple[float, bool]]] = defaultdict(list)
    for seed in range(6000):
        dice = Random(f"processes {seed}")
        noise = dice.choices(list(NOISE_PRIOR), list(NOISE_PRIOR.values()))[0]
        by_process, changed = dice.random() < BY_PROCESS, dice.random() < 1 / 3
        truth = ["a", "a", "b" if changed else "a", "b" if changed else "a"]
        sightings = []
        for at, label in enumerate(truth):
            answers = _answers(dice, label, noise, by_process=by_process)
            counted = tally(answers if at in (1, 2) else answers[:1])
            best = max(sorted(counted.counts), key=lambda one: counted.counts[one])
            sightings.append(Sighting(at, counted.counts, best, counted.processes))
        found, _ = change_confidences(sightings, ["a", "b"], len(truth), NOISE_PRIOR)
        if 1 in found:
            right = (truth[1], truth[2]) == (sightings[1].label, sightings[2].label)
            bins[found[1] >= 0.985].append((found[1], right))
    assert len(bins[True]) >= ENOUGH
    for claims in bins.values():
        claimed, true = (sum(column) / len(claims) for column in zip(*claims, strict=True))
        assert claimed - true <= 0.01


def test_answers_of_one_process_that_agree_count_for_less_than_those_of_several() -> None:
    def seen(*processes: int) -> float:
        left, right = (
            Sighting(at, {label: 4}, label, tuple(((label, answers),) for answers in processes))
            for at, label in enumerate("ab")
        )
        return sure(left, right)

    assert seen(4) < seen(2, 2) < seen(1, 1, 1, 1)
    assert seen(1, 1, 1, 1) == pytest.approx(sure(sighting(0, "a", a=4), sighting(1, "b", b=4)))


def test_a_clean_change_between_releases_of_four_answers_each_is_sure_to_ninety_nine_hundredths() -> None:
    def shown(label: str, at: int) -> Sighting:
        beside = at in (1, 2, 3, 4)
        processes = ((((label, 2),),) * 2) if beside else (((label, 1),),)
        return Sighting(at, {label: 4 if beside else 1}, label, processes)

    article = [shown(label, at) for at, label in enumerate("aabbaa")]
    found, _ = change_confidences(article, ["a", "b"], 6, NOISE_PRIOR)
    assert min(found.values()) >= 0.99


def _labels(dice: Random) -> list[str]:
    current, labels = "a", []
    for _ in range(dice.randint(2, 5)):
        labels += [current] * dice.randint(3, 8)
        current = dice.choice([letter for letter in "abc" if letter != current])
    return labels


@pytest.mark.parametrize("noise", [0.001, 0.32])
def test_the_mainline_teaches_the_branches_how_noisy_the_probe_is(noise: float) -> None:
    loud = [sighting(at, "a" if at < 3 else "b", a=5 - 2 * (at > 2), b=3 + 2 * (at > 2)) for at in range(6)]
    quiet = [sighting(at, "a" if at < 3 else "b", **{"a" if at < 3 else "b": 8}) for at in range(6)]
    _, weights = change_confidences(loud if noise > 0.1 else quiet, ["a", "b"], 6, NOISE_PRIOR)
    assert weights[noise] > NOISE_PRIOR[noise]
