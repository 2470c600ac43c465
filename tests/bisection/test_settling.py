"""The rules by which answers become a reading, each as a table."""

from __future__ import annotations

from random import Random

import pytest

from service.bisection.outcomes import Answer, Lost, Outcome, Refused, Untestable
from service.bisection.settling import (
    FLAKY,
    NoiseRule,
    interval,
    needed_lead,
    pooled_noise,
    read_answers,
    settle,
    tally,
)

RULE = NoiseRule()
NO, GONE, SHY = Untestable("no wheel"), Lost("engine gone"), Refused("no model")
FULL = Lost("the disk is full", hopeless=True)
W, B = Outcome("works"), Outcome("broken")


@pytest.mark.parametrize(
    ("counts", "noise", "settled"),
    [
        ({"works": 1}, 0.0, "works"),
        ({"works": 9}, 0.2, "works"),
        ({"works": 1, "broken": 1}, 0.0, None),
        ({"works": 2, "broken": 1}, 0.2, None),
        ({"works": 6, "broken": 1}, 0.05, "works"),
        ({"works": 9, "broken": 1}, 0.2, "works"),
        ({"works": 5, "broken": 5}, 0.0, FLAKY),
        ({"works": 5, "broken": 5}, 0.2, None),
    ],
)
def test_answers_settle_by_the_stated_rule(counts: dict[str, int], noise: float, settled: str | None) -> None:
    assert settle(counts, noise, RULE) == settled


@pytest.mark.parametrize(
    ("answers", "label", "gap"),
    [
        ([W], "works", None),
        ([NO], None, "untestable"),
        ([SHY], None, "refused"),
        ([GONE], None, None),
        ([GONE, GONE, GONE], None, "lost"),
        ([FULL], None, "lost"),
        ([GONE, GONE, W], "works", None),
        ([GONE, NO], None, "untestable"),
        ([W, NO], "works", None),
    ],
)
def test_what_is_no_outcome_is_kept_apart(answers: list[Answer], label: str | None, gap: str | None) -> None:
    reading = read_answers(tally(answers), 0.0, RULE)
    assert (reading.label, reading.gap) == (label, gap)


@pytest.mark.parametrize(
    ("error_rate", "noise", "lead"), [(0.01, 0.0, 1), (0.01, 0.05, 2), (0.01, 0.2, 4), (0.1, 0.2, 2), (0.5, 0.2, 1)]
)
def test_the_lead_grows_with_the_noise(error_rate: float, noise: float, lead: int) -> None:
    assert needed_lead(error_rate, noise) == lead


def test_noise_is_none_until_two_answers_differ() -> None:
    assert pooled_noise([tally([W, W]), tally([B])]) == 0
    assert pooled_noise([tally([W, W, W, B])]) > 0


def test_a_flaky_release_says_nothing_of_the_noise_of_the_probe() -> None:
    assert pooled_noise([tally([W, W]), tally([W, B] * 4)]) == 0


@pytest.mark.parametrize(("share", "outcome", "at_least"), [(0.5, FLAKY, 0.85), (0.95, "works", 0.9)])
def test_how_often_repetition_tells_flaky_from_noisy(share: float, outcome: str, at_least: float) -> None:
    right = 0
    for seed in range(300):
        dice = Random(seed)
        answers: list[Answer] = [W, B]
        while (reading := read_answers(tally(answers), 0.05, RULE)).disputed:
            answers.append(W if dice.random() < share else B)
        right += reading.label == outcome
    assert right / 300 >= at_least


def test_the_interval_of_a_share_holds_it_and_narrows() -> None:
    few, many = interval(3, 10), interval(30, 100)
    assert few[0] < 0.3 < few[1]
    assert many[1] - many[0] < few[1] - few[0]
