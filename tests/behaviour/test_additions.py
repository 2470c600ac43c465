"""The table of additions.toml fits its scripts; `make additions` asks them in containers."""

from __future__ import annotations

from service.catalog.additions import AdditionRules
from tests.behaviour.additions import FOLDER, beside_cases


def test_every_script_has_a_case_and_every_case_its_script() -> None:
    assert {path.stem for path in (FOLDER / "beside").glob("*.py")} == {case.script for case in beside_cases()}


def test_every_case_needs_something_beside_its_releases() -> None:
    for case in beside_cases():
        added = AdditionRules().of(case.package, case.named, [case.source])
        assert added or case.package != "tensorflow", case.script
