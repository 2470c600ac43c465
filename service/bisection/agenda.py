"""What is still to be run, sorted by what it is for, and the choice of what to run at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from service.bisection.known import Known
from service.bisection.lines import Bracket, Line, coarse_to_fine, survey_posts, survey_wants, tip_wants
from service.bisection.releases import MAINLINE
from service.bisection.settling import FLAKY
from service.bisection.verdict import Change

Purpose = Literal["settle", "bisect", "survey", "confirm", "tip", "repeat", "complete"]


@dataclass(frozen=True)
class PlannedRun:
    """One run to make. `repeat` counts the answers that the release gave before, so a lost run is planned again."""

    release: str
    repeat: int = 0
    purpose: Purpose = "survey"


@dataclass(frozen=True)
class OpenBracket:
    line: Line
    bracket: Bracket


@dataclass(frozen=True)
class Agenda:
    """Everything still to be run; each tuple is ordered by value."""

    settle: tuple[PlannedRun, ...] = ()
    brackets: tuple[OpenBracket, ...] = ()
    survey: tuple[PlannedRun, ...] = ()
    confirm: tuple[PlannedRun, ...] = ()
    tips: tuple[PlannedRun, ...] = ()
    repeats: tuple[PlannedRun, ...] = ()
    spare: tuple[PlannedRun, ...] = ()
    """Worth running only on workers that would be idle."""
    filling: tuple[PlannedRun, ...] = field(default=())
    """What the verdict only infers, for those who want it measured."""

    def __bool__(self) -> bool:
        """Return whether the verdict needs anything more."""
        return any((self.settle, self.brackets, self.survey, self.confirm, self.tips, self.repeats))

    def certain(self) -> list[PlannedRun]:
        """Return what must be run however the answers turn out, the most valuable first."""
        return self._queue([1] * len(self.brackets))

    def at_least(self) -> int:
        """Return how many runs are still to be made, whatever they answer."""
        deeper = sum(int(math.log2(len(entry.bracket) + 1)) - 1 for entry in self.brackets)
        return len(self.certain()) + deeper

    def now(self, workers: int) -> list[PlannedRun]:
        """Choose what to run at once; workers that the survey does not need cut the brackets finer."""
        slots = max(len(self.brackets), workers - len(self.settle) - len(self.survey))
        points = points_for_fewest_rounds([len(entry.bracket) for entry in self.brackets], slots)
        return _distinct([*self._queue(points), *self.spare])[:workers]

    def _queue(self, points: list[int]) -> list[PlannedRun]:
        """Return the runs in order of value, each bracket cut at that many points.

        The middle of a bracket tells one bit for sure and a survey run rarely anything, so the middle goes first.
        """
        cuts = [
            PlannedRun(entry.line.releases[index], 0, "bisect")
            for entry, count in zip(self.brackets, points, strict=True)
            for index in split_points(entry.bracket, count)
        ]
        return _distinct([*self.settle, *cuts, *self.survey, *self.confirm, *self.tips, *self.repeats])


def agenda(known: Known) -> Agenda:
    """Say what is still to be run."""
    if known.refused:
        return Agenda()
    survey, tips = _survey(known), _tips(known)
    waiting = {run.release for run in survey}
    brackets = [OpenBracket(line, bracket) for line in known.lines for bracket in line.brackets()]
    ready = [entry for entry in brackets if not waiting.intersection(_inside(entry))]
    settle = tuple(_settle(known))
    urgent = Agenda(
        settle,
        tuple(sorted((entry for entry in ready if len(entry.bracket)), key=lambda entry: -len(entry.bracket))),
        survey,
        tuple(_confirm(known, [entry for entry in ready if entry.bracket.pinned])),
        tips,
        () if settle else tuple(_repeats(known)),
        tuple(PlannedRun(run.release, run.repeat + more, "settle") for more in (1, 2) for run in settle),
    )
    return urgent if urgent or not known.policy.complete else Agenda(filling=tuple(_filling(known)))


def _inside(entry: OpenBracket) -> Iterator[str]:
    """Return the releases between the two of a bracket."""
    return iter(entry.line.releases[entry.bracket.before + 1 : entry.bracket.after])


def _settle(known: Known) -> Iterator[PlannedRun]:
    """Yield another run for each release whose answers differ."""
    for line in known.lines:
        for release, disputed in zip(line.releases, line.disputed, strict=True):
            if disputed and not (line.name != MAINLINE and release == line.releases[0]):
                yield PlannedRun(release, known.reading(release).tally.answers, "settle")


def _survey(known: Known) -> tuple[PlannedRun, ...]:
    """Return the first runs for the promised resolution: on the mainline, or on all branches if they are asked for."""
    lines = known.lines if known.policy.branches == "all" else (known.mainline,)
    wanted = [line.releases[index] for line in lines for index in survey_wants(line, known.resolution)]
    return tuple(PlannedRun(release, 0, "survey") for release in dict.fromkeys(wanted))


def _tips(known: Known) -> tuple[PlannedRun, ...]:
    """Return the runs of the newest patch of each branch asked for."""
    if known.policy.branches != "tips":
        return ()
    lines = [line for line in known.branches if line.name in known.asked]
    return tuple(PlannedRun(line.releases[index], 0, "tip") for line in lines for index in tip_wants(line))


def _confirm(known: Known, pinned: Iterable[OpenBracket]) -> Iterator[PlannedRun]:
    """Return the further runs that both neighbours of each change need, alternating between them."""
    wanted: dict[str, int] = {}
    for entry in pinned:
        sides = (entry.bracket.before, entry.bracket.after)
        needed = known.answers_beside(FLAKY in {entry.line.labels[side] for side in sides})
        for side in sides:
            release = entry.line.releases[side]
            wanted[release] = max(needed, wanted.get(release, 0))
    return _rounds(known, wanted, "confirm")


def doubts(known: Known, changes: Iterable[Change]) -> tuple[PlannedRun, ...]:
    """Return another run for the weaker side of each doubtful change, if noise was seen."""
    if not known.noise and not any(reading.label == FLAKY for reading in known.readings.values()):
        return ()
    enough = 1 - known.policy.false_alarm_rate
    unsure = [change for change in changes if change.confidence is not None and change.confidence < enough]
    weaker = dict.fromkeys(release for change in unsure for release in _weaker_sides(known, change))
    return tuple(PlannedRun(release, known.reading(release).tally.answers, "confirm") for release in weaker)


def _weaker_sides(known: Known, change: Change) -> list[str]:
    """Return the side of a change with the smaller lead, or both if equal, without exhausted ones."""
    sides = [side for side in (change.before, change.after) if not known.reading(side).exhausted]
    leads = [known.reading(side).tally.lead for side in sides]
    return [side for side, lead in zip(sides, leads, strict=True) if lead == min(leads)]


def _repeats(known: Known) -> Iterator[PlannedRun]:
    """Return the further runs that noise requires of the survey, or the policy of every release."""
    wanted: dict[str, int] = {}
    if known.policy.repeats > 1:
        wanted = {release: known.policy.repeats for release, reading in known.readings.items() if reading.label}
    if known.survey_answers > 1:
        posts = [line.releases[index] for line in known.lines for index in _posts(known, line)]
        wanted.update(dict.fromkeys(posts, known.survey_answers))
    return _rounds(known, wanted, "repeat")


def _posts(known: Known, line: Line) -> list[int]:
    """Return the releases of a line on which the promised resolution depends."""
    if line.name == MAINLINE or known.policy.branches == "all":
        return survey_posts(line, known.resolution)
    return list(line.measured[-1:])


def _rounds(known: Known, wanted: dict[str, int], purpose: Purpose) -> Iterator[PlannedRun]:
    """Return the missing runs in rounds: one of every release before a second one of any."""
    lacking = {release: known.lacking(release, needed) for release, needed in wanted.items()}
    for more in range(max(lacking.values(), default=0)):
        for release, missing in lacking.items():
            if more < missing:
                yield PlannedRun(release, known.reading(release).tally.answers + more, purpose)


def _filling(known: Known) -> Iterator[PlannedRun]:
    """Return every release that was not run, the mainline first, from coarse to fine."""
    releases = known.tree.all()
    mainline = set(known.mainline.releases)
    untried = [index for index, release in enumerate(releases) if not known.reading(release).tried]
    order = coarse_to_fine(untried)
    for index in sorted(order, key=lambda index: releases[index] not in mainline):
        yield PlannedRun(releases[index], 0, "complete")


def _distinct(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Drop later plans of the same release and repeat."""
    kept: dict[tuple[str, int], PlannedRun] = {}
    for run in runs:
        kept.setdefault((run.release, run.repeat), run)
    return list(kept.values())


def split_points(bracket: Bracket, count: int) -> list[int]:
    """Return where to cut a bracket; beside a gap the larger side gets more cuts."""
    stretches = sorted(bracket.stretches, key=len, reverse=True)
    if len(stretches) < 2 or count < 2:
        return stretches[0].split(count) if stretches else []
    first = min(count - 1, max(1, round(count * len(stretches[0]) / len(bracket))))
    return [*stretches[0].split(first), *stretches[1].split(count - first)]


def points_for_fewest_rounds(sizes: list[int], slots: int) -> list[int]:
    """Return into how many points to cut each bracket: as few as finish all of them in the fewest rounds.

    Args:
        sizes: how many releases each bracket has left, shape (k,).
        slots: how many runs may go on at once, at least k.
    """
    for rounds in range(1, max(sizes, default=1) + 1):
        points = [_fewest_points(size, rounds) for size in sizes]
        if sum(points) <= slots:
            return points
    return [1] * len(sizes)


def _fewest_points(size: int, rounds: int) -> int:
    """Return the fewest cuts a round that take one of size + 1 places in that many rounds."""
    points = max(1, math.ceil(math.pow(size + 1, 1 / rounds) - 1e-9) - 1)
    return points + 1 if math.pow(points + 1, rounds) < size + 1 else points
