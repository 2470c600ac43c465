"""What a script's ending, output and reported values mean."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.bisection.likeness import close
from service.bisection.outcomes import CANNOT_ANSWER, Answer, Outcome, Reported, Untestable, Value
from service.bisection.untrusted import brief, finite
from service.catalog.normalising import normalised
from service.catalog.patterns import search_in
from service.catalog.snippets import syntax_tree
from service.errors import BadInput

TOLERANCE = 1e-5
LABEL_CHARACTERS = 100
DETAIL_CHARACTERS = 2000
REPLACED = 20
CUT = "\n[...]\n"
DEEPEST = 8
LARGEST = 2**63
"""A larger integer is compared as a text: no float holds it."""
NUMBERS = 200
"""So many numbers of a run are compared within the tolerance; where there are more, all are compared as text."""
EXCEPTION = re.compile(r"[^\W\d][\w.]{0,199}")
# With a point or an exponent: a whole number counts something and is compared exactly.
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*(?:[eE][-+]?\d+)?|[eE][-+]?\d+)(?!\w|\.\w)")


def check(source: str) -> None:
    """Refuse what is not Python."""
    syntax_tree(source)


def judge(measurements: Mapping[str, Any]) -> Answer:
    """Judge by a pattern, by reported values, by the output or by the exit code, as asked."""
    parameters, exit_code = measurements.get("parameters"), measurements.get("exit_code")
    if not isinstance(parameters, Mapping) or not isinstance(exit_code, int) or abs(exit_code) >= LARGEST:
        return Untestable("the script's ending is missing")
    if exit_code == CANNOT_ANSWER:
        return Untestable("the script ended with 125: it cannot answer here")
    if parameters.get("pattern") or parameters.get("bad_pattern"):
        return by_pattern(measurements)
    failed = bool(measurements.get("raised")) or exit_code != 0
    if failed and parameters.get("regress") == "success":
        return Outcome("fails", ending(measurements, exit_code))
    if raised := measurements.get("raised"):
        return by_exception(raised)
    if exit_code != 0:
        return Outcome(f"exit:{exit_code:d}", last_line(measurements))
    if parameters.get("judge_by") == "output":
        return by_output(measurements, tolerance_of(parameters))
    if measurements.get("reported") or parameters.get("expect"):
        return by_values(measurements.get("reported"), parameters)
    return Outcome("passes")


def expected(parameters: Mapping[str, Any]) -> frozenset[str]:
    """Return the outcomes that are right; a pattern alone does not say whether it should be found.

    Raises:
        BadInput: parameters contradict each other.
    """
    regress, bad = parameters.get("regress"), parameters.get("bad_pattern")
    if bad and parameters.get("pattern"):
        raise BadInput("give a pattern or a bad pattern, not both", field="parameters.bad_pattern")
    if not bad and not parameters.get("pattern"):
        if regress in ("match", "no-match"):
            raise BadInput(f"regress {regress} needs a pattern", field="parameters.regress")
        return frozenset({"fails"} if regress == "success" else {"passes", "as-expected"})
    if regress in ("error", "success") or (bad and regress == "no-match"):
        raise BadInput(f"regress {regress} does not go with this pattern", field="parameters.regress")
    if bad or regress == "match":
        return frozenset({"does-not-match"})
    return frozenset({"matches"} if regress == "no-match" else ())


def ending(measurements: Mapping[str, Any], exit_code: int) -> str:
    """Say how a run failed."""
    raised = measurements.get("raised")
    if not isinstance(raised, Mapping):
        return f"exit code {exit_code:d}"
    trail = text_of(raised.get("traceback")).strip().splitlines()
    return (trail[-1] if trail else text_of(raised.get("message")))[:DETAIL_CHARACTERS]


def by_pattern(measurements: Mapping[str, Any]) -> Answer:
    """Say whether the pattern was found in the output or the traceback: in the run, or now, where it is another."""
    found = measurements.get("found")
    parameters = mapping(measurements.get("parameters"))
    pattern = text_of(parameters.get("pattern") or parameters.get("bad_pattern"))
    if measurements.get("searched", pattern) != pattern:
        searched = search_in(pattern, kept_text(measurements))
        if not searched.ended:
            return Untestable("the search for the pattern in the stored output took too long; --fresh runs again")
        if searched.found is None and (measurements.get("cut") or measurements.get("warned_cut")):
            return Untestable("the pattern is not in the part of the output that is stored; --fresh searches all of it")
        found = searched.found
    if isinstance(found, str):
        return Outcome("matches", found[:DETAIL_CHARACTERS])
    if raised := measurements.get("raised"):
        return by_exception(raised)
    unsearched = measurements.get("unsearched")
    said = f" (the last {brief(unsearched)} bytes of the output were not searched)" if unsearched else ""
    return Outcome("does-not-match", last_line(measurements) + said)


def kept_text(measurements: Mapping[str, Any]) -> str:
    """Return what is stored of the output, the warnings and the traceback."""
    tail, trail = text_of(measurements.get("tail")), mapping(measurements.get("raised")).get("traceback")
    printed = text_of(measurements.get("output")) + (f"{CUT}{tail}" if tail else "")
    return "\n".join((printed, text_of(measurements.get("warned")), text_of(trail)))


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def by_exception(raised: object) -> Answer:
    """Name the exception and its last line: a changed error is another behaviour."""
    facts = raised if isinstance(raised, Mapping) else {}
    lines = text_of(facts.get("traceback")).strip().splitlines() or [text_of(facts.get("message"))]
    message = normalised(lines[-1]).text.partition(": ")[2]
    name = text_of(facts.get("exception"))
    label = f"raises:{name if EXCEPTION.fullmatch(name) else 'Exception'}"
    return Outcome(f"{label}: {shortened(message)}" if message else label, lines[-1][:DETAIL_CHARACTERS])


def by_output(measurements: Mapping[str, Any], tolerance: float) -> Answer:
    """Let releases with the same normalised output share an outcome, its numbers compared within the tolerance."""
    tail = text_of(measurements.get("tail"))
    seen = normalised(text_of(measurements.get("output")) + (f"{CUT}{tail}" if tail else ""))
    replaced = ", ".join(f"{what[:LABEL_CHARACTERS]!r} -> <{kind}>" for kind, what in seen.replaced[:REPLACED])
    more = len(seen.replaced) - REPLACED
    said = [seen.text[:DETAIL_CHARACTERS]]
    said += [what_was_cut(measurements)] if measurements.get("cut") else []
    said += [f"replaced: {replaced}" + (f" and {more} more" if more > 0 else "")] if replaced else []
    return Outcome(f"output:{digest(seen.text)[:12]}", "\n".join(said), Reported(parts(seen.text), tolerance))


def what_was_cut(measurements: Mapping[str, Any]) -> str:
    """Say which part of a long output was not compared."""
    if not measurements.get("tail"):
        return "(cut: only its beginning was compared)"
    size, left_out = (brief(measurements.get(key)) for key in ("bytes", "left_out"))
    return f"(cut: of its {size} bytes, {left_out} between beginning and end were not compared)"


def parts(text: str) -> tuple[tuple[str, Value], ...]:
    """Take a text apart into its numbers and, by digest, all that is around them."""
    numbers = NUMBER.findall(text)
    if len(numbers) > NUMBERS:
        return (("text", digest(text)),)
    around = ("text", digest(NUMBER.sub("\0", text)))
    return (around, *((f"number {at}", float(number)) for at, number in enumerate(numbers, start=1)))


def by_values(reported: object, parameters: Mapping[str, Any]) -> Answer:
    """Compare reported values with those expected, or else with those that other releases report."""
    listed = reported if isinstance(reported, list) else []
    pairs = [pair for pair in listed if isinstance(pair, list) and len(pair) == 2]
    seen = {name: value for pair in pairs for name, value in items(text_of(pair[0]), pair[1])}
    tolerance, expected = tolerance_of(parameters), parameters.get("expect")
    if isinstance(expected, Mapping) and expected:
        wanted = {name: value for key, given in expected.items() for name, value in items(str(key), given)}
        return by_expectation(seen, wanted, tolerance)
    text = ", ".join(f"{name}={rounded(value, tolerance)}" for name, value in seen.items())
    detail = ", ".join(f"{name}={value}" for name, value in seen.items())
    values = tuple(sorted(seen.items())) if len(seen) <= NUMBERS else (("values", digest(detail)),)
    label = f"reports:{shortened(text)}"
    return Outcome(label, detail[:DETAIL_CHARACTERS], Reported(values, tolerance))


def by_expectation(seen: Mapping[str, Value], expected: Mapping[str, Value], tolerance: float) -> Answer:
    """Compare reported values with those expected."""
    lacking = [name for name in expected if name not in seen]
    wrong = [name for name in expected if name in seen and not close(seen[name], expected[name], tolerance)]
    if not lacking and not wrong:
        return Outcome("as-expected", ", ".join(f"{name}={seen[name]}" for name in expected)[:DETAIL_CHARACTERS])
    said = [f"{name} was not reported" for name in lacking]
    said += [f"{name} is {seen[name]}, not {expected[name]}" for name in wrong]
    names = ",".join(sorted([*lacking, *wrong]))
    return Outcome(f"differs:{shortened(names)}", ", ".join(said)[:DETAIL_CHARACTERS])


def tolerance_of(parameters: Mapping[str, Any]) -> float:
    """Return the relative tolerance that was asked for."""
    given = parameters.get("tolerance")
    tolerance = None if isinstance(given, bool) else finite(given)
    return tolerance if tolerance is not None and tolerance >= 0 else TOLERANCE


def items(name: str, value: object, depth: int = 0) -> Iterator[tuple[str, Value]]:
    """Yield a reported value, a list or mapping item by item; an array and what is no finite number as a text."""
    match value:
        case _ if depth > DEEPEST:
            yield name, "nested too deeply"
        case {"digest": text}:
            array = (brief(part, LABEL_CHARACTERS) for part in (value.get("dtype"), value.get("shape"), text))
            yield name, "{}{}:{}".format(*array)
        case Mapping():
            for key, item in value.items():
                yield from items(f"{name}.{key}", item, depth + 1)
        case list():
            for at, item in enumerate(value):
                yield from items(f"{name}[{at}]", item, depth + 1)
        case float() if not math.isfinite(value):
            yield name, str(value)
        case int() if abs(value) >= LARGEST:
            yield name, f"an integer of {value.bit_length()} bits: {value % LARGEST}"
        case bool() | int() | float() | str() | None:
            yield name, value
        case _:
            yield name, type(value).__name__


def rounded(value: Value, tolerance: float) -> str:
    """Return a value as text, numbers to as many digits as tell apart what the tolerance tells apart."""
    if isinstance(value, float):
        return f"{value:.{min(17, 1 + math.ceil(-math.log10(tolerance))) if 0 < tolerance < 1 else 17}g}"
    return str(value)


def last_line(measurements: Mapping[str, Any]) -> str:
    """Return the last line that was printed."""
    printed = text_of(measurements.get("tail")) or text_of(measurements.get("output"))
    return next(reversed(printed.strip().splitlines()), "")[:DETAIL_CHARACTERS]


def text_of(value: object) -> str:
    """Return a text as it is, and what should have been one in short."""
    if isinstance(value, str):
        return value
    return "" if value is None else brief(value, DETAIL_CHARACTERS)


def digest(text: str) -> str:
    """Return the sha256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def shortened(text: str) -> str:
    """Return a text that fits a label; where it is cut, a digest keeps different texts apart."""
    if len(text) <= LABEL_CHARACTERS:
        return text
    return f"{text[: LABEL_CHARACTERS - 11]}... {digest(text)[:6]}"
