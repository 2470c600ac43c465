"""How each test of a project ended: a test is an aspect of its own, named by its node id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.bisection.facts import Facts
from service.bisection.outcomes import Answer, Outcome, Untestable, Value
from service.bisection.untrusted import brief
from service.catalog.normalising import normalised

LARGEST = 2**63
NAME_CHARACTERS = 160
MESSAGE_CHARACTERS = 500
MOST_TESTS = 500
RAN = frozenset({0, 1})
"""pytest's exit codes: all tests passed, some failed."""
RESULTS = frozenset({"passed", "skipped", "xfailed", "xpassed"})
EXCEPTION = re.compile(r"[^\W\d][\w.]{0,199}")
ENDS = "ends"


def check(source: str) -> None:
    """Take any source: the tests are those of the project."""


def judge(measurements: Mapping[str, Any]) -> Answer:
    """Say whether pytest ran the tests at all."""
    code = measurements.get("exit_code")
    if not isinstance(code, int) or abs(code) >= LARGEST:
        return Untestable("the ending of pytest is missing")
    return Outcome("ran", _counted(measurements)) if code in RAN else Outcome(f"exit:{code:d}")


def aspects(measurements: Mapping[str, Any]) -> dict[str, Facts]:
    """Return the result of each test by its node id, and under `ends` what could not be collected."""
    found = {ENDS: Facts(tuple(_ending(measurements)))}
    for test in _listed(measurements, "tests"):
        name = _text(test.get("name"), NAME_CHARACTERS)
        if name and name != ENDS:
            found.setdefault(name, _of_test(test))
    return found


def _of_test(test: Mapping[str, Any]) -> Facts:
    """Return a test's result; its name is what releases are compared by, whatever the message says."""
    result = _text(test.get("result"), NAME_CHARACTERS)
    raised = _text(test.get("exception"), NAME_CHARACTERS)
    if result not in RESULTS:
        raised = raised if EXCEPTION.fullmatch(raised) else "Exception"
        result = f"fails:{raised}"
    message = normalised(_text(test.get("message"), MESSAGE_CHARACTERS)).text.strip()
    fields: list[tuple[str, Value]] = [("result", result)]
    return Facts((*fields, ("message", message)) if message else tuple(fields), label=result)


def _ending(measurements: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    code = measurements.get("exit_code")
    yield "pytest", "ran" if code in RAN else f"exit code {brief(code)}"
    for failed in _listed(measurements, "uncollected"):
        name = _text(failed.get("name"), NAME_CHARACTERS)
        yield f"{name} cannot be collected", normalised(_text(failed.get("message"), MESSAGE_CHARACTERS)).text


def _counted(measurements: Mapping[str, Any]) -> str:
    """Return how many tests ended in which way."""
    results = [_text(test.get("result"), NAME_CHARACTERS) for test in _listed(measurements, "tests")]
    return ", ".join(f"{results.count(result)} {result}" for result in dict.fromkeys(results))


def _listed(measurements: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    listed = measurements.get(name)
    return [each for each in listed[:MOST_TESTS] if isinstance(each, Mapping)] if isinstance(listed, list) else []


def _text(value: object, characters: int) -> str:
    return "" if value is None else brief(value, characters)
