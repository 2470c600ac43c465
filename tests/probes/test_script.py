from __future__ import annotations

from typing import Any

import pytest

from service.bisection.outcomes import Answer, Outcome, RunReport, Untestable, classify
from service.catalog.normalising import normalised
from service.faults import snippet_fault
from tests.probes.interpreters import interpreters
from tests.probes.protocol import PROBES, ask

SCRIPT = PROBES["script"]
NEWEST = list(interpreters().values())[-1]


def answer(source: str, python: str = NEWEST, **parameters: Any) -> Answer:
    result = ask(python, SCRIPT, source, parameters=parameters).result
    return classify(RunReport("answered", result=result), SCRIPT.judge)


@pytest.mark.parametrize(
    ("source", "parameters", "label"),
    [
        ("pass", {}, "passes"),
        ("raise SystemExit", {}, "passes"),
        ("raise SystemExit(3)", {}, "exit:3"),
        ("raise SystemExit('bad')", {}, "exit:1"),
        ("raise ValueError('x at 0x7f001234')", {}, "raises:ValueError: x at <address>"),
        ("raise KeyError", {}, "raises:KeyError"),
        ("print('loss 0.5')", {"pattern": r"loss 0\.\d$"}, "matches"),
        ("print('loss 1')", {"pattern": r"loss 0"}, "does-not-match"),
        ("raise ValueError('lost')", {"pattern": "lost"}, "matches"),
        ("raise ValueError('lost')", {"pattern": "found"}, "raises:ValueError: lost"),
        ("tfbisect_report('loss', 0.1 + 0.2)", {}, "reports:loss=0.3"),
        ("tfbisect_report('loss', 0.3000001)", {"expect": {"loss": 0.3}}, "as-expected"),
        ("tfbisect_report('loss', 0.4)", {"expect": {"loss": 0.3}}, "differs:loss"),
        ("pass", {"expect": {"loss": 0.3}}, "differs:loss"),
    ],
)
def test_a_script_is_judged_as_asked(source: str, parameters: dict[str, Any], label: str) -> None:
    found = answer(source, **parameters)
    assert isinstance(found, Outcome), found
    assert found.label == label


def test_exit_code_125_cannot_answer() -> None:
    assert isinstance(answer("raise SystemExit(125)"), Untestable)


def test_outputs_that_differ_in_what_says_nothing_share_an_outcome() -> None:
    one = answer("print('1.12.0 took 3.2 ms in /tmp/a/b.py')", judge_by="output")
    other = answer("print('2.0.1rc1 took 12 ms in /home/x.py')", judge_by="output")
    third = answer("import os; os.write(1, b'other')", judge_by="output")
    assert isinstance(one, Outcome)
    assert isinstance(other, Outcome)
    assert one.label == other.label != getattr(third, "label", "")
    assert "'1.12.0' -> <version>" in one.detail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at 0x7f12ab34cd", "at <address>"),
        ("2018-11-05 10:11:12.123 start", "<date> start"),
        ("10/10 - 3s 12ms/step - loss: 0.51", "10/10 - <duration> <duration> - loss: 0.51"),
        ("a\rb\rc", "c"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("and/or 0.25 1.5", "and/or 0.25 1.5"),
        ("File /usr/lib/x.py, line 3", "File <path>, line 3"),
    ],
)
def test_normalising_leaves_what_counts(text: str, expected: str) -> None:
    assert normalised(text).text == expected


def test_a_snippet_that_fails_alike_everywhere_is_at_fault() -> None:
    raised = {"kind": "raised", "exception": "KeyError", "line": 3, "traceback": "KeyError: 'a'"}
    assert "KeyError at line 3 in all 2 releases" in str(snippet_fault({"1": raised, "2": raised}))
    assert snippet_fault({"1": raised}) is None
    assert snippet_fault({"1": raised, "2": {**raised, "line": 4}}) is None
    assert snippet_fault({"1": raised, "2": {"kind": "measured", "measurements": {}}}) is None
    assert snippet_fault({}) is None
