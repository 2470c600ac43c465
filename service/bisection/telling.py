"""Describes changes in the user's terms: the fields of an aspect side by side, as a diff, and in sentences."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.bisection.outcomes import Value, is_failure
from service.bisection.releases import MAINLINE
from service.bisection.samples import FieldSample, Sampling
from service.bisection.verdict import Change
from service.bisection.words import counted, label_in_short, place_of, sentence

DIFF_LINES = 200
VALUES = 50
LINE_LETTERS = 400
TOLD_LETTERS = 80
FEWEST_DIGITS = 3
MOST_DIGITS = 17
NUMBER_OF = re.compile(r"(?P<field>.*), number \d+\Z", re.DOTALL)
PRINTED_LINE = re.compile(r"lines? \d+( to \d+| from the end)?( of \S+)?( \(\d+\))?\Z")
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
STAND_IN = "{}"
ABSENT = "absent"
PRESENT = "present"
"""For a field that is only there or not, such as a warning."""
ABOUT: Mapping[str, str] = {
    "reports": "reported values",
    "warns": "warnings",
    "trains": "values of the training",
    "predicts": "predictions",
    "model": "facts of the model",
    "time": "times",
    "memory": "sizes",
}
"""The noun for an aspect's fields in a count."""


@dataclass(frozen=True)
class SideBySide:
    """One field on both sides of a change, with enough digits to show the difference."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Difference:
    """What differs between two releases in one aspect."""

    before: str
    after: str
    values: tuple[SideBySide, ...]
    diff: str
    """Unified; values that vary or are close enough are shown on both sides as they were before."""


def side_by_side(sampling: Sampling, before: str, after: str) -> Difference | None:
    """Return how two releases differ; None if one of them does not show the aspect."""
    if before not in sampling.fields or after not in sampling.fields:
        return None
    differing = sampling.differing(before, after)
    mine, others = sampling.fields[before], sampling.fields[after]
    values = (SideBySide(name, *texts_of(mine.get(name), others.get(name))) for name in differing[:VALUES])
    olds, news = _lines(mine, mine, others, differing), _lines(others, mine, others, differing)
    return Difference(before, after, tuple(values), unified(list(olds), list(news), before, after))


def unified(olds: Sequence[str], news: Sequence[str], before: str, after: str) -> str:
    """Return a unified diff, cut after DIFF_LINES lines."""
    lines = list(difflib.unified_diff(olds, news, before, after, lineterm="", n=2))
    more = [f"… {counted(len(lines) - DIFF_LINES, 'more line')}"] if len(lines) > DIFF_LINES else []
    return "\n".join([*lines[:DIFF_LINES], *more])


def _lines(
    side: Mapping[str, FieldSample],
    before: Mapping[str, FieldSample],
    after: Mapping[str, FieldSample],
    differing: Sequence[str],
) -> Iterator[str]:
    """Yield one side as lines; printed lines as the script printed them."""
    apart = frozenset(differing)
    for name, field in side.items():
        if NUMBER_OF.match(name) and NUMBER_OF.sub(r"\g<field>", name) in side:
            continue
        numbers: list[str] = []
        while (number := f"{name}, number {len(numbers) + 1}") in side:
            numbers.append(_text_on(number, side, before, after, apart))
        text = _text_on(name, side, before, after, apart)
        for value in numbers:
            text = text.replace(STAND_IN, value, 1)
        printed = PRINTED_LINE.fullmatch(name) or field.values[0] is True
        shown = (name if field.values[0] is True else text) if printed else f"{name}: {text}"
        yield shown[:LINE_LETTERS]


def _text_on(
    name: str,
    side: Mapping[str, FieldSample],
    before: Mapping[str, FieldSample],
    after: Mapping[str, FieldSample],
    apart: frozenset[str],
) -> str:
    """Return a field of one side as text; fields that do not count as different have the same text on both."""
    mine, others = before.get(name), after.get(name)
    if name not in apart and mine is not None:
        return _alone(mine)
    old, new = texts_of(mine, others)
    return old if side is before else new


def _alone(field: FieldSample) -> str:
    return texts_of(field, field)[0]


def texts_of(before: FieldSample | None, after: FieldSample | None) -> tuple[str, str]:
    """Return a field's text on both sides; numbers get enough digits to differ."""
    if before is None and after is not None and after.values[0] is True:
        return ABSENT, PRESENT
    if after is None and before is not None and before.values[0] is True:
        return PRESENT, ABSENT
    if before is not None and after is not None and before.numbers and after.numbers:
        return _numbers(before.numbers, after.numbers)
    return _value(before), _value(after)


def _value(field: FieldSample | None) -> str:
    if field is None:
        return ABSENT
    if field.numbers:
        return _numbers(field.numbers, field.numbers)[0]
    return _plain(field.values[0])


def _plain(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _numbers(mine: Sequence[float], others: Sequence[float]) -> tuple[str, str]:
    """Return two samples, each as a number or a range."""
    for digits in range(FEWEST_DIGITS, MOST_DIGITS + 1):
        texts = _range(mine, digits), _range(others, digits)
        if texts[0] != texts[1] or mine == others:
            break
    return texts


def _range(numbers: Sequence[float], digits: int) -> str:
    """Return the numbers of one release, as a range if they differ in the digits shown."""
    low, high = (_number(number, digits) for number in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"


def _number(number: float, digits: int) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 10**15 else f"{number:.{digits}g}"


def phrase(aspect: str, change: Change, found: Difference | None, *, means: Mapping[str, str] | None = None) -> str:
    """Describe a change of one aspect in the user's terms.

    Args:
        aspect: its name.
        change: from its verdict.
        found: what differs between the two sides.
        means: a named probe's outcomes with their meaning; None for an aspect that is not a named probe.
    """
    if means is not None:
        return f"{aspect}: {_outcome(change.new, means)} (before: {label_in_short(change.old)})"
    if aspect == "ends":
        return _ending(change)
    if found is None or not found.values:
        return f"{aspect} differs"
    if aspect == "prints":
        lines = {NUMBER_OF.sub(r"\g<field>", each.name) for each in found.values}
        return f"{counted(len(lines), 'line')} of the output differ{'s' if len(lines) == 1 else ''}"
    if aspect == "warns":
        return _warnings(found)
    told = max(found.values, key=_tells)
    rest = len(found.values) - 1
    more = f" ({rest} more of the {ABOUT.get(aspect, 'values')} differ{'s' if rest == 1 else ''})" if rest else ""
    return f"{_moves(told)}{more}"


def _outcome(label: str, means: Mapping[str, str]) -> str:
    """Return an outcome with the first words of its meaning."""
    meaning = means.get(label, "")
    return f"{label_in_short(label)}, {meaning.partition(':')[0]}" if meaning else label_in_short(label)


def _ending(change: Change) -> str:
    """Describe how a script ends after the change."""
    old, new = (label if len(label) < LINE_LETTERS else label_in_short(label) for label in (change.old, change.new))
    if is_failure(change.new) and not is_failure(change.old):
        return f"the script breaks off ({new.removeprefix('raises:')}), where it ended before ({old})"
    if is_failure(change.old) and not is_failure(change.new):
        return f"the script runs to its end ({new}), where it broke off before ({old.removeprefix('raises:')})"
    return f"the script ends with {new.removeprefix('raises:')} instead of {old.removeprefix('raises:')}"


def _warnings(found: Difference) -> str:
    came = sum(each.before == ABSENT for each in found.values)
    went = sum(each.after == ABSENT for each in found.values)
    said = [f"{counted(came, 'warning')} more" if came else "", f"{counted(went, 'warning')} fewer" if went else ""]
    return " and ".join(filter(None, said)) or "the warnings differ"


def _tells(values: SideBySide) -> float:
    """Return how informative a pair of values is, 0 to 2: numbers by their relative change, other values 0.5."""
    old, new = _leading_number(values.before), _leading_number(values.after)
    if old is None or new is None:
        return 0.5
    return abs(new - old) / max(abs(old), abs(new), 1e-9)


def _leading_number(text: str) -> float | None:
    try:
        number = float(text.partition(" to ")[0])
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _moves(values: SideBySide) -> str:
    """Describe how one value changes."""
    old, new = _leading_number(values.before), _leading_number(values.after)
    if values.before == ABSENT:
        return f"{values.name} is new: {values.after[:TOLD_LETTERS]}"
    if values.after == ABSENT:
        return f"{values.name} is gone, it was {values.before[:TOLD_LETTERS]}"
    if old is None or new is None:
        return f"{values.name}: {values.after[:TOLD_LETTERS]} instead of {values.before[:TOLD_LETTERS]}"
    verb = "falls" if new < old else "rises"
    return f"{values.name} {verb} from {values.before} to {values.after}"


@dataclass(frozen=True)
class Told:
    """One change of one aspect, with its phrase."""

    aspect: str
    change: Change
    phrase: str


def finding(changes: Sequence[Told]) -> str:
    """Describe all changes of all aspects, place by place in the order of history.

    Args:
        changes: those of the leading aspect first; the places of each are in the order of history.
    """
    sentences: list[str] = []
    earlier: list[Told] = []
    for here in _by_place(changes):
        first = here[0].change
        where = place_of(first, "long") + ("" if first.line == MAINLINE else f" on branch {first.line}")
        if len(earlier) > 0 and _back(here, earlier):
            all_of_it = "this changes" if len(here) == 1 else f"all {_number_word(len(here))} change"
            sentences.append(sentence(f"{where} {all_of_it} back"))
        elif len(here) == 1:
            sentences.append(sentence(f"{where}: {here[0].phrase}"))
        else:
            said = "; ".join(told.phrase for told in here)
            sentences.append(sentence(f"{where} {_number_word(len(here))} things change: {said}"))
        earlier = here
    return " ".join(sentences)


def _number_word(count: int) -> str:
    return NUMBER_WORDS[count] if count < len(NUMBER_WORDS) else str(count)


def _by_place(changes: Sequence[Told]) -> list[list[Told]]:
    """Return the changes of each place; the places keep the order of the tree of releases."""
    places: dict[tuple[str, str, str, str], list[Told]] = {}
    for told in changes:
        change = told.change
        # What comes from another cause is told apart, though it is between the same two releases.
        key = (change.line, change.before, change.after, place_of(change, "long"))
        places.setdefault(key, []).append(told)
    return list(places.values())


def _back(here: Sequence[Told], earlier: Sequence[Told]) -> bool:
    """Say whether exactly what changed at the previous place changes back."""
    before = {told.aspect: told.change for told in earlier}
    return before.keys() == {told.aspect for told in here} and all(
        before[told.aspect].line == told.change.line
        and before[told.aspect].old == told.change.new
        and before[told.aspect].new == told.change.old
        for told in here
    )
