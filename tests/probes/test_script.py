"""The probe script, as it really runs, and what its answers mean."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import Any

import pytest

from service.bisection.likeness import read_together
from service.bisection.outcomes import Answer, Outcome, RunReport, Untestable, classify
from service.catalog.normalising import normalised
from service.coordination.intake import accepted
from service.errors import BadInput
from tests.probes.interpreters import interpreters
from tests.probes.protocol import PROBES, ask

SCRIPT = PROBES["script"]
NEWEST = list(interpreters().values())[-1]


def answer(source: str, python: str = NEWEST, **parameters: Any) -> Answer:
    result = ask(python, SCRIPT, source, parameters=SCRIPT.measured_with(parameters)).result
    return classify(RunReport("answered", result=result), SCRIPT.judging_with(parameters))


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
        ("import sys; sys.stderr.write('loss is deprecated')", {"pattern": "deprecated$"}, "matches"),
        ("raise SystemExit(3)", {"pattern": "x"}, "does-not-match"),
        ("print('loss nan')", {"bad_pattern": "nan$"}, "matches"),
        ("print('loss 1')", {"bad_pattern": "nan$"}, "does-not-match"),
        ("raise ValueError('lost')", {"regress": "success"}, "fails"),
        ("raise SystemExit(3)", {"regress": "success"}, "fails"),
        ("pass", {"regress": "success"}, "passes"),
        ("tfbisect_report('loss', 0.1 + 0.2)", {}, "reports:loss=0.3"),
        ("tfbisect_report('losses', [0.5, 0.25])", {}, "reports:losses[0]=0.5, losses[1]=0.25"),
        ("tfbisect_report('losses', [0.5, 0.25])", {"expect": {"losses": [0.5, 0.2500001]}}, "as-expected"),
        ("tfbisect_report('losses', [0.5, 0.3])", {"expect": {"losses": [0.5, 0.25]}}, "differs:losses[1]"),
        ("tfbisect_report('loss', float('nan'))", {"expect": {"loss": "nan"}}, "as-expected"),
        ("tfbisect_report('loss', 0.31)", {"expect": {"loss": 0.3}, "tolerance": 0.1}, "as-expected"),
        ("tfbisect_report('steps', 10001)", {"expect": {"steps": 10000}, "tolerance": 0.1}, "differs:steps"),
        ("tfbisect_report('loss', 0.3000001)", {"expect": {"loss": 0.3}}, "as-expected"),
        ("tfbisect_report('loss', 0.4)", {"expect": {"loss": 0.3}}, "differs:loss"),
        ("pass", {"expect": {"loss": 0.3}}, "differs:loss"),
    ],
)
def test_a_script_is_judged_as_asked(source: str, parameters: dict[str, Any], label: str) -> None:
    found = answer(source, **parameters)
    assert isinstance(found, Outcome), found
    assert found.label == label


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, {"passes", "as-expected"}),
        ({"regress": "error"}, {"passes", "as-expected"}),
        ({"regress": "success"}, {"fails"}),
        ({"pattern": "x"}, set()),
        ({"pattern": "x", "regress": "match"}, {"does-not-match"}),
        ({"pattern": "x", "regress": "no-match"}, {"matches"}),
        ({"bad_pattern": "x"}, {"does-not-match"}),
        ({"bad_pattern": "x", "regress": "match"}, {"does-not-match"}),
    ],
)
def test_what_is_right_follows_from_what_was_asked(parameters: dict[str, Any], expected: set[str]) -> None:
    assert SCRIPT.expected_with(accepted(SCRIPT, parameters)) == expected


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"regress": "match"}, "needs a pattern"),
        ({"regress": "no-match"}, "needs a pattern"),
        ({"pattern": "x", "bad_pattern": "y"}, "not both"),
        ({"pattern": "x", "regress": "success"}, "does not go with"),
        ({"pattern": "x", "regress": "error"}, "does not go with"),
        ({"bad_pattern": "x", "regress": "no-match"}, "does not go with"),
    ],
)
def test_what_contradicts_itself_is_refused(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        SCRIPT.expected_with(accepted(SCRIPT, parameters))


LONG = """\
import sys
for at in range(14000):
    print('step %d, loss %f, and some more words, and more' % (at, 1.0 / (at + 1)))
"""


@pytest.mark.parametrize(
    ("source", "pattern", "label"),
    [
        (LONG + "print('FINAL 1')", "^FINAL 1$", "matches"),
        (LONG + "print('FINAL 1')", "^FINAL 2$", "does-not-match"),
        (LONG + "print('FINAL 1')", "step 7000,", "matches"),
        (LONG.replace("print(", "sys.stderr.write('%s\\n' % ") + "sys.stderr.write('OLD')", "OLD$", "matches"),
    ],
)
@pytest.mark.parametrize("version", sorted({min(interpreters()), max(interpreters())}))
def test_a_pattern_is_searched_in_all_that_is_printed(version: str, source: str, pattern: str, label: str) -> None:
    found = answer(source, interpreters()[version], pattern=pattern)
    assert isinstance(found, Outcome)
    assert found.label == label
    assert found.detail in ("FINAL 1", "step 7000,", "OLD")


def test_a_long_output_is_compared_by_its_beginning_and_end_and_says_what_was_cut() -> None:
    one, other = (outcome(f"{LONG}print('FINAL {last}')", judge_by="output") for last in ("a", "b"))
    assert len(shared(one, other)) == 2
    assert "between beginning and end were not compared" in one.detail
    assert outcome(LONG + "print('FINAL'); raise SystemExit(3)").detail == "FINAL"


DYING = """
import ctypes, os, sys
print("before")
ctypes.CDLL(None).puts(b"native")
ctypes.CDLL(None).fflush(None)
sys.stdout.write("last words")
os.kill(os.getpid(), 11)
"""


@pytest.mark.parametrize("probe", ["script", "behaviour"])
@pytest.mark.parametrize("pattern", ["", "words"])
def test_what_a_script_prints_before_it_is_killed_is_kept(probe: str, pattern: str) -> None:
    parameters = {"pattern": pattern} if probe == "script" else {}
    answered = ask(NEWEST, PROBES[probe], DYING, parameters=parameters)
    assert answered.exit_code == -11
    assert answered.printed == "before\nnative\nlast words"


def test_what_a_script_prints_is_passed_on_once() -> None:
    source = (
        "import os\nprint('a')\nos.write(1, b'b\\n')\nprint('c')\nif not os.fork():\n    print('d')\n    os._exit(0)\n"
    )
    source += "os.wait()\nprint('e')\nos.write(1, b'f\\n')"
    answered = ask(NEWEST, SCRIPT, source)
    assert answered.printed == answered.measurements["output"] == "a\nb\nc\nd\ne\nf\n"


def test_standard_output_is_what_it_is_without_a_probe() -> None:
    source = "import sys\ns = sys.stdout\nx = [type(s), s.name, s.mode, s.encoding, s.errors, s.isatty(), s.fileno()]\n"
    source += "x.append([s.line_buffering, getattr(s, 'write_through', 0), type(s.buffer).__mro__[-3:], s.newlines])\n"
    plain = subprocess.run([NEWEST, "-u", "-c", source + "print(x)"], capture_output=True, text=True, check=True)
    assert ask(NEWEST, SCRIPT, source + "print(x)").measurements["output"] == plain.stdout


def test_exit_code_125_cannot_answer() -> None:
    assert isinstance(answer("raise SystemExit(125)"), Untestable)


def test_a_process_that_leaves_at_once_with_125_cannot_answer_either() -> None:
    left = RunReport(ending="exited", exit_code=125, reason="the probe ended with exit code 125")
    assert isinstance(classify(left, SCRIPT.judge), Untestable)
    assert classify(replace(left, exit_code=124), SCRIPT.judge) == Outcome("exits:124", left.reason)


def test_outputs_that_differ_in_what_says_nothing_share_an_outcome() -> None:
    one = answer("print('1.12.0 took 3.2 ms in /tmp/a/b.py')", judge_by="output")
    other = answer("print('2.0.1rc1 took 12 ms in /home/x.py')", judge_by="output")
    third = answer("import os; os.write(1, b'other')", judge_by="output")
    assert isinstance(one, Outcome)
    assert isinstance(other, Outcome)
    assert one.label == other.label != getattr(third, "label", "")
    assert "'1.12.0' -> <version>" in one.detail


def outcome(source: str, **parameters: Any) -> Outcome:
    found = answer(source, **parameters)
    assert isinstance(found, Outcome), found
    return found


def shared(*outcomes: Outcome) -> set[str]:
    """Return the labels that outcomes of several releases get beside each other."""
    read = read_together({f"1.{at}.0": [each] for at, each in enumerate(outcomes)})
    return {answer.label for answers in read.values() for answer in answers if isinstance(answer, Outcome)}


def test_reported_numbers_on_both_sides_of_a_rounding_edge_share_an_outcome() -> None:
    one, other = (outcome(f"tfbisect_report('loss', {value})") for value in (0.12344949, 0.12344951))
    assert one.label != other.label
    assert len(shared(one, other)) == 1


def test_reported_numbers_beyond_the_tolerance_are_two_outcomes() -> None:
    one, other = (outcome(f"tfbisect_report('loss', {value})") for value in (0.12345, 0.12346))
    assert len(shared(one, other)) == 2


def test_printed_numbers_are_compared_within_the_tolerance_and_words_exactly() -> None:
    one = outcome("print('loss 2.30258509, 3 steps')", judge_by="output")
    close = outcome("print('loss 2.30258512, 3 steps')", judge_by="output")
    steps = outcome("print('loss 2.30258509, 4 steps')", judge_by="output")
    words = outcome("print('Loss 2.30258509, 3 steps')", judge_by="output")
    assert len(shared(one, close)) == 1
    assert len(shared(one, close, steps, words)) == 3


def test_arrays_are_compared_by_shape_kind_and_digest() -> None:
    source = (
        "import array\nclass A:\n    shape, dtype = (2,), 'int32'\n    tobytes = lambda self: bytes(bytearray({}))\n"
    )
    one, same, other = (outcome(f"{source.format(data)}tfbisect_report('w', A())") for data in ([1, 2], [1, 2], [1, 3]))
    assert one.label == same.label != other.label
    assert "int32[2]:" in one.label


def test_the_pattern_of_a_run_is_not_searched_again() -> None:
    # Searched here, this pattern would take longer than anybody waits.
    slow = "(a+)+$"
    asked = {"parameters": {"pattern": slow}, "exit_code": 0, "output": "a" * 60 + "b", "found": None, "searched": slow}
    found = SCRIPT.judge(asked)
    assert isinstance(found, Outcome)
    assert found.label == "does-not-match"


def test_another_pattern_is_searched_in_what_is_stored_and_not_for_ever() -> None:
    asked = {"parameters": {"pattern": "(a+)+$"}, "exit_code": 0, "output": "a" * 60 + "b", "searched": "x"}
    found = SCRIPT.judge(asked)
    assert isinstance(found, Untestable)
    assert "took too long" in found.reason


@pytest.mark.parametrize(
    ("source", "pattern", "label"),
    [
        ("print('loss 0.5')", r"^loss 0\.\d$", "matches"),
        ("print('loss 0.5')", "loss 1", "does-not-match"),
        ("import sys; sys.stderr.write('loss is deprecated')", "deprecated$", "matches"),
        ("raise ValueError('lost')", "^ValueError: lost$", "matches"),
        ("raise ValueError('lost')", "found", "raises:ValueError: lost"),
    ],
)
def test_a_run_that_was_asked_for_one_pattern_answers_for_another(source: str, pattern: str, label: str) -> None:
    result = ask(NEWEST, SCRIPT, source, parameters=SCRIPT.measured_with({"bad_pattern": "something else"})).result
    found = classify(RunReport("answered", result=result), SCRIPT.judging_with({"pattern": pattern, "bad_pattern": ""}))
    assert isinstance(found, Outcome), found
    assert found.label == label


def test_what_is_not_stored_of_a_long_output_is_not_guessed() -> None:
    result = ask(NEWEST, SCRIPT, LONG, parameters=SCRIPT.measured_with({"pattern": "something else"})).result
    for pattern, kind in (("^step 1,", Outcome), ("step 7000,", Untestable)):
        found = classify(RunReport("answered", result=result), SCRIPT.judging_with({"pattern": pattern}))
        assert isinstance(found, kind), found


def test_an_integer_beyond_any_float_is_compared_as_a_text() -> None:
    one, other = (outcome(f"tfbisect_report('n', 10 ** 1000 + {more})") for more in (0, 1))
    assert len(shared(one, other)) == 2


def test_a_report_that_nests_without_end_is_still_judged() -> None:
    nested: Any = 1
    for _ in range(900):
        nested = [nested]
    found = SCRIPT.judge({"parameters": {}, "exit_code": 0, "reported": [["deep", nested]]})
    assert isinstance(found, Outcome)


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
