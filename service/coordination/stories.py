"""What each aspect of a bisection says: those of the snippet's own runs, and the named probes that fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from service.bisection.aspects import ENDS, AspectVerdict
from service.bisection.findings import with_causes
from service.bisection.outcomes import Answer, Outcome, is_failure
from service.bisection.releases import MAINLINE, ReleaseTree
from service.bisection.settling import FLAKY
from service.bisection.telling import Difference, SideBySide, Told, finding, phrase, side_by_side, unified
from service.bisection.verdict import Change, NothingTestable, Verdict, changes_of, to_json
from service.bisection.words import counted, named
from service.catalog.notebooks import with_cells
from service.coordination.faults import raised_in, without_network
from service.coordination.laboratory import Measurement
from service.coordination.progress import Progress

TELLING = ("reports", "predicts", "trains", "prints", "model", "warns", "time", "memory")
"""Aspects without a right and a wrong, that which tells most first."""
NAMED_FIELDS = 20
SHORTENED = "are shortened"
"""Stands in what a run says where it did not train as long as its script says."""
NOTE_CHARACTERS = 200
DATA_SET = "data set "
"""Begins a run's note of a data set."""


@dataclass(frozen=True)
class Story:
    """One aspect, and what it says."""

    name: str
    verdict: Verdict
    progress: Progress
    """The track whose runs show it."""
    differences: tuple[Difference | None, ...] = ()
    """Of each change, in its order."""
    means: Mapping[str, str] | None = None
    """A named probe's outcomes with their meaning."""
    drifts: bool = False
    wavering: tuple[str, ...] = ()
    streams: tuple[tuple[str, str], ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return its changes; where it drifts, none that is worth a sentence."""
        return () if self.drifts else changes_of(self.verdict)

    @property
    def wrong(self) -> bool:
        """Say whether a behaviour that is known to be right is violated somewhere."""
        outcomes = {segment.outcome for segment in self.verdict.segments if not is_failure(segment.outcome)}
        return bool(self.verdict.expected) and bool(outcomes - self.verdict.expected - {FLAKY})

    def told(self) -> Iterator[Told]:
        """Yield each change with its phrase."""
        for change, found in zip(changes_of(self.verdict), self.differences, strict=True):
            if not self.drifts:
                yield Told(self.name, change, phrase(self.name, change, found, means=self.means))

    def to_json(self) -> dict[str, Any]:
        said = to_json(self.verdict)
        return {
            "name": self.name,
            "segments": said["segments"],
            "changes": said["changes"],
            "flaky": said["flaky"],
            "expected": sorted(self.verdict.expected),
            "unsteady": bool(self.wavering) or bool(said["flaky"]),
            "wavering": list(self.wavering[:NAMED_FIELDS]),
            "drifts": self.drifts,
            "streams": [{"before": before, "after": after} for before, after in self.streams],
            "differences": [_difference_json(found) for found in self.differences if found is not None],
        }


def stories_of(subject: Progress, beside: Sequence[Progress]) -> tuple[Story, ...]:
    """Return the aspects that say anything: those of named probes first.

    Args:
        subject: the track of a probe that looks at several aspects.
        beside: the tracks of named probes.
    """
    search = subject.search
    own = [_of_aspect(aspect, subject) for aspect in search.aspects if aspect.shown] if search is not None else []
    return (*(_of_probe(progress) for progress in beside if _fits(progress.verdict)), *own)


def _fits(verdict: Verdict) -> bool:
    """Say whether a named probe could say anything of the snippet."""
    if isinstance(verdict, NothingTestable):
        return False
    return any(not is_failure(segment.outcome) for segment in verdict.segments)


def _of_probe(progress: Progress) -> Story:
    probe = progress.track.probe
    none = (None,) * len(changes_of(progress.verdict))
    return Story(probe.name, progress.verdict, progress, none, means=probe.outcomes)


def _of_aspect(aspect: AspectVerdict, subject: Progress) -> Story:
    sides = [(change.before, change.after) for change in changes_of(aspect.verdict)]
    differ = _ending_difference if aspect.name == ENDS else _field_difference
    return Story(
        aspect.name,
        with_causes(aspect.verdict, subject.causes.get(aspect.name, {})),
        subject,
        tuple(differ(aspect, subject, *side) for side in sides),
        means={} if aspect.is_named else None,
        drifts=aspect.drifts,
        wavering=() if aspect.name == ENDS or aspect.is_named else aspect.sampling.wavering,
        streams=aspect.sampling.streams,
    )


def _field_difference(aspect: AspectVerdict, _subject: Progress, before: str, after: str) -> Difference | None:
    return side_by_side(aspect.sampling, before, after)


def _ending_difference(aspect: AspectVerdict, subject: Progress, before: str, after: str) -> Difference | None:
    """Return both endings, with what was raised; the fields that are compared are no text to read."""
    olds, news = (list(_ending_lines(release, aspect, subject)) for release in (before, after))
    if not olds or not news:
        return None
    return Difference(before, after, (SideBySide("ending", olds[0], news[0]),), unified(olds, news, before, after))


def _ending_lines(release: str, aspect: AspectVerdict, subject: Progress) -> Iterator[str]:
    """Yield how the first run of a release ended, and its traceback."""
    outcome = _first_outcome(aspect.answers.get(release, ()))
    if outcome is None:
        return
    yield outcome.label
    report = next(one.report for one in subject.taken if one.release == release and isinstance(one.answer, Outcome))
    trail = str(raised_in(report.result or {}).get("traceback") or outcome.detail)
    yield from with_cells(trail, subject.track.snippet).strip().splitlines()


def _first_outcome(answers: Sequence[Answer]) -> Outcome | None:
    return next((answer for answer in answers if isinstance(answer, Outcome)), None)


def _difference_json(found: Difference) -> dict[str, Any]:
    return {
        "before": found.before,
        "after": found.after,
        "diff": found.diff,
        "values": [{"name": each.name, "before": each.before, "after": each.after} for each in found.values],
    }


def leading(stories: Sequence[Story]) -> Story:
    """Return the aspect that is shown first: one that violates what is right, else how it ends, else what tells most.

    Args:
        stories: at least one.
    """
    rank = {name: place for place, name in enumerate(TELLING)}

    def order(story: Story) -> tuple[bool, bool, bool, int]:
        changes = bool(story.changes)
        return (not story.wrong, not (changes and story.name == ENDS), not changes, rank.get(story.name, -1))

    return min(stories, key=order)


def summary_of(stories: Sequence[Story], tree: ReleaseTree, first: Story) -> str:
    """Say the finding of all aspects in sentences, the leading one's first at each place."""
    others = (story for story in stories if story is not first)
    told = list(chain(first.told(), *(story.told() for story in others)))
    if not told:
        return _no_change(stories, first)
    place = {release: at for at, release in enumerate(tree.all())}
    return finding(sorted(told, key=lambda one: (one.change.line != MAINLINE, place.get(one.change.after, 0))))


def _no_change(stories: Sequence[Story], first: Story) -> str:
    """Say that nothing changes, and how far that goes."""
    coverage = first.verdict.coverage
    names = named([story.name for story in stories if not story.drifts]).rstrip(",")
    of = "all" if coverage.measured == coverage.considered else f"the {coverage.measured} of"
    return (
        f"No change found in {of} {counted(coverage.considered, 'release')} measured, "
        f"{coverage.first} to {coverage.last}: {names} alike."
        if coverage.complete
        else f"No change found so far in {coverage.measured} of {counted(coverage.considered, 'release')}."
    )


def notes_of_runs(progress: Progress) -> list[str]:
    """Say which data sets stood in for real ones, and that something was wanted from a network that is not there."""
    told = (text for measurement in progress.taken for text in _noted(measurement))
    data = dict.fromkeys(text.removeprefix(DATA_SET) for text in told if text.startswith(DATA_SET))
    notes = [f"Data sets are the container's: {'; '.join(data)}."] if data else []
    raised = (raised_in(measurement.report.result or {}) for measurement in progress.taken)
    advice = next(filter(None, map(without_network, raised)), "")
    return [*notes, *([f"{advice[:1].upper()}{advice[1:]}"] if advice else [])]


def notes_of(stories: Sequence[Story], subject: Progress) -> list[str]:
    """Say what is not searched further, what wavers, where only random numbers are others, and what was cut short."""
    notes = []
    if drifting := [story.name for story in stories if story.drifts]:
        differ = "differs" if len(drifting) == 1 else "differ"
        notes.append(f"{named(drifting)} {differ} in most releases and was not searched further.")
    if unsteady := [story.name for story in stories if story.wavering]:
        notes.append(f"Compared over several seeds, since it wavers from run to run: part of {named(unsteady)}.")
    streams = dict.fromkeys(after for story in stories for _, after in story.streams)
    if streams:
        notes.append(
            f"Equal seeds give other random numbers since {named(list(streams)).rstrip(',')}; that alone is no change."
        )
    if said := next(filter(None, map(_shortened, subject.taken)), ""):
        notes.append(f"{said[:1].upper()}{said[1:]}: --whole trains as long as the script says.")
    return notes


def _shortened(measurement: Measurement) -> str:
    """Return what a run said of training that was cut short; empty if it was not."""
    return next((note for note in _noted(measurement) if SHORTENED in note), "")


def _noted(measurement: Measurement) -> Iterator[str]:
    """Yield what a run noted, which is untrusted."""
    measured = (measurement.report.result or {}).get("measurements")
    told = measured.get("notes") if isinstance(measured, Mapping) else None
    for note in told if isinstance(told, list) else ():
        if isinstance(note, str):
            yield note[:NOTE_CHARACTERS]
