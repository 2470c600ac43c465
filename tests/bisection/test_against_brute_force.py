"""Thousands of random histories, each compared with what looking at every release would say."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2
from random import Random
from typing import Any

import pytest

from service.bisection.planner import Policy
from service.bisection.verdict import Change, changes_of
from service.coordination.replay import ReplayResult, replay

LETTERS = "abc"
EXPECTED = frozenset("a")


@dataclass(frozen=True)
class History:
    """Labels along a line, oldest first; "u" is untestable."""

    labels: list[str]
    shortest: int
    """Releases of its shortest behaviour."""

    def table(self) -> list[dict[str, Any]]:
        return [{"release": f"1.{index}.0", **cell(label)} for index, label in enumerate(self.labels)]

    def changes(self) -> list[tuple[str, str, str, str]]:
        """Return each change by looking at every release: before, after, old, new."""
        testable = [(f"1.{index}.0", label) for index, label in enumerate(self.labels) if label != "u"]
        return [(one[0], two[0], one[1], two[1]) for one, two in pairwise(testable) if one[1] != two[1]]

    def bound(self, resolution: int) -> int:
        """Return the runs that a clean history may cost at most, confirmations included."""
        found = len(self.changes())
        survey = ceil((len(self.labels) - 1) / resolution) + 1
        return survey + found * ceil(log2(resolution)) + 2 * found


def cell(label: str) -> dict[str, Any]:
    return {"untestable": "no wheel"} if label == "u" else {"outcome": label}


def behaviours(dice: Random, count: int, shortest: int, longest: int) -> History:
    """Return a history of that many behaviours; neighbours differ, labels come back."""
    labels: list[str] = []
    current = dice.choice(LETTERS)
    lengths = [dice.randint(shortest, longest) for _ in range(count)]
    for length in lengths:
        labels += [current] * length
        current = dice.choice([letter for letter in LETTERS if letter != current])
    return History(labels, min(lengths))


def with_gaps(dice: Random, history: History, resolution: int) -> History:
    """Put up to three gaps anywhere, at least `resolution` testable releases between any two."""
    labels, places, last = list(history.labels), [], -resolution
    for place in sorted(dice.sample(range(len(labels) + 1), min(3, len(labels)))):
        if place - last >= resolution:
            places.append(place)
            last = place
    for place in reversed(places):
        labels[place:place] = ["u"] * dice.randint(1, 12)
    return History(labels, history.shortest)


def bisected(history: History, resolution: int, **options: Any) -> ReplayResult:
    return replay(history.table(), Policy(expected=EXPECTED, resolution=resolution, **options))


def said(changes: tuple[Change, ...]) -> list[tuple[str, str, str, str]]:
    return [(change.before, change.after, change.old, change.new) for change in changes]


@pytest.mark.parametrize("batch", range(10))
def test_every_change_of_a_clean_history_is_found_within_the_bound(batch: int) -> None:
    for seed in range(batch * 100, batch * 100 + 100):
        dice = Random(seed)
        history = behaviours(dice, dice.randint(1, 7), 1, dice.choice([1, 3, 8, 20]))
        resolution = dice.randint(1, history.shortest)
        result = bisected(history, resolution)
        assert said(changes_of(result.verdict)) == history.changes(), seed
        assert result.runs <= history.bound(resolution), seed


@pytest.mark.parametrize("batch", range(6))
def test_behaviours_as_long_as_the_resolution_are_found_whatever_the_workers(batch: int) -> None:
    for seed in range(batch * 100, batch * 100 + 100):
        dice = Random(f"workers {seed}")
        resolution = dice.randint(1, 30)
        history = behaviours(dice, dice.randint(1, 4), resolution, 2 * resolution)
        result = bisected(history, resolution, workers=dice.choice([2, 3, 4, 8, 16]))
        assert said(changes_of(result.verdict)) == history.changes(), seed


@pytest.mark.parametrize("batch", range(10))
def test_every_change_is_found_around_gaps_and_the_gap_is_named(batch: int) -> None:
    for seed in range(batch * 100, batch * 100 + 100):
        dice = Random(f"gaps {seed}")
        resolution = dice.randint(1, 8)
        clean = behaviours(dice, dice.randint(1, 5), resolution, 3 * resolution)
        history = with_gaps(dice, clean, resolution)
        result = bisected(history, resolution, workers=dice.choice([1, 1, 3]))
        changes = changes_of(result.verdict)
        assert said(changes) == history.changes(), seed
        for change in changes:
            first, last = (int(release.split(".")[1]) for release in (change.before, change.after))
            assert change.between == tuple(f"1.{index}.0" for index in range(first + 1, last)), seed


@pytest.mark.parametrize("batch", range(5))
def test_nothing_false_is_said_where_untestable_releases_lie_anywhere(batch: int) -> None:
    for seed in range(batch * 100, batch * 100 + 100):
        dice = Random(f"scattered {seed}")
        history = behaviours(dice, dice.randint(1, 5), 1, 12)
        share = dice.choice([0.1, 0.4, 0.8])
        labels = ["u" if dice.random() < share else label for label in history.labels]
        truth = {f"1.{index}.0": label for index, label in enumerate(labels)}
        result = bisected(History(labels, 1), dice.randint(1, 6))
        for segment in result.verdict.segments:
            assert {truth[release] for release in segment.measured} == {segment.outcome}
            assert {truth[release] for release in segment.untestable} <= {"u"}
        for change in changes_of(result.verdict):
            assert (truth[change.before], truth[change.after]) == (change.old, change.new), seed
            assert {truth[release] for release in change.between if release not in change.presumed} <= {"u"}


@pytest.mark.parametrize("batch", range(5))
def test_resolution_one_finds_everything_wherever_untestable_releases_lie(batch: int) -> None:
    for seed in range(batch * 100, batch * 100 + 100):
        dice = Random(f"all {seed}")
        history = behaviours(dice, dice.randint(1, 5), 1, 8)
        labels = ["u" if dice.random() < 0.4 else label for label in history.labels]
        scattered = History(labels, 1)
        assert said(changes_of(bisected(scattered, 1).verdict)) == scattered.changes(), seed


def branched(dice: Random) -> dict[str, str]:
    """Return a history with branches: each patch release keeps the behaviour before it or, at times, changes it."""
    truth: dict[str, str] = {}
    for index, label in enumerate(behaviours(dice, dice.randint(1, 4), 1, 5).labels):
        truth[f"1.{index}.0"] = label
        current = label
        for patch in range(1, dice.choice([1, 1, 2, 4])):
            current = dice.choice(LETTERS) if dice.random() < 0.3 else current
            truth[f"1.{index}.{patch}"] = current if dice.random() < 0.8 else "u"
    return truth


def minors(truth: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Return the testable releases of each minor, oldest first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for release, label in truth.items():
        if label != "u":
            found.setdefault(release.rsplit(".", 1)[0], []).append((release, label))
    return found


@pytest.mark.parametrize("batch", range(5))
def test_all_branches_at_resolution_one_give_every_change_of_every_line(batch: int) -> None:
    for seed in range(batch * 60, batch * 60 + 60):
        truth = branched(Random(f"branches {seed}"))
        table = [{"release": release, **cell(label)} for release, label in truth.items()]
        result = replay(table, Policy(expected=EXPECTED, resolution=1, branches="all", workers=3))
        for minor, releases in minors(truth).items():
            want = [(one[0], two[0], one[1], two[1]) for one, two in pairwise(releases) if one[1] != two[1]]
            found = tuple(change for change in changes_of(result.verdict) if change.line == minor)
            assert said(found) == want, (seed, minor)


@pytest.mark.parametrize("batch", range(5))
def test_tips_tell_how_each_branch_beside_a_change_or_out_of_order_ends(batch: int) -> None:
    for seed in range(batch * 60, batch * 60 + 60):
        truth = branched(Random(f"tips {seed}"))
        table = [{"release": release, **cell(label)} for release, label in truth.items()]
        result = replay(table, Policy(expected=EXPECTED, resolution=1))
        changes = changes_of(result.verdict)
        bordering = {side.rsplit(".", 1)[0] for change in changes for side in (change.before, change.after)
                     if change.line == "mainline"}  # fmt: skip
        for minor, releases in minors(truth).items():
            wrong = releases[0][1] not in EXPECTED
            if len(releases) > 1 and (minor in bordering or wrong):
                lasts = [segment for segment in result.verdict.segments if segment.line == minor]
                assert lasts, (seed, minor)
                assert (lasts[-1].last, lasts[-1].outcome) == releases[-1], (seed, minor)
        for change in changes:
            assert (truth[change.before], truth[change.after]) == (change.old, change.new), seed


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_noisy_histories_are_read_right_nearly_always(noise: float) -> None:
    right = total = 0
    for seed in range(150):
        dice = Random(f"noise {seed}")
        history = behaviours(dice, dice.randint(1, 3), 4, 10)
        others = {label: [other for other in LETTERS if other != label] for label in LETTERS}
        table = [
            {
                "release": f"1.{index}.0",
                "outcomes": {label: 1 - noise, **dict.fromkeys(others[label], noise / 2)},
            }
            for index, label in enumerate(history.labels)
        ]
        result = replay(table, Policy(expected=EXPECTED, resolution=4, workers=4), seed)
        right += said(changes_of(result.verdict)) == history.changes()
        total += 1
    assert right / total >= 0.9
