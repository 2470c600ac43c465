"""A snippet's own fault, told from the behaviour of releases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from service.bisection.outcomes import RunReport, classify
from service.bisection.planner import Policy, current_verdict
from service.bisection.releases import tree_of
from service.catalog.probes import load_probes
from service.coordination.faults import FIX, snippet_fault
from service.errors import SnippetError
from service.resources import resource_dir

SCRIPT = load_probes(resource_dir("probes"))["script"]
Result = Mapping[str, Any]
SOURCE = "import tensorflow\n\na = {}['b']\n"
TRAIL = "  File \"snippet.py\", line 3, in <module>\n    a['b']\nKeyError: 'b'"
RAISED: Result = {"kind": "raised", "exception": "KeyError", "message": "'b'", "line": 3, "traceback": TRAIL}
REFUSED: Result = {**RAISED, "kind": "refused", "exception": "NameError", "message": "NameError: a is not defined"}
PASSES: Result = {"kind": "measured", "measurements": {"exit_code": 0, "parameters": {}}}


def fault(*results: Result, source: str = SOURCE) -> SnippetError | None:
    """Say what is at fault where the releases of a history gave these results."""
    reports = {f"1.{at}.0": RunReport("answered", result=result) for at, result in enumerate(results)}
    answers = {release: [classify(report, SCRIPT.judge)] for release, report in reports.items()}
    policy = Policy(expected=SCRIPT.expected)
    return snippet_fault(current_verdict(tree_of(tuple(reports)), answers, policy), reports, source)


def test_a_snippet_that_fails_alike_in_every_release_is_at_fault() -> None:
    found = fault(RAISED, RAISED, RAISED)
    assert found is not None
    assert "in all 3 releases that were tried (raises:KeyError at line 3)" in found.message
    assert (found.line, found.field, found.exit_code) == (3, "snippet", 2)
    assert found.traceback.splitlines()[-1] == "KeyError: 'b'"


def test_a_mistake_in_a_notebook_is_named_with_its_cell() -> None:
    found = fault(RAISED, RAISED, source="# %% cell 1\na = {}\na['b']\n")
    assert found is not None
    assert "(raises:KeyError at cell 1, line 2)" in found.message
    assert found.traceback.splitlines()[0] == '  File "snippet.py", line 3 (cell 1, line 2), in <module>'


def test_what_the_probe_script_keeps_of_an_error_is_found_too() -> None:
    result = {"kind": "measured", "measurements": {"exit_code": 0, "parameters": {}, "raised": RAISED}}
    found = fault(result, result)
    assert found is not None
    assert found.line == 3


def test_one_release_that_fails_proves_nothing() -> None:
    assert fault(RAISED) is None


def test_a_release_that_does_not_fail_makes_it_a_behaviour() -> None:
    assert fault(RAISED, PASSES, RAISED) is None
    assert fault(REFUSED, PASSES, REFUSED) is None


def test_errors_that_differ_between_releases_are_behaviours() -> None:
    assert fault(RAISED, {**RAISED, "exception": "TypeError"}) is None


def test_a_mistake_of_the_snippets_own_is_named_with_its_line_and_traceback() -> None:
    found = fault(REFUSED, REFUSED, REFUSED)
    assert found is not None
    assert found.message.startswith("NameError: a is not defined at line 3, in all 3 releases that were tried;")
    assert found.traceback == TRAIL


@pytest.mark.parametrize(
    ("exception", "origin", "source", "is_the_snippets"),
    [
        ("OSError", "framework", "import lightgbm", False),
        ("ImportError", "framework", "    from lightgbm import LGBMClassifier", False),
        ("OSError", "framework", "lightgbm.Booster(model_file='missing.txt')", True),
        ("OSError", "snippet", "import os; raise OSError()", True),
        ("ValueError", "framework", "import lightgbm", True),
    ],
)
def test_a_package_that_cannot_be_imported_is_no_mistake_of_the_snippet(
    exception: str, origin: str, source: str, is_the_snippets: bool
) -> None:
    raised = {**RAISED, "exception": exception, "origin": origin, "line": 1, "message": "libgomp.so.1: cannot open"}
    assert (fault(raised, raised, source=source) is not None) == is_the_snippets


def test_whoever_imports_what_no_release_has_is_told_how_to_add_it() -> None:
    missing = {
        **RAISED,
        "exception": "ModuleNotFoundError",
        "origin": "snippet",
        "message": "No module named 'mylib.x'",
    }
    found = fault(missing, missing)
    assert found is not None
    assert found.message.endswith("name the package that has mylib with --with (`with` in a request).")
    refused = {**REFUSED, "message": "the snippet imports mylib, which this environment does not have"}
    found = fault(refused, refused)
    assert found is not None
    assert found.message.endswith("tried; name the package that has mylib with --with (`with` in a request).")


def test_what_a_probe_refuses_is_said_as_it_is() -> None:
    found = fault({"kind": "refused", "message": "no model found; end with one in `model`"})
    assert found is not None
    assert found.message == "no model found; end with one in `model`"
    assert found.traceback == ""


def test_a_script_that_leaves_with_an_exit_code_everywhere_has_answered() -> None:
    assert fault(*[{"kind": "measured", "measurements": {"exit_code": 1, "parameters": {}}}] * 3) is None


def test_a_snippet_that_never_gets_to_an_answer_is_at_fault_with_the_reason() -> None:
    reports = {f"1.{at}.0": RunReport("exited", "the process ended with exit code 3", exit_code=3) for at in range(2)}
    answers = {release: [classify(report, SCRIPT.judge)] for release, report in reports.items()}
    found = snippet_fault(current_verdict(tree_of(tuple(reports)), answers, Policy()), reports, SOURCE)
    assert found is not None
    assert "exit code 3" in found.message


def test_a_traceback_is_shown_by_its_end_and_never_at_length() -> None:
    long = {**RAISED, "traceback": "\n".join(["x" * 10_000] * 50 + ["KeyError: 'b'"])}
    found = fault(long, long)
    assert found is not None
    assert found.traceback.splitlines()[-1] == "KeyError: 'b'"
    assert len(found.traceback) < 5_000


@pytest.mark.parametrize(
    ("exception", "message", "says"),
    [
        ("URLError", "<urlopen error [Errno -2] Name or service not known>", "--file"),
        (
            "Exception",
            "URL fetch failure on https://x.test/a.csv: None -- [Errno -3] Temporary failure",
            "--file",
        ),
        ("ConnectionError", "HTTPSConnectionPool(host='x.test', port=443): Max retries exceeded", "--file"),
        (
            "Exception",
            "URL fetch failure on https://storage.googleapis.com/tensorflow/keras-applications/vgg16.h5: None",
            "weights=None",
        ),
    ],
)
def test_what_wants_a_network_is_told_in_one_sentence_what_to_do(exception: str, message: str, says: str) -> None:
    found = fault(*[{**RAISED, "exception": exception, "message": message}] * 2)
    assert found is not None
    assert "a run has no network" in found.message
    assert says in found.message
    assert FIX not in found.message


def test_another_error_says_nothing_of_a_network() -> None:
    found = fault(RAISED, RAISED)
    assert found is not None
    assert "network" not in found.message
