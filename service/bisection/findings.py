"""From what is known to the verdict: segments, changes, coverage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from service.bisection import words
from service.bisection.agenda import Agenda
from service.bisection.confidence import NOISE_PRIOR, Sighting, change_confidences
from service.bisection.known import Known
from service.bisection.lines import Bracket, Line
from service.bisection.releases import MAINLINE
from service.bisection.settling import FLAKY, interval
from service.bisection.verdict import (
    Change,
    ChangeCause,
    Changes,
    Coverage,
    Flaky,
    Gap,
    NothingTestable,
    Segment,
    Share,
    Unchanged,
    Unfixed,
    Verdict,
    kind_of_change,
)


def state(known: Known, todo: Agenda) -> Verdict:
    """Return the verdict as far as it is known."""
    segments = tuple(segment for line in known.lines for segment in _segments(line, known))
    sure = _confidences(known)
    changes = tuple(
        _change(line, bracket, known, sure.get((line.name, bracket.before)))
        for line in known.lines
        for bracket in line.brackets()
    )
    gaps, flaky = tuple(_gaps(known)), tuple(_flaky(known))
    common = (_coverage(known, todo), gaps, segments, flaky, known.policy.expected, known.noise)
    verdict: Verdict
    if changes:
        verdict = Changes(*common, changes=changes, unfixed=tuple(_unfixed(known, changes)))
    elif segments:
        verdict = Unchanged(*common, outcome=segments[0].outcome)
    else:
        verdict = NothingTestable(*common)
    return _in_words(verdict)


def with_causes(verdict: Verdict, causes: Mapping[tuple[str, str], ChangeCause]) -> Verdict:
    """Return a verdict that says what its changes come from.

    Args:
        verdict: with its changes.
        causes: by the releases before and after a change.
    """
    if not isinstance(verdict, Changes) or not causes:
        return verdict
    found = [replace(change, cause=causes.get((change.before, change.after))) for change in verdict.changes]
    return _in_words(replace(verdict, changes=tuple(found)))


def _in_words(verdict: Verdict) -> Verdict:
    """Add the sentences of a verdict."""
    coverage = replace(verdict.coverage, statement=words.coverage_statement(verdict))
    stated = replace(verdict, coverage=coverage, summary=words.one_line(verdict))
    return replace(stated, words=words.paragraph(stated))


def _segments(line: Line, known: Known) -> Iterator[Segment]:
    """Return the segments of a line; a branch with only its start known has none."""
    if line.name != MAINLINE and not any(index > 0 for index in line.measured):
        return
    group: list[int] = []
    for index in line.measured:
        if group and line.labels[index] != line.labels[group[0]]:
            yield _segment(line, group, known)
            group = []
        group.append(index)
    if group:
        yield _segment(line, group, known)


def _segment(line: Line, group: list[int], known: Known) -> Segment:
    first, last = group[0], group[-1]
    within = range(first, last + 1)
    measured = tuple(line.releases[index] for index in group if known.reading(line.releases[index]).label)
    return Segment(
        line.name,
        str(line.labels[first]),
        line.releases[first],
        line.releases[last],
        measured,
        tuple(
            line.releases[at]
            for at in within
            if not line.gaps[at] and line.releases[at] not in measured and _is_covered(line, known, at)
        ),
        tuple(line.releases[at] for at in within if line.gaps[at]),
    )


def _confidences(known: Known) -> dict[tuple[str, int], float]:
    """Return the confidence of each change, by line and index; the mainline's noise is the branches' prior."""
    labels = sorted({label for reading in known.readings.values() for label in reading.tally.counts})
    weights: Mapping[float, float] = NOISE_PRIOR
    found: dict[tuple[str, int], float] = {}
    for line in known.lines:
        sightings = [
            Sighting(index, counted.counts, str(line.labels[index]), counted.processes)
            for index in line.measured
            for counted in (known.reading(line.releases[index]).tally,)
        ]
        sure, weights = change_confidences(sightings, labels, len(line), weights)
        found.update({(line.name, index): value for index, value in sure.items()})
    return found


def _change(line: Line, bracket: Bracket, known: Known, confidence: float | None) -> Change:
    before, after = line.releases[bracket.before], line.releases[bracket.after]
    old, new = str(line.labels[bracket.before]), str(line.labels[bracket.after])
    inside = range(bracket.before + 1, bracket.after)
    untried = [at for at in inside if not line.gaps[at]]
    closed = bracket.pinned
    needed = known.answers_beside(FLAKY in {old, new})
    return Change(
        kind_of_change(old, new, known.policy.expected),
        line.name,
        before,
        after,
        old,
        new,
        between=tuple(line.releases[at] for at in inside if closed or line.gaps[at]),
        presumed=tuple(line.releases[at] for at in untried) if closed else (),
        not_asked=known.tree.passed_over(line.name, before, after),
        yanked=known.tree.yanked_between(line.name, before, after),
        unasked=() if closed else tuple(line.releases[at] for at in untried),
        confirmed=closed and all(_answered(known, release, needed) for release in (before, after)),
        confidence=confidence,
    )


def _answered(known: Known, release: str, needed: int) -> bool:
    """Return whether a neighbour of a change has enough answers."""
    reading = known.reading(release)
    settled = reading.label is not None and len(reading.tally.counts) > 1
    return settled or reading.tally.outcomes >= needed


def _gaps(known: Known) -> Iterator[Gap]:
    """Return the releases without an outcome, in the order of history."""
    for release in known.tree.all():
        reading = known.reading(release)
        match reading.gap:
            case "untestable" | "refused" | "lost" as kind:
                yield Gap(release, reading.tally.reason or kind, kind)


def _flaky(known: Known) -> Iterator[Flaky]:
    """Return the releases that are unstable."""
    for release in known.tree.all():
        reading = known.reading(release)
        if reading.label == FLAKY:
            runs = reading.tally.outcomes
            shares = (
                Share(label, count / runs, *interval(count, runs), count, reading.tally.details.get(label, ""))
                for label, count in sorted(reading.tally.counts.items(), key=lambda item: (-item[1], item[0]))
            )
            yield Flaky(release, runs, tuple(shares))


def _unfixed(known: Known, changes: tuple[Change, ...]) -> Iterator[Unfixed]:
    """Return the branches that are still wrong at their newest release although the mainline was fixed after them."""
    fixes = [change.after for change in changes if change.kind == "fixed" and change.line == MAINLINE]
    at = {release: index for index, release in enumerate(known.mainline.releases)}
    for line in known.branches:
        outcomes = [line.labels[index] for index in line.measured]
        later = [fix for fix in fixes if at[fix] > at[line.releases[0]]]
        if later and len(outcomes) > 1 and all(known.policy.calls_wrong(outcome) for outcome in outcomes):
            yield Unfixed(line.name, line.releases[line.measured[-1]], str(outcomes[-1]), later[0])


def _coverage(known: Known, todo: Agenda) -> Coverage:
    """Count what was measured, inferred and left."""
    releases = known.tree.all()
    measured = {release for release in releases if known.reading(release).label}
    gaps = {release for release in releases if known.reading(release).gap}
    inferred = {release for line in known.lines for release in _inferred(line, known)} - measured - gaps
    not_run = tuple(release for release in releases if release not in measured | gaps | inferred)
    return Coverage(
        first=releases[0] if releases else "",
        last=releases[-1] if releases else "",
        considered=len(releases),
        measured=len(measured),
        inferred=len(inferred),
        untestable=len(gaps),
        unexamined=len(not_run),
        not_run=not_run,
        not_asked=known.tree.left_out,
        resolution=known.resolution,
        complete=not todo,
        branches=known.policy.branches,
        open=tuple(dict.fromkeys(run.release for run in todo.certain())),
    )


def _inferred(line: Line, known: Known) -> Iterator[str]:
    """Return the releases that lie between two measured ones that agree, as far as the promise covers them."""
    for left, right in line.neighbours():
        if line.labels[left] == line.labels[right] and _is_covered(line, known, left + 1):
            yield from line.releases[left + 1 : right]


def _is_covered(line: Line, known: Known, at: int) -> bool:
    """Say whether what lies between the measured neighbours of a release is too short to hide a behaviour.

    While the survey is not finished, or where it was cancelled, more lies between two releases that agree: that was not
    run, and nothing is concluded of it.
    """
    if line.name != MAINLINE:
        return True
    left = max((index for index in line.measured if index < at), default=-1)
    right = min((index for index in line.measured if index > at), default=len(line))
    return sum(not line.gaps[index] for index in range(left + 1, right)) < known.resolution
