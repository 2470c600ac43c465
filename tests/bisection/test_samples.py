"""Several runs of each release, compared as samples: what wavers is no change, what is clearly apart is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest

from service.bisection.facts import Facts
from service.bisection.outcomes import Value
from service.bisection.samples import RATIOS, Ratio, Sampling


def sampling(*releases: Sequence[Value], ratio: Ratio | None = None) -> Sampling:
    """Return one field of releases 1, 2, …; None: a run that has other fields alone."""
    return Sampling(
        {
            str(place): [Facts((("field", value), ("other", 1))) if value is not None else OTHER for value in values]
            for place, values in enumerate(releases, start=1)
        },
        ratio,
    )


OTHER = Facts((("other", 1),))


@pytest.mark.parametrize(
    ("releases", "groups"),
    [
        ([["a", "a"], ["a", "a"], ["b", "b"]], [("1", "2"), ("3",)]),
        # Numbers that are steady in every release are compared within the tolerance alone.
        ([[1.0, 1.0], [1.00001, 1.00001], [1.01, 1.01]], [("1", "2"), ("3",)]),
        # What was steady by chance in one release is a sample as soon as it wavers in another.
        ([[0.5, 0.5], [0.41, 0.55], [0.45, 0.52]], [("1", "2", "3")]),
        ([[0.11, 0.12], [0.10, 0.13], [0.95, 0.94]], [("1", "2"), ("3",)]),
        # A release that wavers belongs to one of two groups; it does not make them one.
        ([[1, 1], [1, 9], [9, 9]], [("1", "2"), ("3",)]),
        ([[1, 1], [1, 1], [9, 1], [9, 9], [9, 9]], [("1", "2", "3"), ("4", "5")]),
        ([["a", "a"], ["a", "b"], ["b", "b"]], [("1", "2"), ("3",)]),
        ([[None, None], ["a", None], ["a", "a"]], [("1", "2"), ("3",)]),
        ([[1, 1], [1, 9], [1, 1]], [("1", "2", "3")]),
        # Numbers within the tolerance of each other are alike through others, whatever wavers beside them.
        ([[1.0, 1.0], [1.00008, 1.00008], [1.00016, 1.00016], [1.0, 7.0]], [("1", "2", "3", "4")]),
        # Where most releases waver, a few equal numbers are chance.
        ([[0.5, 0.5], [0.4, 0.6], [0.6, 0.6], [0.5, 0.4], [0.6, 0.5]], [("1", "2", "3", "4", "5")]),
        # Text that wavers in two releases is compared nowhere, in one not there.
        ([["a", "b"], ["c", "d"], ["e", "e"], ["f", "f"]], [("1", "2", "3", "4")]),
        ([["a", "a"], ["a", "b"], ["a", "a"]], [("1", "2", "3")]),
        # A field that is missing differs, one that comes and goes does not.
        ([["a", "a"], [None, None]], [("1",), ("2",)]),
        ([["a", None], [None, None]], [("1", "2")]),
        # What comes back is the same again.
        ([["a", "a"], ["b", "b"], ["a", "a"]], [("1", "3"), ("2",)]),
        ([[True, True], [1, 1]], [("1",), ("2",)]),
    ],
)
def test_releases_that_show_the_same_are_one_group(releases: list[list[Value]], groups: list[tuple[str, ...]]) -> None:
    assert list(sampling(*releases).groups) == groups


def test_how_many_fields_there_are_may_depend_on_the_seed() -> None:
    def trained(epochs: int) -> Facts:
        return Facts((("calls of fit", epochs), *((f"fit {at} epoch 1 loss", 0.5) for at in range(1, epochs + 1))))

    def groups(*epochs: tuple[int, int]) -> int:
        return len(Sampling({str(at): [trained(each) for each in several] for at, several in enumerate(epochs)}).groups)

    assert groups((2, 3), (5, 4), (4, 4)) == 1
    assert groups((2, 2), (5, 5), (5, 5)) == 2


@pytest.mark.parametrize(
    ("seconds", "groups"),
    [
        ([[1.0, 1.1], [1.3, 1.4]], 1),
        ([[1.0, 1.1], [1.7, 1.9]], 2),
        ([[1.0, 1.1], [1.7, 1.2]], 1),  # one slow run is none
        ([[0.01, 0.01], [0.05, 0.05]], 1),  # too little to be told from the machine's noise
    ],
)
def test_time_is_judged_by_ratio_and_by_all_runs(seconds: list[list[Value]], groups: int) -> None:
    assert len(sampling(*seconds, ratio=RATIOS["time"]).groups) == groups


def test_what_wavers_is_named_and_what_differs_too() -> None:
    found = sampling([0.1, 0.2], [5.0, 5.1])
    assert found.wavering == ("field",)
    assert found.differing("1", "2") == ("field",)


def test_other_numbers_under_equal_seeds_are_a_note_and_no_change() -> None:
    found = sampling([0.41, 0.52], [0.41, 0.52], [0.49, 0.44])
    assert found.groups == (("1", "2", "3"),)
    assert found.streams == (("2", "3"),)


def normal(dice: Random) -> float:
    return dice.gauss(1.0, 0.1)


def heavy(dice: Random) -> float:
    """Return a number that is far off at times."""
    return dice.gauss(1.0, 0.1) * (10.0 if dice.random() < 0.05 else 1.0)


def skewed(dice: Random) -> float:
    return dice.lognormvariate(0.0, 1.0)


def nearly_constant(dice: Random) -> float:
    """Return a number that is seldom another."""
    return 2.0 if dice.random() < 0.05 else 1.0


def coarse(dice: Random) -> float:
    """Return an accuracy over eight samples, which is the same by chance at times."""
    return sum(dice.random() < 0.6 for _ in range(8)) / 8


@pytest.mark.parametrize(
    ("draw", "runs"),
    [*((draw, runs) for draw in (normal, heavy, skewed, coarse) for runs in (3, 4)), (nearly_constant, 4)],
)
def test_samples_of_one_distribution_are_told_apart_less_than_once_in_a_hundred(
    draw: Callable[[Random], float], runs: int
) -> None:
    false = 0
    for seed in range(300):
        dice = Random(f"{draw.__name__} {runs} {seed}")
        releases = {
            str(at): [Facts(tuple((f"loss {field}", draw(dice)) for field in range(6))) for _ in range(runs)]
            for at in range(6)
        }
        false += len(Sampling(releases).groups) > 1
    assert false / 300 < 0.01


def test_a_shift_well_beyond_what_wavers_is_found() -> None:
    found = 0
    for seed in range(200):
        dice = Random(seed)
        runs = {str(at): [Facts((("loss", dice.gauss(at >= 3, 0.05)),)) for _ in range(4)] for at in range(6)}
        found += Sampling(runs).groups == (("0", "1", "2"), ("3", "4", "5"))
    assert found / 200 > 0.98
