"""The upgrade gate: what stops an upgrade, and how programs are told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from junitparser import JUnitXml
from sarif_pydantic import Sarif

from service.reports.gate import Gate, gate_of
from service.reports.gate_formats import gate_json, github_annotations, junit, sarif, step_summary

HOSTILE = "a\x1b[31m]]> <b>&\x00 ``` ::error:: \n::warning::x \u202e%0A"


def segment(outcome: str, *releases: str, line: str = "mainline") -> dict[str, Any]:
    ends = {"from": releases[0], "to": releases[-1]}
    return {"line": line, "outcome": outcome, **ends, "measured": list(releases), "inferred": [], "untestable": []}


def change(before: str, after: str, old: str, new: str, kind: str = "changed") -> dict[str, Any]:
    of = {"kind": kind, "line": "mainline", "before": before, "after": after, "old": old, "new": new}
    return {**of, "between": [], "not_asked": [], "presumed": [], "unasked": [], "confirmed": True, "confidence": 0.99}


def aspect(
    name: str, segments: Sequence[dict[str, Any]], changes: Sequence[dict[str, Any]] = (), expected: Sequence[str] = ()
) -> dict[str, Any]:
    steady = {"unsteady": False, "drifts": False, "flaky": [], "wavering": [], "streams": [], "differences": []}
    return {"name": name, "segments": list(segments), "changes": list(changes), "expected": list(expected), **steady}


def verdict(*aspects: dict[str, Any]) -> dict[str, Any]:
    told = {"package": "tensorflow", "probe": {"name": "behaviour"}, "leading": aspects[0]["name"]}
    return {**told, "segments": aspects[0]["segments"], "changes": aspects[0]["changes"], "aspects": list(aspects)}


STAYS = aspect("ends", [segment("passes", "2.0", "2.1", "2.2")])
LOST = aspect(
    "dropout",
    [segment("drops", "2.0"), segment("never-drops", "2.1", "2.2")],
    [change("2.0", "2.1", "drops", "never-drops", "introduced")],
    ["drops"],
)
RAISES = aspect(
    "ends", [segment("passes", "2.0"), segment("raises:E", "2.1", "2.2")], [change("2.0", "2.1", "passes", "raises:E")]
)
CURED = aspect(
    "ends", [segment("raises:E", "2.0", "2.1"), segment("passes", "2.2")], [change("2.1", "2.2", "raises:E", "passes")]
)
TEST = aspect(
    "tests/test_a.py::test_b",
    [segment("passed", "2.0"), segment("fails:AssertionError", "2.1", "2.2")],
    [change("2.0", "2.1", "passed", "fails:AssertionError")],
)
SLOWER = aspect("time", [segment("A", "2.0"), segment("B", "2.1", "2.2")], [change("2.0", "2.1", "A", "B")])
THERE_AND_BACK = aspect(
    "prints",
    [segment("A", "2.0"), segment("B", "2.1"), segment("A", "2.2")],
    [change("2.0", "2.1", "A", "B"), change("2.1", "2.2", "B", "A")],
)


def gate(*aspects: dict[str, Any], wanted: Sequence[str] = ()) -> Gate:
    made = gate_of(verdict(*aspects), "2.0", "2.2", wanted)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("aspects", "wanted", "any_", "introduced"),
    [
        ((STAYS,), (), [], []),
        ((LOST,), (), ["dropout"], ["dropout"]),
        ((RAISES, LOST), (), ["ends", "dropout"], ["ends", "dropout"]),
        ((CURED,), (), ["ends"], []),
        ((TEST,), (), ["tests/test_a.py::test_b"], ["tests/test_a.py::test_b"]),
        ((STAYS, SLOWER), (), [], []),
        ((STAYS, SLOWER), ("time",), ["time"], []),
        ((RAISES, LOST), ("dropout",), ["dropout"], ["dropout"]),
        ((STAYS, THERE_AND_BACK), (), [], []),
    ],
)
def test_what_stops_an_upgrade(
    aspects: Sequence[dict[str, Any]], wanted: Sequence[str], any_: list[str], introduced: list[str]
) -> None:
    made = gate(*aspects, wanted=wanted)
    assert [each.aspect for each in made.stopping("any")] == any_
    assert [each.aspect for each in made.stopping("introduced")] == introduced
    assert made.headline("any").startswith("changed: " if any_ else "safe: ")
    assert gate_json(made, "introduced", "ID")["safe"] == (not introduced)


def test_it_says_since_when() -> None:
    assert gate(LOST).headline("any") == (
        "changed: tensorflow 2.0 to 2.2: dropout introduced in 2.1: drops → never-drops"
    )
    assert gate(STAYS).headline("any") == "safe: tensorflow 2.0 to 2.2: no difference in ends"
    assert (
        gate(CURED).headline("introduced").startswith("safe: tensorflow 2.0 to 2.2: nothing is introduced; ends fixed")
    )


def test_a_behaviour_that_came_twice_is_there_since_the_last_time() -> None:
    again = aspect(
        "ends",
        [segment("passes", "2.0"), segment("raises:E", "2.1"), segment("passes", "2.1.1"), segment("raises:E", "2.2")],
        [
            change("2.0", "2.1", "passes", "raises:E"),
            change("2.1", "2.1.1", "raises:E", "passes"),
            change("2.1.1", "2.2", "passes", "raises:E"),
        ],
    )
    assert [each.after for each in gate(again).differences] == ["2.2"]


def test_an_end_that_was_not_measured_is_no_agreement() -> None:
    assert gate_of(verdict(aspect("ends", [segment("passes", "2.0")])), "2.0", "2.2") is None


def test_a_test_that_is_gone_stops_an_upgrade() -> None:
    gone = aspect("tests/test_a.py::test_b", [segment("passed", "2.0", "2.1")])
    (found,) = gate(STAYS, gone).stopping("introduced")
    assert (found.aspect, found.kind, found.new) == ("tests/test_a.py::test_b", "introduced", "absent")


def test_what_one_end_does_not_tell_is_named_and_never_called_the_same() -> None:
    blind = aspect("dropout", [segment("drops", "2.0", "2.1")], expected=["drops"])
    made = gate(STAYS, blind)
    assert (made.compared, made.untold) == (("ends",), ("dropout",))
    assert made.headline("any").endswith("no difference in ends; not compared, since one end does not tell: dropout")
    assert gate(STAYS, wanted=("ends", "prnits")).untold == ("prnits",)
    assert gate(STAYS, SLOWER, wanted=("ends",)).untold == ()


def test_a_named_probe_is_its_only_aspect() -> None:
    plain = {**verdict(LOST), "probe": {"name": "dropout"}}
    del plain["aspects"]
    made = gate_of(plain, "2.0", "2.2")
    assert made is not None
    assert [(each.aspect, each.kind) for each in made.differences] == [("dropout", "introduced")]


def told(words: str = HOSTILE) -> Gate:
    found = aspect("ends", [segment("passes", "2.0"), segment(f"raises:{words}", "2.1", "2.2")])
    found["changes"] = [change("2.0", "2.1", "passes", f"raises:{words}")]
    found["differences"] = [{"before": "2.0", "after": "2.1", "diff": f"@@\n-x\n+{words}", "values": []}]
    return gate(found, LOST, aspect("model", STAYS["segments"]))


def test_junit_is_read_by_a_known_reader() -> None:
    for made, failures in ((told(), 2), (gate(STAYS), 0)):
        (suite,) = JUnitXml.fromstring(junit(made, "any", "model.py").encode())
        assert (suite.tests, suite.failures, suite.errors) == (len(made.compared), failures, 0)
        assert [case.name for case in suite] == list(made.compared)
        assert sum(bool(case.result) for case in suite) == failures


def test_sarif_is_as_its_schema_says() -> None:
    text = sarif(told(), "any", "models/my model.py", "0.1.0", line=7)
    (run,) = Sarif.model_validate_json(text).runs
    assert run.results is not None
    assert [(each.rule_id, each.level) for each in run.results] == [("ends", "error"), ("dropout", "error")]
    place = json.loads(text)["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "models/my%20model.py"}, "region": {"startLine": 7}}
    assert {each["id"] for each in json.loads(text)["runs"][0]["tool"]["driver"]["rules"]} == {
        "ends",
        "dropout",
        "model",
    }
    only = json.loads(sarif(gate(CURED), "introduced", "m.py", "0.1.0"))
    assert [each["level"] for each in only["runs"][0]["results"]] == ["note"]


def test_an_annotation_is_one_command_whatever_a_snippet_said() -> None:
    lines = list(github_annotations(told(), "any", "a,b:c.py", 3))
    assert len(lines) == 2
    assert all(line.startswith("::error file=a%2Cb%3Ac.py,line=") for line in lines)
    assert not any("\n" in line or "\x1b" in line for line in lines)
    assert lines[0].count("::") >= 2
    assert lines[0].split(",title=")[0].endswith("line=3")


def test_a_summary_holds_untrusted_text_in_a_code_span() -> None:
    text = step_summary(told(), "any", "REPORT")
    span = text.split("\n\n")[1]
    assert "\n" not in span.replace("\\n", "")
    assert span.startswith("````")
