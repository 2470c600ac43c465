"""From a verdict to cells, flags and words."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from service.bisection.releases import tree_of
from service.reports.timeline import Knowledge, Timeline, timeline_of
from service.reports.tones import tones_of

BROKEN = "never-drops"


def segment(line: str, outcome: str, *measured: str, inferred: tuple[str, ...] = ()) -> dict[str, Any]:
    ends = {"from": measured[0], "to": measured[-1]}
    return {"line": line, "outcome": outcome, **ends, "measured": list(measured), "inferred": list(inferred)}


def change(kind: str, before: str, after: str, old: str, new: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "line": "mainline", "before": before, "after": after, "old": old, "new": new, **more}


DROPOUT: dict[str, Any] = {
    "segments": [
        segment("mainline", "drops", "1.9.0", "1.10.0"),
        segment("mainline", BROKEN, "1.11.0", "1.12.0"),
        segment("mainline", "drops", "1.13.1", "1.14.0"),
        segment("1.12", BROKEN, "1.12.0", "1.12.3", inferred=("1.12.2",)),
    ],
    "changes": [
        change("introduced", "1.10.0", "1.11.0", "drops", BROKEN),
        change("fixed", "1.12.0", "1.13.1", BROKEN, "drops"),
    ],
    "untestable": [{"release": "1.13.0", "reason": "not on the package index"}],
}
PROBE: dict[str, Any] = {"expected": {"drops"}, "outcomes": ("drops", "never-drops", "always-drops", "wrong-rate")}


def shape(timeline: Timeline) -> list[tuple[str, list[str]]]:
    return [(column.step.cell.release, [step.cell.release for step in column.branch]) for column in timeline.columns]


def states(timeline: Timeline) -> dict[str, str]:
    return {step.cell.release: step.cell.state for step in timeline.steps}


def test_the_mainline_runs_above_and_branches_hang_below() -> None:
    drawn = timeline_of(DROPOUT, Knowledge(**PROBE))
    assert shape(drawn) == [
        ("1.9.0", []),
        ("1.10.0", []),
        ("1.11.0", []),
        ("1.12.0", ["1.12.2", "1.12.3"]),
        ("1.13.1", []),
        ("1.14.0", []),
    ]
    assert states(drawn)["1.12.2"] == "inferred"
    assert states(drawn)["1.12.3"] == "measured"


def test_a_change_is_flagged_at_the_release_that_shows_it_first() -> None:
    drawn = timeline_of(DROPOUT, Knowledge(**PROBE))
    flags = {step.cell.release: step.marker.says for step in drawn.steps if step.marker}
    assert flags == {"1.11.0": "introduced in 1.11.0", "1.13.1": "fixed in 1.13.1"}


def test_a_change_beside_a_gap_is_flagged_as_a_range_and_never_as_one_culprit() -> None:
    ranged = change("introduced", "1.9.0", "1.11.0", "drops", BROKEN, between=["1.10.0"])
    drawn = timeline_of({**DROPOUT, "changes": [ranged]}, Knowledge(**PROBE))
    assert [step.marker.says for step in drawn.steps if step.marker] == ["introduced in 1.10.0 to 1.11.0"]


def test_releases_that_the_verdict_does_not_know_run_or_were_not_run() -> None:
    tree = tree_of(["1.9.0", "1.10.0", "1.10.1", "1.11.0", "1.12.0", "1.15.0", "2.0.0"])
    live = states(timeline_of(DROPOUT, Knowledge(tree=tree, running=["1.15.0"], **PROBE)))
    assert (live["1.15.0"], live["2.0.0"], live["1.10.1"]) == ("running", "not_run", "not_run")


def test_an_untestable_release_says_why() -> None:
    tree = tree_of(["1.12.0", "1.13.0", "1.13.1"])
    drawn = timeline_of(DROPOUT, Knowledge(tree=tree, **PROBE))
    cell = next(step.cell for step in drawn.steps if step.cell.release == "1.13.0")
    assert (cell.state, cell.tone) == ("untestable", "none")
    assert "not on the package index" in cell.says


def test_the_strip_is_said_in_words() -> None:
    assert (
        timeline_of(DROPOUT, Knowledge(**PROBE)).says == "drops from 1.9.0, never-drops from 1.11.0, drops from 1.13.1"
    )
    assert timeline_of({}, Knowledge()).says == "nothing measured yet"


def test_flags_that_would_cover_each_other_stand_on_different_levels() -> None:
    releases = [f"1.{minor}.0" for minor in range(40)]
    changes = [change("changed", before, after, "a", "b") for before, after in pairwise(releases)][:6]
    drawn = timeline_of({"changes": changes}, Knowledge(tree=tree_of(releases)))
    levels = [step.marker.level for step in drawn.steps if step.marker]
    assert all(one != other for one, other in pairwise(levels))
    assert drawn.levels == max(levels) + 1


def test_a_flag_flies_left_where_there_is_no_room_to_its_right_and_covers_nothing_there() -> None:
    releases = [f"1.{minor}.0" for minor in range(20)]
    ends = [("1.17.0", "1.18.0"), ("1.18.0", "1.19.0")]
    changes = [change("changed", before, after, "a", "b") for before, after in ends]
    drawn = timeline_of({"changes": changes}, Knowledge(tree=tree_of(releases)))
    markers = [step.marker for step in drawn.steps if step.marker]
    assert [marker.is_mirrored for marker in markers] == [True, True]
    assert markers[0].level != markers[1].level


@pytest.mark.parametrize(
    ("label", "tone"),
    [
        ("drops", "good"),
        ("never-drops", "odd1"),
        ("always-drops", "odd2"),
        ("wrong-rate", "odd3"),
        ("raises:ValueError", "raise"),
        ("exits:1", "raise"),
        ("flaky", "flaky"),
        ("new-one", "odd4"),
    ],
)
def test_an_outcome_wears_the_same_tone_on_every_page(label: str, tone: str) -> None:
    assert tones_of([label], PROBE["outcomes"], {"drops"})[label] == tone
