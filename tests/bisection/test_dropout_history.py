"""The history that this product was made for."""

from __future__ import annotations

import pytest

from service.bisection.planner import Policy
from service.coordination.replay import ReplayResult, replay
from tests.bisection.worlds import spoken

HISTORY = {
    "1.9.0": "drops",
    "1.10.0": "drops",
    "1.10.1": "drops",
    "1.11.0": "never-drops",
    "1.12.0": "never-drops",
    "1.12.2": "never-drops",
    "1.12.3": "never-drops",
    "1.13.1": "drops",
    "1.13.2": "drops",
    "1.14.0": "drops",
}


def bisect_dropout(**options: object) -> ReplayResult:
    table = [{"release": release, "outcome": outcome} for release, outcome in HISTORY.items()]
    return replay(table, Policy(expected=frozenset({"drops"}), **options))  # type: ignore[arg-type]


def test_the_bug_is_introduced_in_1_11_and_fixed_in_1_13() -> None:
    assert spoken(bisect_dropout().verdict) == ["introduced 1.11.0", "fixed 1.13.1"]


def test_the_plan_is_a_survey_two_confirmations_per_change_and_three_tips() -> None:
    assert bisect_dropout().runs == 6 + 4 + 3


@pytest.mark.parametrize(("workers", "rounds"), [(1, 13), (2, 7), (4, 4), (8, 2)])
def test_rounds_fall_with_workers_and_runs_do_not_rise(workers: int, rounds: int) -> None:
    result = bisect_dropout(workers=workers)
    assert (result.runs, len(result.rounds)) == (13, rounds)


def test_the_words_say_that_a_branch_never_got_the_fix() -> None:
    verdict = bisect_dropout().to_json()["verdict"]
    assert "the 1.12 patch releases up to 1.12.3 never got the fix" in verdict["summary"]
    assert verdict["never_fixed"] == [
        {"line": "1.12", "last": "1.12.3", "outcome": "never-drops", "fixed_at": "1.13.1"}
    ]


def test_the_segment_of_a_branch_starts_at_its_mainline_release() -> None:
    segments = bisect_dropout().to_json()["verdict"]["segments"]
    assert {
        "line": "1.12",
        "outcome": "never-drops",
        "from": "1.12.0",
        "to": "1.12.3",
        "measured": ["1.12.0", "1.12.3"],
        "inferred": ["1.12.2"],
        "untestable": [],
    } in segments


def test_releases_are_counted_over_all_lines() -> None:
    releases = bisect_dropout().to_json()["verdict"]["releases"]
    assert releases == {
        "first": "1.9.0",
        "last": "1.14.0",
        "considered": 10,
        "measured": 9,
        "inferred": 1,
        "untestable": 0,
        "unexamined": 0,
    }
