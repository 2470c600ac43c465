"""Behaviours that really changed are seen in the aspects where they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.behaviour.truth import FOLDER, PROBE, RULE, Truth, Unseeded, disagreements, false_alarms, truths, unseeded
from tests.probes.protocol import ask_each

TRUTHS = truths()
SMALL = {name: truth for name, truth in TRUTHS.items() if truth.small}
RELEASES = ("1.12.0", "2.0.0")


def test_every_script_has_its_truth_and_every_truth_its_script() -> None:
    assert {path.stem for path in (FOLDER / "scripts").glob("*.py")} == set(TRUTHS)


@pytest.mark.parametrize("name", sorted(TRUTHS))
def test_a_truth_names_aspects_and_a_report(name: str) -> None:
    truth = TRUTHS[name]
    assert truth.aspects
    assert set(truth.aspects) <= set(RULE.READERS)
    assert truth.report
    compile(truth.source, truth.script, "exec")


def test_every_unseeded_script_has_its_row() -> None:
    known = unseeded()
    assert {path.stem for path in (FOLDER / "scripts" / "unseeded").glob("*.py")} == set(known)
    assert len(known) >= 20
    for each in known.values():
        compile(each.source, each.script, "exec")
        assert each.wavers
        assert set(each.changes) <= set(RULE.READERS)


def test_an_unseeded_script_that_differs_between_releases_is_a_false_alarm() -> None:
    script = Unseeded("x", "numbers", {}, ("1.0", "2.0"))
    quiet = {"1.0": [run(f"loss 0.4{at}") for at in range(4)], "2.0": [run(f"loss 0.4{9 - at}") for at in range(4)]}
    assert false_alarms(script, quiet) == []
    loud = {**quiet, "2.0": [run(f"loss 0.9{at}") for at in range(4)]}
    assert len(false_alarms(script, loud)) == 1
    assert false_alarms(replace(script, changes={"prints": "another loss"}), loud) == []


@pytest.mark.local
def test_small_behaviours_that_changed_are_seen_in_real_releases(release: Callable[..., str]) -> None:
    questions: dict[str, tuple[str, dict[str, object]]] = {
        name: (truth.source, {"seed": 1}) for name, truth in SMALL.items()
    }
    answers = {
        version: ask_each(release("tensorflow", version), PROBE, questions, "tensorflow") for version in RELEASES
    }
    wrong = {
        name: disagreements(truth, {version: [given[name]] for version, given in answers.items()})
        for name, truth in SMALL.items()
    }
    assert {name: said for name, said in wrong.items() if said} == {}


def run(printed: str, **more: Any) -> dict[str, Any]:
    return {"kind": "measured", "measurements": {"exit_code": 0, "printed": {"head": printed, "tail": ""}, **more}}


def test_a_probe_that_does_not_see_a_change_disagrees() -> None:
    truth = Truth("x", "", ("prints", "model"), {"1.0": "a", "2.0": "b"}, small=True)
    blind = {"1.0": [run("a")] * 2, "2.0": [run("b")] * 2}
    assert disagreements(truth, blind) == ["model sorts the releases into 1.0, 2.0"]
    seeing = {"1.0": [run("a", models=[{}])] * 2, "2.0": [run("b")] * 2}
    assert disagreements(truth, seeing) == []


def test_a_release_that_shows_something_else_disagrees() -> None:
    truth = Truth("x", "", ("prints",), {"1.0": "a", "2.0": "b"}, small=True)
    other = {"1.0": [run("a")] * 2, "2.0": [run("c")] * 2}
    assert disagreements(truth, other) == ["2.0 shows 'c', not 'b'"]
