"""Replay tables: what is read, and what is wrong with those that are not."""

from __future__ import annotations

from typing import Any

import pytest

from service.bisection.planner import Policy
from service.coordination.replay import replay
from service.errors import ReplayError

GOOD = {"release": "1.0.0", "outcome": "works"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "must be a JSON list"),
        ([], "The replay table is empty"),
        (["1.0.0"], "Row 1 is '1.0.0'"),
        ([{"outcome": "works"}], "Row 1 names no release"),
        ([{"release": "1.0.0"}], "none of them"),
        ([{**GOOD, "untestable": "x"}], "outcome and untestable"),
        ([GOOD, GOOD], "Row 2: 1.0.0 is in the table twice"),
        ([GOOD, {"release": "1.0", "outcome": "works"}], "the same version"),
        ([{"release": "1.0.0", "outcome": 3}], "outcome is 3"),
        ([{"release": "1.0.0", "outcomes": {"works": 0.5}}], "sum to 0.5"),
        ([{"release": "1.0.0", "outcomes": {"works": "much"}}], "'much'"),
        ([{"release": "1.0.0", "outcomes": {}}], "must map each label"),
        ([{**GOOD, "lost": -1}], "lost is -1"),
    ],
)
def test_a_bad_table_is_refused_with_the_row_and_the_reason(table: Any, message: str) -> None:
    with pytest.raises(ReplayError, match=message.replace("(", r"\(")):
        replay(table, Policy())


def test_the_result_has_the_verdict_and_what_it_cost() -> None:
    result = replay([GOOD, {"release": "1.1.0", "outcome": "broken"}], Policy(workers=2)).to_json()
    assert (result["runs"], result["rounds"]) == (4, 2)
    assert result["verdict"]["schema"] == "tfbisect/verdict/1"


def test_the_same_seed_gives_the_same_replay() -> None:
    table = [{"release": f"1.{at}.0", "outcomes": {"works": 0.7, "broken": 0.3}} for at in range(12)]
    assert replay(table, Policy(), 1) == replay(table, Policy(), 1)


def test_names_that_are_no_versions_are_one_line_in_the_order_of_the_table() -> None:
    table = [{"release": name, "outcome": outcome} for name, outcome in [("spring", "a"), ("autumn", "b")]]
    assert replay(table, Policy()).to_json()["verdict"]["changes"][0]["after"] == "autumn"
