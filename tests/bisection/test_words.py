"""What a change reads like, wherever it is told: one table for every form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.bisection.comparison import differences
from service.bisection.verdict import Change, ChangeCause, VersionDifference, change_of
from service.bisection.words import (
    Form,
    causes_in_words,
    change_in_short,
    change_phrase,
    change_with_releases,
    place_of,
)
from service.cli.terminal import timeline_lines
from service.nightly.nights import VerdictDifference, difference_words
from service.reports.timeline import Knowledge, timeline_of
from service.reports.views import changes_in_short

PINNED: dict[str, Any] = {}
IN_A_GAP = {"between": ["1.10.0"]}
IN_A_LONG_GAP = {"between": [f"1.10.{patch}" for patch in range(9)]}
OPEN = {"unasked": ["1.10.0"]}
OPEN_BESIDE_A_GAP = {"between": ["1.10.0"], "unasked": ["1.10.1"]}


def change(**facts: Any) -> dict[str, Any]:
    ends = {"before": "1.9.0", "after": "1.11.0", "old": "drops", "new": "never-drops"}
    return {"kind": "introduced", "line": "mainline", **ends, **facts}


def verdict(**facts: Any) -> dict[str, Any]:
    sides = [("drops", "1.9.0"), ("never-drops", "1.11.0")]
    segments = [
        {"line": "mainline", "outcome": outcome, "from": at, "to": at, "measured": [at], "inferred": [],
         "untestable": []} for outcome, at in sides
    ]  # fmt: skip
    return {"changes": [{"between": [], **change(**facts)}], "segments": segments}


@pytest.mark.parametrize(
    ("facts", "form", "said"),
    [
        (PINNED, "long", "in 1.11.0"),
        (PINNED, "row", "in 1.11.0"),
        (PINNED, "short", "in 1.11.0"),
        (IN_A_GAP, "long", "after 1.9.0 and in 1.11.0 at the latest (1.10.0 untestable)"),
        (IN_A_GAP, "row", "in 1.11.0 at the latest: 1.10.0 untestable"),
        (IN_A_GAP, "short", "in 1.10.0 to 1.11.0"),
        (IN_A_LONG_GAP, "row", "in 1.11.0 at the latest: 1.10.0 to 1.10.8, 9 releases, untestable"),
        (OPEN, "long", "between 1.9.0 and 1.11.0, not yet narrowed down"),
        (OPEN, "row", "by 1.11.0"),
        (OPEN, "short", "by 1.11.0"),
        (OPEN_BESIDE_A_GAP, "long", "between 1.9.0 and 1.11.0, not yet narrowed down"),
        (OPEN_BESIDE_A_GAP, "short", "by 1.11.0"),
    ],
)
def test_where_a_change_is(facts: dict[str, Any], form: Form, said: str) -> None:
    assert place_of(change_of(change(**facts)), form) == said


@pytest.mark.parametrize(
    ("line", "phrase", "with_releases"),
    [
        (
            "mainline",
            "introduced in 1.11.0: drops became never-drops",
            "introduced in 1.11.0: drops in 1.9.0, never-drops in 1.11.0",
        ),
        (
            "1.9",
            "on branch 1.9 introduced in 1.11.0: drops became never-drops",
            "introduced in 1.11.0 on branch 1.9: drops in 1.9.0, never-drops in 1.11.0",
        ),
    ],
)
def test_a_change_in_half_a_sentence(line: str, phrase: str, with_releases: str) -> None:
    found = change_of(change(line=line))
    assert (change_phrase(found), change_with_releases(found)) == (phrase, with_releases)


@pytest.mark.parametrize("facts", [PINNED, IN_A_GAP, OPEN, OPEN_BESIDE_A_GAP])
def test_whoever_tells_of_a_change_says_the_same_place(facts: dict[str, Any]) -> None:
    told, stored = change_of(change(**facts)), verdict(**facts)
    flags = [step.marker.says for step in timeline_of(stored, Knowledge()).steps if step.marker]
    rows = [row.plain for row in timeline_lines(stored, frozenset({"drops"}))]
    assert flags == [change_in_short(told)]
    assert changes_in_short(stored["changes"]).lower() == change_in_short(told)
    assert rows[-1].endswith(f"{told.kind} {place_of(told, 'row')}")
    assert place_of(told, "long") in difference_words(VerdictDifference(appeared=(stored["changes"][0],)))
    assert place_of(told, "short") in differences({**stored, "changes": []}, stored)[0]


def test_a_change_that_an_earlier_version_stored_is_read() -> None:
    read = change_of(change())
    assert (read.between, read.unasked, read.confirmed, read.confidence) == ((), (), False, None)
    assert isinstance(read, Change)


NUMPY_STEP, BOARD_STEP = "numpy 1.14.5 to 1.15.4", "tensorboard 1.10.0 to 1.11.0"
BRIDGE_RUNS = "(2 runs with versions of both sides)"


def test_what_a_change_comes_from_is_said_with_what_else_differs() -> None:
    numpy, board = VersionDifference("numpy", "1.14.5", "1.15.4"), VersionDifference("tensorboard", "1.10.0", "1.11.0")
    place = Change("introduced", "mainline", "1.10.0", "1.11.0", "drops", "never-drops")
    for cause, said in [
        (ChangeCause("release"), "nothing else differs between the two environments."),
        (
            ChangeCause("release", (numpy, board), runs=2),
            f"the release itself, with what is numbered like it: {BOARD_STEP}; not {NUMPY_STEP} {BRIDGE_RUNS}.",
        ),
        (ChangeCause("environment", (numpy,), (numpy,), "1.10.0"), "numpy 1.14.5 to 1.15.4."),
        (ChangeCause("unknown", (numpy,), (numpy,), reason="why"), "the release or numpy 1.14.5 to 1.15.4: why."),
    ]:
        assert causes_in_words([replace(place, cause=cause)] * 2) == [f"1.10.0 to 1.11.0: {said}"]
