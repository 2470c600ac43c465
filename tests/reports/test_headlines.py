"""The one sentence that a page, a list and a shared picture begin with."""

from __future__ import annotations

from typing import Any

import pytest

from service.reports.headlines import sentence_of


def change(kind: str, after: str, before: str = "1.0.0", line: str = "mainline") -> dict[str, Any]:
    sides = ("drops", "never-drops") if kind == "introduced" else ("never-drops", "drops")
    return {
        "kind": kind,
        "line": line,
        "before": before,
        "after": after,
        "old": sides[0],
        "new": sides[1],
        "between": [],
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["introduced 1.11.0", "fixed 1.13.1"], "Dropout stops working in 1.11.0 and works again in 1.13.1"),
        (["introduced 1.11.0"], "Dropout stops working in 1.11.0"),
        (["fixed 1.13.1"], "Dropout works in 1.13.1"),
        (
            ["introduced 1.11.0", "fixed 1.13.1", "introduced 2.0.0"],
            "Dropout stops working in 1.11.0, works again in 1.13.1 and stops working again in 2.0.0",
        ),
        ([f"{kind} 1.{n}.0" for n in range(3) for kind in ("introduced", "fixed")][:6], "and 2 more changes"),
        ([], ""),
        (["changed 1.11.0"], ""),
    ],
)
def test_changes_are_told_in_the_order_in_which_they_happen(changes: list[str], said: str) -> None:
    verdict = {"changes": [change(*each.split()) for each in changes]}
    told = sentence_of(verdict, "dropout")
    assert told.endswith(said)
    assert bool(told) == bool(said)


def test_a_probe_without_a_subject_keeps_its_own_words() -> None:
    assert sentence_of({"changes": [change("introduced", "1.1.0")], "leading": "prints"}, "behaviour") == ""


def test_a_script_that_fails_on_one_side_only_works_on_the_other() -> None:
    ends = [("14.1", "raises:ImportError", "passes"), ("22.0", "passes", "raises:InvalidVersion")]
    changes = [{**change("changed", after), "old": old, "new": new} for after, old, new in ends]
    said = sentence_of({"changes": changes, "leading": "ends"}, "behaviour")
    assert said == "The script works in 14.1 and stops working in 22.0"
    both = {**change("changed", "2.0.0"), "old": "raises:KeyError", "new": "raises:ValueError"}
    assert sentence_of({"changes": [both], "leading": "ends"}, "behaviour") == ""
