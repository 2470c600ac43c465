"""The tests of a project, run by a real pytest: each is an aspect of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from service.bisection.facts import Facts
from service.bisection.outcomes import Outcome, Untestable
from service.projects.files import Bounds, project_of
from tests.probes.protocol import PROBES, Answered, ask
from tests.probes.test_harness import EVERY

PROBE = PROBES["tests"]
assert PROBE.aspects is not None
ASPECTS = PROBE.aspects
MODULE = b"""
import pytest
from own import double


def test_passes():
    assert double(2) == 4


def test_fails():
    assert double(2) == 5


class TestMore:
    @pytest.mark.parametrize('value', [1, 2])
    def test_raises(self, value):
        return {}['key'] if value == 2 else None

    @pytest.mark.skip(reason='not today')
    def test_skipped(self):
        pass

    @pytest.mark.xfail
    def test_xfailed(self):
        assert False


@pytest.fixture
def broken():
    raise OSError('no disk')


def test_with_a_broken_fixture(broken):
    pass


def test_leaves():
    raise SystemExit(3)
"""
FILES = {
    "own.py": b"def double(value):\n    return 2 * value\n",
    "tests/test_one.py": MODULE,
    "tests/deep/test_broken.py": b"import surely_not_here\n",
}


def asked(folder: Path, *arguments: str) -> Answered:
    sent = project_of(FILES.items(), Bounds()).sent
    environment = {"TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    parameters = {"arguments": list(arguments)}
    return ask(sys.executable, PROBE, "", parameters=parameters, environment=environment, files=sent)


def test_each_test_is_an_aspect_by_its_node_id_with_how_it_ended(tmp_path: Path) -> None:
    measured = asked(tmp_path, "tests").measurements
    answer = PROBE.judge(measured)
    assert isinstance(answer, Outcome)
    assert answer.label == "ran"
    found = ASPECTS(measured)
    assert {name: facts.label for name, facts in found.items() if name != "ends"} == {
        "tests/test_one.py::test_passes": "passed",
        "tests/test_one.py::test_fails": "fails:AssertionError",
        "tests/test_one.py::TestMore::test_raises[1]": "passed",
        "tests/test_one.py::TestMore::test_raises[2]": "fails:KeyError",
        "tests/test_one.py::TestMore::test_skipped": "skipped",
        "tests/test_one.py::TestMore::test_xfailed": "xfailed",
        "tests/test_one.py::test_with_a_broken_fixture": "fails:OSError",
        "tests/test_one.py::test_leaves": "fails:SystemExit",
    }
    assert ("message", "Skipped: not today") in found["tests/test_one.py::TestMore::test_skipped"].values
    ends = dict(found["ends"].values)
    assert ends.pop("pytest") == "ran"
    (broken,) = ends.items()
    assert broken[0] == "tests/deep/test_broken.py cannot be collected"
    assert "surely_not_here" in str(broken[1])


def test_a_chosen_test_runs_alone_and_its_name_stays(tmp_path: Path) -> None:
    found = ASPECTS(asked(tmp_path, "tests/test_one.py::test_fails", "-q").measurements)
    assert set(found) == {"ends", "tests/test_one.py::test_fails"}


def test_no_tests_are_no_run(tmp_path: Path) -> None:
    answer = PROBE.judge(asked(tmp_path, "tests", "-k", "nothing_of_this_name", "--ignore=tests/deep").measurements)
    assert isinstance(answer, Outcome)
    assert answer.label == "exit:5"


def test_without_pytest_the_release_cannot_answer() -> None:
    result = ask(EVERY[0][1], PROBE, "").result
    assert result["kind"] == "untestable"
    assert "pytest is not in this environment" in result["message"]


@pytest.mark.parametrize(
    "measurements",
    [{}, {"exit_code": "x"}, {"exit_code": 10**30}, {"exit_code": None, "tests": 7}, {"tests": [None, {"name": 7}]}],
)
def test_any_measurements_are_judged(measurements: dict[str, Any]) -> None:
    assert isinstance(PROBE.judge(measurements), Untestable)
    assert all(isinstance(facts, Facts) for facts in ASPECTS(measurements).values())
