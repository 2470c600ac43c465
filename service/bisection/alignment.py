"""Gives the same printed line the same name in every run, so that an inserted line does not shift those below it.

The lines of the oldest run keep their names. Every other text is aligned with them: lines with the same words match,
and of several ways to match them the one with the most equal numbers. Unmatched lines at the same place are variants of
one line. The rest are new, and are named after the release that shows them first.

A line that some runs of a release show and others do not, such as one per epoch with early stopping, wanders. It is
compared by how often it is printed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from service.bisection.facts import Facts
from service.bisection.likeness import close, is_number
from service.bisection.matching import Cells, Texts, align
from service.bisection.outcomes import Value

LINE = re.compile(r"(lines? \d+(?: to \d+| from the end)?)(, .*)?", re.DOTALL)
STAND_IN = "{}"
QUOTED = 60

Runs = Mapping[str, Sequence[Facts]]


@dataclass(frozen=True)
class PrintedLine:
    """One line of one run, with its fields."""

    name: str
    fields: tuple[tuple[str, Value], ...]
    """What follows the line's name in the name of a field, and the value; the words come first."""
    tolerance: float

    @cached_property
    def words(self) -> str:
        return str(self.fields[0][1])

    @cached_property
    def numbers(self) -> tuple[Value, ...]:
        return tuple(value for _, value in self.fields if is_number(value))

    @cached_property
    def tokens(self) -> frozenset[str]:
        return frozenset(self.words.split())

    def equals(self, other: PrintedLine) -> bool:
        """Say whether the numbers of two lines with the same words are close."""
        return len(self.numbers) == len(other.numbers) and all(
            close(one, another, self.tolerance) for one, another in zip(self.numbers, other.numbers, strict=True)
        )

    def shares(self, other: PrintedLine) -> float:
        """Return the share of words that two lines have in common."""
        return len(self.tokens & other.tokens) / max(1, len(self.tokens | other.tokens))


@dataclass(eq=False)
class MergedLine:
    """One line of the merged text of all runs."""

    name: str
    first: PrintedLine
    words: set[str] = field(default_factory=set)
    """Every wording that a run shows here."""


def aligned(runs: Runs) -> Runs:
    """Return the facts of printed lines with the same names for the same lines in every run.

    Args:
        runs: by release, oldest first.
    """
    texts = {release: [tuple(printed_lines(facts)) for facts in several] for release, several in runs.items()}
    if len({wordings(text) for several in texts.values() for text in several}) < 2:
        return runs
    merged = Merged()
    put = {release: [merged.places_of(release, text) for text in several] for release, several in texts.items()}
    naming = Naming(put)
    return {
        release: [
            Facts((*_others(facts), *naming.fields(text, places)), facts.tolerance, facts.in_lines)
            for facts, text, places in zip(several, texts[release], put[release], strict=True)
        ]
        for release, several in runs.items()
    }


def printed_lines(facts: Facts) -> Iterator[PrintedLine]:
    """Yield the lines of one run, in order."""
    name, fields = "", list[tuple[str, Value]]()
    for label, value in facts.values:
        if (match := LINE.fullmatch(label)) is None:
            continue
        if match[1] != name and fields:
            yield PrintedLine(name, tuple(fields), facts.tolerance)
            fields = []
        name = match[1]
        fields.append((match[2] or "", value))
    if fields:
        yield PrintedLine(name, tuple(fields), facts.tolerance)


def wordings(text: Sequence[PrintedLine]) -> tuple[str, ...]:
    """Return the words of each line."""
    return tuple(line.words for line in text)


def _others(facts: Facts) -> Iterator[tuple[str, Value]]:
    """Yield the fields that are no lines."""
    return ((name, value) for name, value in facts.values if not LINE.fullmatch(name))


class Merged:
    """The merged text of all runs so far."""

    def __init__(self) -> None:
        self._places: list[MergedLine] = []
        self._known: dict[tuple[str, ...], list[MergedLine]] = {}
        self._names: set[str] = set()
        self._cells = Cells()

    def places_of(self, release: str, text: Sequence[PrintedLine]) -> list[MergedLine]:
        """Return the place of each line; new places for those that no run had before."""
        words = wordings(text)
        if words not in self._known:
            self._known[words] = self._put(release, text, self._matched(text))
        return self._known[words]

    def _put(self, release: str, text: Sequence[PrintedLine], found: Mapping[int, int]) -> list[MergedLine]:
        """Insert new places for the lines that were not found."""
        merged, put, at = list[MergedLine](), list[MergedLine](), 0
        for index, line in enumerate(text):
            if index in found:
                merged += self._places[at : found[index] + 1]
                at = found[index] + 1
            else:
                merged.append(MergedLine(self._name(release, line), line))
            merged[-1].words.add(line.words)
            put.append(merged[-1])
        self._places = merged + self._places[at:]
        return put

    def _name(self, release: str, line: PrintedLine) -> str:
        """Return a new name: that of the line in its run, with the release unless it is the oldest."""
        name = f"{line.name} of {release}" if self._known else line.name
        distinct, count = name, 1
        while distinct in self._names:
            count += 1
            distinct = f"{name} ({count})"
        self._names.add(distinct)
        return distinct

    def _matched(self, text: Sequence[PrintedLine]) -> dict[int, int]:
        """Return the index of the place of each line that has one."""
        places = self._places
        texts = Texts(
            [place.words for place in places],
            wordings(text),
            equal=lambda old, new: places[old].first.equals(text[new]),
            shared=lambda old, new: places[old].first.shares(text[new]),
        )
        return {line: place for place, line in align(texts, self._cells)}


class Naming:
    """What the lines of each run are called, given where the lines of all runs were put."""

    def __init__(self, put: Mapping[str, Sequence[Sequence[MergedLine]]]) -> None:
        every = [frozenset(places) for several in put.values() for places in several]
        self._everywhere = frozenset.intersection(*every)
        self._wandering = _names(sorted(_wandering(put)))

    def fields(self, text: Sequence[PrintedLine], places: Sequence[MergedLine]) -> Iterator[tuple[str, Value]]:
        """Yield the fields of a run under their common names."""
        for line, place in zip(text, places, strict=True):
            if place in self._everywhere or self._wandering.keys().isdisjoint(place.words):
                yield from ((place.name + suffix, value) for suffix, value in line.fields)
        counts = Counter(line.words for line in text if line.words in self._wandering)
        for words, count in counts.items():
            yield self._wandering[words], f"printed {STAND_IN} times"
            yield f"{self._wandering[words]}, number 1", count


def _names(words: Sequence[str]) -> dict[str, str]:
    """Return what the lines with the same words are called, each differently."""
    quoted = Counter(each[:QUOTED] for each in words)
    return {
        each: f'lines like "{each[:QUOTED]}"' + (f" ({at})" if quoted[each[:QUOTED]] > 1 else "")
        for at, each in enumerate(words, start=1)
    }


def _wandering(put: Mapping[str, Sequence[Sequence[MergedLine]]]) -> frozenset[str]:
    """Return the words of the lines that some runs of a release show and others do not."""
    words = set[str]()
    for several in put.values():
        shown = [frozenset(places) for places in several]
        for place in frozenset.union(*shown) - frozenset.intersection(*shown) if shown else ():
            words |= place.words
    return frozenset(words)
