from __future__ import annotations

from typing import Any

import pytest
import typer

from service.bisection.outcomes import RunReport
from service.causes.explaining import Inquiry
from service.causes.raising import both_sides, error_in_report, error_sentence, warnings_in
from service.cli.minimise import change_to_keep, telling_lines
from service.cli.why import card_lines
from service.errors import BadInput
from service.reports.causes import cause_cards, cause_markdown

ERROR: dict[str, Any] = {
    "kind": "parameter",
    "said": "tf.keras.optimizers.SGD of 2.16.1 does not take lr, which 2.10.0 does.",
    "works": "2.10.0",
    "raises": "2.16.1",
    "warned_since": "2.3.0",
    "signatures": {"2.10.0": "tf.keras.optimizers.SGD(learning_rate=0.01, **kwargs)", "2.16.1": "SGD(learning_rate)"},
    "edit": {
        "title": "`lr` is `learning_rate`",
        "diff": "--- a/script.py\n+++ b/script.py\n@@ -1 +1 @@\n-SGD(lr=1)\n+SGD(learning_rate=1)\n",
        "runs_in": ["2.10.0", "2.16.1"],
    },
    "edits_tried": 1,
}
CAUSE = {
    "axis": "release",
    "package": None,
    "definitions": [],
    "stages": [{"name": "errors", "said": error_sentence(ERROR)}],
}
VERDICT = {
    "changes": [
        {
            "kind": "changed",
            "line": "mainline",
            "before": "2.10.0",
            "after": "2.16.1",
            "old": "passes",
            "new": "raises:ValueError",
            "between": [],
            "confidence": 0.99,
            "aspect": "ends",
            "cause": {**CAUSE, "error": ERROR},
        }
    ]
}


def report(**measured: object) -> RunReport:
    return RunReport("answered", result={"kind": "measured", "measurements": measured})


RAISES = report(raised={"exception": "ValueError", "message": "no", "line": 3, "traceback": "…"})


def test_the_side_that_raises_is_told_from_the_one_that_runs() -> None:
    found = both_sides({"before": report(raised=None), "after": RAISES})
    assert found is not None
    assert (found.works, found.raises, found.raised and found.raised.line) == ("before", "after", 3)
    fixed = both_sides({"before": RAISES, "after": report()})
    assert fixed is not None
    assert (fixed.works, fixed.raises) == ("after", "before")
    assert both_sides({"before": report(), "after": report()}) is None


def test_a_run_that_was_ended_for_its_memory_raises_nothing_and_counts() -> None:
    found = both_sides({"before": report(), "after": RunReport("out-of-memory", "3 GiB")})
    assert found is not None
    assert (found.raised, found.ending) == (None, "out-of-memory")


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"kind": "measured", "measurements": 3},
        {"kind": "measured", "measurements": {"raised": "x"}},
        {"kind": "raised"},
    ],
)
def test_what_no_probe_would_hand_over_raises_nothing(result: dict[str, Any] | None) -> None:
    hostile = RunReport("answered", result=result)
    assert error_in_report(hostile) is None
    assert warnings_in(hostile) == []


def test_a_line_that_is_no_number_is_no_line() -> None:
    found = error_in_report(RunReport("answered", result={"kind": "raised", "exception": "E" * 999, "line": True}))
    assert found is not None
    assert (found.line, len(found.exception)) == (None, 200)


def test_a_sentence_says_kind_reason_and_what_was_tried() -> None:
    assert error_sentence(ERROR) == (
        "Kind of error: parameter. tf.keras.optimizers.SGD of 2.16.1 does not take lr, which 2.10.0 does. "
        "2.3.0 and later warned of it. Edit, tried in 2.10.0 and 2.16.1: `lr` is `learning_rate`."
    )
    assert error_sentence({**ERROR, "edit": None, "edits_tried": 4}).endswith(
        "None of the edits tried (4) runs in both."
    )


def test_the_card_shows_signatures_and_the_edit_everywhere() -> None:
    (card,) = cause_cards(VERDICT)
    assert card.signatures[0] == ("2.10.0", "tf.keras.optimizers.SGD(learning_rate=0.01, **kwargs)")
    assert "+SGD(learning_rate=1)" in card.edit
    lines = [line.plain for line in card_lines(card, diff=False)]
    assert "    +SGD(learning_rate=1)" in lines
    assert "    2.16.1: SGD(learning_rate)" in lines
    text = cause_markdown(VERDICT)
    assert "```diff\n--- a/script.py" in text
    assert "`SGD(learning_rate)`" in text


def test_no_definition_is_looked_for_once_the_error_is_explained() -> None:
    inquiry = Inquiry.__new__(Inquiry)
    for kind, settled in (("parameter", True), ("usage-constraint", True), ("unknown", False)):
        inquiry.found = {"error": {"kind": kind}}
        assert inquiry.settled is settled
    inquiry.found = {}
    assert not inquiry.settled


SEVERAL = {
    "leading": "dropout",
    "changes": [{"before": "1.10.1", "after": "1.11.0", "aspect": "dropout"}, {"before": "1.12.0", "after": "1.13.1"}],
    "aspects": [
        {"name": "prints", "changes": [{"before": "1.9.0", "after": "1.10.0"}]},
        {"name": "ends", "changes": []},
    ],
}


def test_the_change_to_keep_is_the_leading_one_or_the_one_that_is_named() -> None:
    assert change_to_keep(SEVERAL, 1, None) == (("1.10.1", "1.11.0"), "dropout")
    assert change_to_keep(SEVERAL, 2, None) == (("1.12.0", "1.13.1"), "dropout")
    assert change_to_keep(SEVERAL, 1, "prints") == (("1.9.0", "1.10.0"), "prints")


def test_a_change_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="choose one of 1 to 2"):
        change_to_keep(SEVERAL, 3, None)
    with pytest.raises(BadInput, match="name one of prints, ends"):
        change_to_keep(SEVERAL, 1, "nothing")
    with pytest.raises(typer.Exit):
        change_to_keep(SEVERAL, 1, "ends")


def test_only_lines_that_say_something_are_counted() -> None:
    assert telling_lines("a = 1\n\n  \nb = 2\n") == 2
