"""A project in real containers: two own modules, a table and 12 tests, of which two change between two releases."""

from __future__ import annotations

import pytest

from tests.main_job.conftest import EXAMPLES, Tfbisect

pytestmark = [pytest.mark.containers, pytest.mark.index]


def test_two_of_twelve_tests_change_between_two_releases(engine: None, tfbisect: Tfbisect) -> None:
    options = ("--releases", "1.12.0,1.14.0", "--branches", "none", "--runner", "docker", "--json")
    ended = tfbisect("run", str(EXAMPLES / "project"), *options, "--", "pytest", "tests")
    assert ended.code == 0, ended.err
    aspects = {aspect["name"]: aspect for aspect in ended.verdict["aspects"] if aspect["name"] != "ends"}
    assert len(aspects) == 12
    changed = {name: [change["kind"] for change in aspect["changes"]] for name, aspect in aspects.items()}
    assert {name: kinds for name, kinds in changed.items() if kinds} == {
        "tests/test_network.py::test_dropout_drops_in_training": ["fixed"],
        "tests/test_network.py::test_a_step_can_be_compiled": ["fixed"],
    }
