"""The upgrade gate for programs: JSON, JUnit XML, SARIF 2.1.0, and GitHub's annotations and step summary. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from service.printable import printable
from service.reports.gate import AspectDifference, FailOn, Gate

SARIF = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def gate_json(gate: Gate, fail_on: FailOn, bisection_id: str) -> dict[str, Any]:
    """Return the gate as JSON."""
    return {
        "schema": "tfbisect/check/1",
        "id": bisection_id,
        "package": gate.package,
        "from": gate.first,
        "to": gate.last,
        "safe": not gate.stopping(fail_on),
        "fail_on": fail_on,
        "compared": list(gate.compared),
        "differences": [_json_of(each) for each in gate.differences],
        "not_counted": [_json_of(each) for each in gate.unasked],
        "not_compared": list(gate.untold),
    }


def _json_of(each: AspectDifference) -> dict[str, Any]:
    return {
        "aspect": each.aspect,
        "kind": each.kind,
        "before": each.before,
        "after": each.after,
        "between": list(each.between),
        "old": each.old,
        "new": each.new,
        "lines": list(each.lines),
    }


def junit(gate: Gate, fail_on: FailOn, file: str) -> str:
    """Return JUnit XML: a test case for each aspect that was compared."""
    stopping = {each.aspect: each for each in gate.stopping(fail_on)}
    told = {each.aspect: each for each in gate.differences}
    counts = {"tests": str(len(gate.compared)), "failures": str(len(stopping)), "errors": "0"}
    top = ElementTree.Element("testsuites", counts)
    name = f"tfbisect check {gate.package} {gate.first} to {gate.last}"
    suite = ElementTree.SubElement(top, "testsuite", {"name": name, **counts})
    for aspect in gate.compared:
        case = ElementTree.SubElement(suite, "testcase", {"classname": _clean(file), "name": _clean(aspect)})
        found = told.get(aspect)
        if aspect in stopping:
            message = _clean(stopping[aspect].words)
            failure = ElementTree.SubElement(case, "failure", {"message": message, "type": stopping[aspect].kind})
            failure.text = "\n".join(map(_clean, stopping[aspect].lines)) or message
        elif found is not None:
            ElementTree.SubElement(case, "system-out").text = _clean(found.words)
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def sarif(gate: Gate, fail_on: FailOn, file: str, version: str, line: int = 1) -> str:
    """Return SARIF: a result for each difference; one that stops the upgrade is an error.

    Args:
        gate: what differs.
        fail_on: which differences stop the upgrade.
        file: path of the snippet, relative to the checkout.
        version: of tfbisect.
        line: of the snippet where it fails, 1-based; 1 where that is not known.
    """
    stopping = gate.stopping(fail_on)
    results = [
        _result(each, "error" if each in stopping else "note", file, line if each.aspect == "ends" else 1)
        for each in gate.differences
    ]
    rules = [{"id": name, "shortDescription": {"text": f"{name} differs"}} for name in gate.compared]
    driver = {"name": "tfbisect", "version": version, "semanticVersion": version, "rules": rules}
    run = {"tool": {"driver": driver}, "results": results}
    return json.dumps({"$schema": SCHEMA, "version": SARIF, "runs": [run]}, indent=2) + "\n"


def _result(each: AspectDifference, level: str, file: str, line: int) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": _uri(file)}, "region": {"startLine": line}}
    text = "\n".join((each.words, *each.lines))
    return {
        "ruleId": each.aspect,
        "level": level,
        "message": {"text": _clean(text)},
        "locations": [{"physicalLocation": place}],
    }


def github_annotations(gate: Gate, fail_on: FailOn, file: str, line: int = 1) -> Iterator[str]:
    """Yield the workflow commands by which GitHub marks lines of a file."""
    stopping = gate.stopping(fail_on)
    for each in gate.differences:
        level = "error" if each in stopping else "notice"
        at = line if each.aspect == "ends" else 1
        title = f"tfbisect: {each.aspect} {each.since}"
        message = "\n".join((each.words, *each.lines))
        yield f"::{level} file={_property(file)},line={at},title={_property(title)}::{_data(message)}"


def step_summary(gate: Gate, fail_on: FailOn, report: str) -> str:
    """Return the Markdown of a step summary: the gate's line, then the report of the bisection."""
    return f"### tfbisect check\n\n{_code(gate.headline(fail_on))}\n\n{report}\n"


def _code(text: str) -> str:
    """Return untrusted text as a code span, which holds no Markdown."""
    clean = printable(text)
    fence = "`" * (max((len(run) for run in _runs_of_ticks(clean)), default=0) + 1)
    return f"{fence} {clean} {fence}"


def _runs_of_ticks(text: str) -> Iterable[str]:
    run = ""
    for letter in text:
        run = run + letter if letter == "`" else ""
        yield run


def _data(text: str) -> str:
    return _clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _uri(path: str) -> str:
    return quote(path.replace("\\", "/"))


def _clean(text: str) -> str:
    """Return untrusted text without what XML, a log or a terminal does not take."""
    return printable(text, lines=True)
