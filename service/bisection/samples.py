"""Compares one aspect's facts from several runs of each release as samples: which releases are alike?

Each run of a release has its own seed. A field that is constant within every release is compared directly. Text that
varies within a release is masked. Numbers that vary differ only if their ranges are apart by a margin.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from service.bisection.alignment import aligned
from service.bisection.facts import Facts
from service.bisection.likeness import ZERO, close, is_number
from service.bisection.outcomes import Value

MARGIN = 4.0
"""Standard deviations between the ranges of two releases. With two runs each, the bare ranges of like samples are apart
in every third pair; with this margin, and the widest range of any release as a second margin, hardly ever."""
WAVERS_BY_ITSELF = 2
"""A text that varies in this many releases is masked in all: in the others it was constant by chance."""

WAVERS_IN_FEW = 5
"""A number that varies in one release, or in one of five, is normally constant: constant releases are then compared
directly. Random numbers vary nearly everywhere."""


@dataclass(frozen=True)
class Ratio:
    """Compares by ratio, such as processor seconds: a smaller ratio, or a smaller difference, is no change."""

    times: float
    least: float


RATIOS: Mapping[str, Ratio] = {"time": Ratio(1.5, 0.2), "memory": Ratio(1.3, 32.0)}
"""By aspect; the smallest difference has the unit of the aspect's fields."""


@dataclass(frozen=True)
class FieldSample:
    """One field in the runs of one release."""

    values: tuple[Value, ...]
    """From the runs that have the field, in their order."""
    missing: int
    """Number of runs without the field."""
    tolerance: float

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """Return the values if every run gave a number, otherwise none."""
        if self.missing or not all(map(is_number, self.values)):
            return ()
        return tuple(float(value) for value in self.values if value is not None)

    @cached_property
    def steady(self) -> bool:
        """Say whether all runs agree."""
        first = self.values[0]
        return not self.missing and all(close(first, value, self.tolerance) for value in self.values)

    @property
    def constant(self) -> bool:
        """Say whether several runs agree."""
        return self.steady and len(self.values) > 1

    @property
    def masked(self) -> bool:
        """Say whether runs differ in a value that is not a number."""
        return not self.steady and not self.numbers

    @property
    def squares(self) -> float:
        """Return the sum of the squared deviations from the mean."""
        mean = sum(self.numbers) / len(self.numbers)
        return sum((number - mean) ** 2 for number in self.numbers)


@dataclass(frozen=True)
class Sampling:
    """The facts of all runs of all releases that show an aspect, oldest release first."""

    runs: Mapping[str, Sequence[Facts]]
    ratio: Ratio | None = None

    @cached_property
    def fields(self) -> Mapping[str, Mapping[str, FieldSample]]:
        """Return each release's fields by name; printed lines are aligned."""
        shown = {release: runs for release, runs in self.runs.items() if runs}
        if any(facts.in_lines for runs in shown.values() for facts in runs):
            shown = dict(aligned(shown))
        return {release: _fields(runs) for release, runs in shown.items()}

    @cached_property
    def margins(self) -> Mapping[str, float]:
        """Return how far apart two ranges must be, for each field whose numbers vary in any release."""
        found: dict[str, list[FieldSample]] = {}
        for fields in self.fields.values():
            for name, field in fields.items():
                if field.numbers:
                    found.setdefault(name, []).append(field)
        return {
            name: _margin(samples) for name, samples in found.items() if not all(sample.steady for sample in samples)
        }

    @cached_property
    def masked(self) -> frozenset[str]:
        """Return the fields that are not compared in any release."""
        counted = Counter(name for fields in self.fields.values() for name, field in fields.items() if field.masked)
        return frozenset(name for name, count in counted.items() if count >= WAVERS_BY_ITSELF)

    @cached_property
    def normally_constant(self) -> frozenset[str]:
        """Return the numbers that vary in so few releases that the others are compared directly."""
        most = max(1, len(self.fields) // WAVERS_IN_FEW)
        counted = Counter(name for fields in self.fields.values() for name, field in fields.items() if not field.steady)
        return frozenset(name for name in self.margins if counted[name] <= most)

    @cached_property
    def coming_and_going(self) -> frozenset[str]:
        """Return the fields, but for the numbers in their names, that some runs of a release lack.

        How many such fields there are depends on the seed, like the epochs of early stopping.
        """
        return frozenset(
            without_numbers(name)
            for fields in self.fields.values()
            for name, field in fields.items()
            if field.missing and re.search(r"\d", name)
        )

    @cached_property
    def wavering(self) -> tuple[str, ...]:
        """Return the fields that differ between two runs of a release, in display order."""
        wavers = (name for fields in self.fields.values() for name, field in fields.items() if not field.steady)
        return tuple(dict.fromkeys(wavers))

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Return groups of like releases, directly or through others, oldest first.

        A release in which a field varies joins one group: it does not link releases that constantly differ in it.
        """
        group_of = {release: [release] for release in self.fields}
        for release, other in _pairs(list(self.fields)):
            mine, others = group_of[release], group_of[other]
            if mine is not others and not self.apart(release, other) and not self._torn(release, other, mine, others):
                mine += others
                group_of.update(dict.fromkeys(others, mine))
        order = {release: place for place, release in enumerate(self.fields)}
        distinct = {id(group): sorted(group, key=order.__getitem__) for group in group_of.values()}
        return tuple(tuple(group) for group in distinct.values())

    def _torn(self, one: str, other: str, mine: Sequence[str], others: Sequence[str]) -> bool:
        """Say whether two releases are alike only because a field varies in which their groups constantly differ."""
        return any(
            self._constantly_differ(name, self.fields[release].get(name), self.fields[against].get(name))
            for name in self._disputed
            if not all(name not in self.fields[each] or self.fields[each][name].steady for each in (one, other))
            for release in mine
            for against in others
        )

    @cached_property
    def _disputed(self) -> tuple[str, ...]:
        """Return the fields that vary in one release and constantly differ between others."""
        return tuple(name for name in self.wavering if name not in self.masked and self._is_disputed(name))

    def _is_disputed(self, name: str) -> bool:
        found = [fields.get(name) for fields in self.fields.values()]
        constant = [field for field in found if field is None or field.constant]
        return any(self._differ(name, constant[0], field) for field in constant[1:])

    def _constantly_differ(self, name: str, mine: FieldSample | None, others: FieldSample | None) -> bool:
        """Say whether two releases differ in a field that varies in neither."""
        return all(field is None or field.constant for field in (mine, others)) and self._differ(name, mine, others)

    def apart(self, one: str, other: str) -> bool:
        """Say whether two releases differ in any compared field."""
        return next(self._differing(one, other), None) is not None

    def differing(self, one: str, other: str) -> tuple[str, ...]:
        """Return the fields in which two releases differ, in display order."""
        return tuple(self._differing(one, other))

    def _differing(self, one: str, other: str) -> Iterator[str]:
        mine, others = self.fields[one], self.fields[other]
        for name in dict.fromkeys((*others, *mine)):
            if name not in self.masked and self._differ(name, mine.get(name), others.get(name)):
                yield name

    def _differ(self, name: str, mine: FieldSample | None, others: FieldSample | None) -> bool:
        """Say whether two samples of a field differ; a missing one differs from one that every run has."""
        if mine is None or others is None:
            there = mine or others
            return there is not None and not there.masked and without_numbers(name) not in self.coming_and_going
        if mine.masked or others.masked:
            return False
        if mine.numbers and others.numbers:
            if self.ratio is not None:
                return _by_ratio(mine.numbers, others.numbers, self.ratio)
            if name in self.margins and not (name in self.normally_constant and mine.constant and others.constant):
                return _gap(mine.numbers, others.numbers) > max(self.margins[name], _rounding(mine, others))
        return not close(mine.values[0], others.values[0], max(mine.tolerance, others.tolerance))

    @cached_property
    def streams(self) -> tuple[tuple[str, str], ...]:
        """Return neighbours that are alike as samples but differ under equal seeds: random numbers changed there."""
        together = {release: group for group in self.groups for release in group}
        return tuple(
            (one, other)
            for one, other in pairwise(self.fields)
            if together[one] is together[other] and self._same_seeds_differ(one, other)
        )

    def _same_seeds_differ(self, one: str, other: str) -> bool:
        """Say whether runs under equal seeds differ in numbers that depend on the seed."""
        mine, others = self.fields[one], self.fields[other]
        return any(
            not close(value, valued, mine[name].tolerance)
            for name in self.margins
            if name in mine and name in others and mine[name].numbers and others[name].numbers
            for value, valued in zip(mine[name].values, others[name].values, strict=False)
        )


def without_numbers(name: str) -> str:
    """Return a field's name with its numbers left open: "fit 3 epoch 1 loss" is like "fit 12 epoch 1 loss"."""
    return re.sub(r"\d+", "#", name)


def _fields(runs: Sequence[Facts]) -> dict[str, FieldSample]:
    """Return the fields of one release's runs."""
    found: dict[str, list[Value]] = {}
    for facts in runs:
        for name, value in facts.values:
            found.setdefault(name, []).append(value)
    tolerance = max(facts.tolerance for facts in runs)
    return {name: FieldSample(tuple(values), len(runs) - len(values), tolerance) for name, values in found.items()}


def _margin(samples: Sequence[FieldSample]) -> float:
    """Return how far apart two ranges must be, from how much the numbers vary within the releases."""
    degrees = sum(len(sample.numbers) - 1 for sample in samples)
    deviation = math.sqrt(sum(sample.squares for sample in samples) / max(1, degrees))
    return max(MARGIN * deviation, *(max(sample.numbers) - min(sample.numbers) for sample in samples), 0.0)


def _gap(mine: Sequence[float], others: Sequence[float]) -> float:
    """Return how far two ranges are apart; negative if they overlap."""
    return max(min(mine) - max(others), min(others) - max(mine))


def _rounding(mine: FieldSample, others: FieldSample) -> float:
    """Return the largest difference within the tolerance."""
    largest = max(abs(number) for number in (*mine.numbers, *others.numbers))
    return max(ZERO, max(mine.tolerance, others.tolerance) * largest)


def _by_ratio(mine: Sequence[float], others: Sequence[float], ratio: Ratio) -> bool:
    """Say whether the minimum of one sample exceeds the maximum of the other by the ratio."""
    less, more = sorted((mine, others), key=max)
    return min(more) >= max(less) * ratio.times and min(more) - max(less) >= ratio.least


def _pairs(releases: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield every pair, neighbours first: they suffice to group most histories."""
    for distance in range(1, len(releases)):
        yield from zip(releases, releases[distance:], strict=False)
