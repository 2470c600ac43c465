from __future__ import annotations

import ast
import json
from hashlib import sha256
from pathlib import Path

import pytest

from service.resources import resource_dir
from tests.probes.interpreters import interpreters
from tests.probes.protocol import PROBES, Answered, ask, converse

HARNESS = PROBES["dropout"].harness_source
MEASURE = "def run(context):\n    namespace = context.execute()\n    return {'value': namespace.get('value')}\n"
EVERY = sorted(interpreters().items(), key=lambda item: [int(part) for part in item[0].split(".")])
NEWEST = EVERY[-1][1]
every_python = pytest.mark.parametrize("python", [path for _, path in EVERY], ids=[version for version, _ in EVERY])


def asked(snippet: str, python: str = NEWEST, probe: str = MEASURE) -> Answered:
    return ask(python, probe, snippet)


@every_python
def test_a_measurement_comes_back_on_every_python(python: str) -> None:
    answered = asked("value = [1, 2.5, u'\\u00e9', None, True, {'a': (1, 2)}]", python)
    assert answered.exit_code == 0
    assert [event["event"] for event in answered.events] == ["ready", "result"]
    assert answered.measurements == {"value": [1, 2.5, "\u00e9", None, True, {"a": [1, 2]}]}


@every_python
def test_printing_cannot_garble_the_channel(python: str) -> None:
    forged = json.dumps({"event": "result", "result": {"kind": "measured", "measurements": {"value": "forged"}}})
    snippet = f"import os, sys\nprint({forged!r})\nos.write(1, b'native')\nsys.stderr.write('error')\nvalue = 'true'"
    answered = asked(snippet, python)
    assert answered.measurements == {"value": "true"}
    for text in ("forged", "native", "error"):
        assert text in answered.printed


@every_python
def test_what_a_snippet_raises_names_its_line(python: str) -> None:
    answered = asked("def f():\n    return {}['key']\n\nf()\n", python)
    raised = answered.result
    assert (raised["kind"], raised["exception"], raised["line"], raised["origin"]) == (
        "raised",
        "KeyError",
        2,
        "snippet",
    )
    assert raised["traceback"].splitlines()[-1] == "KeyError: 'key'"
    assert "return {}['key']" in raised["traceback"]


@every_python
def test_text_beyond_ascii_survives(python: str) -> None:
    assert asked("# \u00e4\u00f6\nvalue = u'\u2713'", python).measurements == {"value": "\u2713"}


@every_python
def test_functions_of_the_snippet_have_a_source(python: str) -> None:
    snippet = "import inspect\ndef f():\n    return 1\nvalue = inspect.getsource(f)"
    assert asked(snippet, python).measurements["value"] == "def f():\n    return 1\n"


@pytest.mark.parametrize(
    ("snippet", "kind", "words"),
    [
        ("undefined_name", "refused", "NameError"),
        ("import surely_not_here", "refused", "surely_not_here, which this environment does not have"),
        ("import tensorflow.not_here", "raised", "No module named"),
        ("1 / 0", "raised", "division"),
        ("raise KeyboardInterrupt", "raised", ""),
        ("def f(): return f()\nf()", "raised", "recursion"),
        ("class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd", "raised", "Odd"),
        ("raise SystemExit(3)", "untestable", "SystemExit"),
    ],
)
def test_faults_are_told_apart(snippet: str, kind: str, words: str) -> None:
    result = asked(snippet).result
    assert result["kind"] == kind
    assert words in result["message"]


LEAVES = "def leave(*_): raise %s\n"
LEAVING = {
    "its text": "class Odd(Exception): __str__ = leave\nraise Odd('x')",
    "the end of its text": "class Text(str): __getitem__ = __getslice__ = split = leave\n"
    "class Odd(Exception):\n    def __str__(self): return Text('x')\nraise Odd('x')",
    "its class": "class Kind(type(Exception)): __name__ = property(leave); __repr__ = leave\n"
    "Odd = Kind('Odd', (Exception,), {'__str__': leave})\nraise Odd('x')",
    "the module that it lacks": "class ImportError(ImportError): name = property(leave)\n"
    "raise ImportError('No module named tensorflow')",
    "a syntax error": "class Odd(SyntaxError): lineno = property(leave); __str__ = leave\nraise Odd('x')",
    "a value": "class Odd(object): __str__ = __repr__ = tolist = leave\nvalue = Odd()",
    "standard output": "import sys\nclass Odd(object): flush = leave\nsys.stdout = Odd()",
}


@pytest.mark.parametrize("snippet", LEAVING.values(), ids=LEAVING.keys())
@every_python
def test_what_asks_the_snippet_s_own_code_ends_with_an_answer(python: str, snippet: str) -> None:
    answered = asked(LEAVES % "SystemExit(0)" + snippet, python)
    assert answered.exit_code == 0
    assert answered.result["kind"] in {"raised", "measured", "untestable"}


@pytest.mark.parametrize("snippet", LEAVING.values(), ids=LEAVING.keys())
def test_what_interrupts_as_the_snippet_s_own_code_is_asked_ends_with_an_answer(snippet: str) -> None:
    assert asked(LEAVES % "KeyboardInterrupt" + snippet).exit_code == 0


def test_a_probe_that_is_told_to_leave_is_untestable() -> None:
    result = asked("", probe="def run(context):\n    raise KeyboardInterrupt\n").result
    assert (result["kind"], result["message"]) == ("untestable", "the probe itself failed: KeyboardInterrupt: ")


@pytest.mark.skipif("3.6" not in interpreters(), reason="no Python 3.6 here")
def test_newer_syntax_than_the_release_runs_on_is_untestable() -> None:
    result = asked("value = (n := 3)", interpreters()["3.6"]).result
    assert result["kind"] == "untestable"
    assert "line 1 is not Python 3.6" in result["message"]


@pytest.mark.parametrize(
    ("probe", "kind", "words"),
    [
        ("def run(context):\n    raise context.Refused('no model', 3)", "refused", "no model"),
        ("def run(context):\n    raise context.Untestable('blind')", "untestable", "blind"),
        ("def run(context):\n    return 1 / 0", "untestable", "the probe itself failed: ZeroDivisionError"),
        ("def run(context):\n    context.observe(int, 'x')", "raised", "invalid literal"),
        ("def run(context):\n    return {'big': ['x' * 1000] * 2000}", "untestable", "bytes, more than"),
        ("def ru", "untestable", "the probe itself failed"),
    ],
)
def test_a_probe_chooses_what_its_failure_means(probe: str, kind: str, words: str) -> None:
    result = asked("", probe=probe).result
    assert result["kind"] == kind
    assert words in result["message"]


def test_numbers_that_are_not_finite_arrive_as_words() -> None:
    answered = asked("value = [float('nan'), float('inf'), -float('inf')]")
    assert answered.measurements == {"value": ["nan", "inf", "-inf"]}


WITHOUT_A_TEXT = """
class Odd(object):
    def __str__(self):
        raise ValueError("no text")
    __repr__ = __str__
value = Odd()
"""


@pytest.mark.parametrize(
    ("snippet", "value"),
    [
        ("value = 10 ** 300", 10**300),
        ("value = -(10 ** 5000)", f"(integer of 16610 bits, sha256:{sha256(b'%x' % -(10**5000)).hexdigest()})"),
        ("value = u'z' * 300000", "z" * 200 + f" (300000 characters, sha256:{sha256(b'z' * 300000).hexdigest()})"),
        (WITHOUT_A_TEXT, "(Odd without a text)"),
        ("value = {(1, 2): 1}", {"(1, 2)": 1}),
    ],
)
@every_python
def test_what_not_every_python_can_tell_is_told_alike(python: str, snippet: str, value: object) -> None:
    assert asked(snippet, python).measurements == {"value": value}


@every_python
def test_what_is_nested_too_deep_is_cut_off(python: str) -> None:
    told = asked("value = []\nfor _ in range(200): value = [value]", python).measurements["value"]
    levels = 0
    while isinstance(told, list):
        (told,), levels = told, levels + 1
    assert levels > 15
    assert told == "(list of length 1, nested deeper than 24)"


def test_a_value_that_holds_itself_is_cut_off() -> None:
    assert "nested deeper" in json.dumps(asked("value = {}\nvalue['value'] = value").measurements)


@every_python
def test_a_snippet_that_steps_its_clocks_gets_its_true_time(python: str) -> None:
    snippet = "import os, time\ntime.time = time.clock = time.monotonic = time.perf_counter = os.times = lambda: -1e9"
    answered = asked(snippet, python)
    assert answered.result["kind"] == "measured"
    assert 0 <= answered.events[-1]["probe_seconds"] < 60


@every_python
def test_a_class_of_exceptions_may_have_any_name(python: str) -> None:
    assert asked("raise type('5 <b>', (Exception,), {})()", python).result["exception"] == "_5__b_"


def test_notes_travel_with_the_measurements() -> None:
    probe = "def run(context):\n    context.note('shim')\n    context.note('shim')\n    return {}"
    answered = asked("", probe=probe)
    assert answered.events[-1]["notes"] == ["shim"]
    assert answered.measurements == {"notes": ["shim"]}


def test_a_script_runs_as_main_without_input() -> None:
    snippet = "import sys\nif __name__ == '__main__':\n    value = [sys.argv, sys.stdin.read()]"
    assert asked(snippet).measurements == {"value": [["snippet.py"], ""]}


def test_a_framework_that_cannot_be_imported_is_untestable() -> None:
    answered = ask(NEWEST, MEASURE, framework="surely_not_here")
    assert [event["event"] for event in answered.events] == ["result"]
    assert answered.result["kind"] == "untestable"
    assert answered.result["message"].startswith("cannot import surely_not_here: ")


@every_python
def test_a_warm_process_leaves_quietly_when_its_runner_hangs_up(python: str) -> None:
    answered = converse(python, [{"harness": HARNESS}, {"framework": ""}])
    assert (answered.exit_code, len(answered.events)) == (0, 1)
    assert answered.events[0]["event"] == "ready"


def test_a_fault_of_the_harness_is_no_answer() -> None:
    answered = converse(NEWEST, [{"harness": HARNESS}, {"framework": ""}, {"no": "probe"}])
    assert answered.exit_code == 70
    assert "KeyError" in answered.printed


@pytest.mark.parametrize(
    "path", sorted(resource_dir("probes").rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_what_runs_inside_is_ascii_and_has_the_grammar_of_python_3_5(path: Path) -> None:
    if path.name == "judge.py":
        pytest.skip("runs on the host")
    ast.parse(path.read_bytes().decode("ascii"), feature_version=(3, 5))
