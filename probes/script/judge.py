"""What a script's ending, output and reported values mean."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

from service.bisection.outcomes import Answer, Outcome, Refused, Untestable
from service.catalog.normalising import normalised
from service.catalog.snippets import syntax_tree

CANNOT_ANSWER = 125
TOLERANCE = 1e-5
LABEL_CHARACTERS = 100


def check(source: str) -> None:
    """Refuse what is no Python."""
    syntax_tree(source)


def judge(measurements: Mapping[str, Any]) -> Answer:
    """Judge by a pattern, by reported values, by the output or by the exit code, as asked."""
    parameters = measurements.get("parameters")
    if not isinstance(parameters, Mapping) or not isinstance(measurements.get("exit_code"), int):
        return Untestable("the script's ending is missing")
    if measurements["exit_code"] == CANNOT_ANSWER:
        return Untestable("the script ended with 125: it cannot answer here")
    if parameters.get("pattern"):
        return by_pattern(measurements, str(parameters["pattern"]))
    if raised := measurements.get("raised"):
        return by_exception(raised)
    if measurements["exit_code"] != 0:
        return Outcome(f"exit:{measurements['exit_code']}")
    if parameters.get("judge_by") == "output":
        return by_output(measurements)
    if measurements.get("reported") or parameters.get("expect"):
        return by_values(measurements.get("reported"), parameters)
    return Outcome("passes")


def by_pattern(measurements: Mapping[str, Any], pattern: str) -> Answer:
    """Search the output, the traceback included."""
    raised = measurements.get("raised")
    trail = str(raised.get("traceback", "")) if isinstance(raised, Mapping) else ""
    try:
        found = re.search(pattern, f"{measurements.get('output', '')}\n{trail}", re.MULTILINE)
    except re.error as error:
        return Refused(f"the pattern {pattern!r} is no regular expression: {error}")
    if found:
        return Outcome("matches", found.group()[:LABEL_CHARACTERS])
    return by_exception(raised) if raised else Outcome("does-not-match")


def by_exception(raised: object) -> Answer:
    """Name the exception and its last line: a changed error is another behaviour."""
    facts = raised if isinstance(raised, Mapping) else {}
    lines = str(facts.get("traceback", "")).strip().splitlines() or [str(facts.get("message", ""))]
    message = normalised(lines[-1]).text.partition(": ")[2]
    label = f"raises:{facts.get('exception', 'Exception')}"
    return Outcome(f"{label}: {shortened(message)}" if message else label, lines[-1])


def by_output(measurements: Mapping[str, Any]) -> Answer:
    """Let releases with the same normalised output share an outcome."""
    seen = normalised(str(measurements.get("output", "")))
    digest = hashlib.sha256(seen.text.encode("utf-8", "replace")).hexdigest()[:12]
    replaced = ", ".join(f"{what!r} -> <{kind}>" for kind, what in seen.replaced[:20])
    cut = " (cut: only its beginning was compared)" if measurements.get("cut") else ""
    return Outcome(f"output:{digest}", f"{seen.text[:400]}{cut}" + (f"\nreplaced: {replaced}" if replaced else ""))


def by_values(reported: object, parameters: Mapping[str, Any]) -> Answer:
    """Compare reported values with those expected, or round them to the tolerance."""
    pairs = (
        [pair for pair in reported if isinstance(pair, list) and len(pair) == 2] if isinstance(reported, list) else []
    )
    tolerance = parameters.get("tolerance")
    tolerance = float(tolerance) if isinstance(tolerance, int | float) and tolerance > 0 else TOLERANCE
    expected = parameters.get("expect")
    if isinstance(expected, Mapping) and expected:
        seen = {str(name): value for name, value in pairs}
        wrong = [name for name, value in expected.items() if not close(seen.get(name), value, tolerance)]
        said = ", ".join(f"{name} is {seen.get(name)!r}, not {expected[name]!r}" for name in wrong)
        return Outcome(f"differs:{','.join(sorted(wrong))}", said) if wrong else Outcome("as-expected")
    text = ", ".join(f"{name}={rounded(value, tolerance)}" for name, value in pairs)
    return Outcome(f"reports:{shortened(text)}", text)


def close(seen: object, expected: object, tolerance: float) -> bool:
    """Say whether a value is the expected one, numbers within a relative tolerance."""
    if isinstance(seen, int | float) and isinstance(expected, int | float):
        return math.isclose(seen, expected, rel_tol=tolerance, abs_tol=tolerance)
    return seen == expected


def rounded(value: object, tolerance: float) -> str:
    """Return a value as text, numbers to as many digits as the tolerance leaves."""
    if isinstance(value, Mapping):
        return f"{value.get('dtype')}{value.get('shape')}:{value.get('digest')}"
    if isinstance(value, float):
        return f"{value:.{max(1, round(-math.log10(tolerance)))}g}"
    return str(value)


def shortened(text: str) -> str:
    """Return a text that fits a label; where it is cut, a digest keeps different texts apart."""
    if len(text) <= LABEL_CHARACTERS:
        return text
    return f"{text[: LABEL_CHARACTERS - 11]}... {hashlib.sha256(text.encode()).hexdigest()[:6]}"
