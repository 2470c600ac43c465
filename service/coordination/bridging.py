"""Runs the bridges of a bisection's changes, and keeps what they showed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from service.bisection.aspects import LOOKS, RunFacts, labels_in_aspect
from service.bisection.bridges import OTHER_SIDE, Bridge, Cause, Shown, Side, next_bridge
from service.bisection.companions import EnvironmentDifference, between, family_of, held_by
from service.bisection.facts import facts_of
from service.bisection.likeness import read_together
from service.bisection.outcomes import Lost, Outcome, RunReport
from service.bisection.verdict import ChangeCause
from service.catalog.targets import Hold, Target
from service.coordination.laboratory import Laboratory, Measurement, Question
from service.coordination.progress import Progress
from service.coordination.stories import stories_of

BRIDGE = "bridge"
"""What whoever watches is told in place of a track."""
BRIDGED = "bridged"
"""Stands for the bridge where its runs are compared with those of releases."""
MOST_PLACES = 6
"""Places of a history that are looked into; each may cost an image."""
TOO_MANY = f"only the first {MOST_PLACES} places are looked into"
UNPREPARED = "unprepared"
LOSSES = 3
"""Lost runs after which a bridge counts as one that does not answer."""


class NotKnown(Exception):
    """What stored answers leave open."""


@dataclass(frozen=True)
class Crossing:
    """A change of one aspect, and how the environments of its sides differ."""

    progress: Progress
    aspect: str
    """"" for a probe without aspects."""
    before: str
    after: str
    reports: Mapping[Side, RunReport]
    environment: EnvironmentDifference

    @property
    def place(self) -> tuple[str, str]:
        return self.before, self.after

    @property
    def family(self) -> frozenset[str]:
        """Return the packages that are the release itself under other names."""
        return family_of(self.environment.parts, self.before, self.after)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.environment.parts if part.name not in self.family)

    def release(self, side: Side) -> str:
        return self.before if side == "before" else self.after


Span = tuple[str, str, str, Bridge]
"""Track, releases before and after, and the bridge between them."""


@dataclass
class Bridging:
    """The bridges of one bisection."""

    laboratory: Laboratory
    bisection: str
    asks: bool = True
    """Whether the index may be asked what goes together; else what is not known ends in NotKnown."""
    taken: dict[Span, list[Measurement]] = field(default_factory=dict)
    _running: Counter[Span] = field(default_factory=Counter)
    _farthest: dict[tuple[str, str, str], list[Bridge]] = field(default_factory=dict)

    def wanted(self, tracks: Sequence[Progress]) -> list[tuple[Span, Question]]:
        """Return the runs that are still to be made, those that run already left out."""
        if not self._is_asked(tracks):
            return []
        found: dict[Span, Question] = {}
        for crossing in self._looked_into(tracks):
            step = self._step(crossing)
            if isinstance(step, Bridge):
                span = (crossing.progress.track.name, *crossing.place, step)
                found.setdefault(span, self._question(crossing, step))
        return [
            (span, self._numbered(question, repeat))
            for span, question in found.items()
            for repeat in range(len(self._kept(span)) + self._running[span], LOOKS)
        ]

    def started(self, span: Span) -> None:
        self._running[span] += 1

    def add(self, span: Span, measurement: Measurement) -> None:
        """Keep what a run of a bridge answered."""
        self._running[span] = max(0, self._running[span] - 1)
        self.taken.setdefault(span, []).append(measurement)

    def recall(self, tracks: Sequence[Progress]) -> bool:
        """Take the answers of all bridges from the store; return whether they were all there."""
        try:
            while wanted := self.wanted(tracks):
                for span, question in wanted:
                    stored = self.laboratory.recall([question])
                    if not stored:
                        return False
                    self.add(span, stored[0])
            self.settle(tracks)
        except NotKnown:
            return False
        return True

    def settle(self, tracks: Sequence[Progress]) -> None:
        """Tell each track what its changes come from, as far as that is known."""
        if not self._is_asked(tracks):
            return
        for progress in tracks:
            progress.causes = {}
        places = {crossing.place for crossing in self._looked_into(tracks)}
        for crossing in crossings(tracks):
            step = self._step(crossing) if not crossing.parts or crossing.place in places else TOO_MANY
            found = self._cause(crossing, step)
            if found is not None:
                crossing.progress.causes.setdefault(crossing.aspect, {})[crossing.place] = found

    def _is_asked(self, tracks: Sequence[Progress]) -> bool:
        return self.laboratory.bridges and tracks[0].case.request.why

    def _looked_into(self, tracks: Sequence[Progress]) -> list[Crossing]:
        """Return the changes whose sides differ in their environments, of the first places."""
        found = [crossing for crossing in crossings(tracks) if crossing.parts]
        places = list(dict.fromkeys(crossing.place for crossing in found))[:MOST_PLACES]
        return [crossing for crossing in found if crossing.place in places]

    def _step(self, crossing: Crossing) -> Bridge | Cause:
        """Return the next bridge of a change, or its cause."""
        if not crossing.parts:
            return Cause("release")
        seen = {
            span[-1]: shown
            for span, measurements in self.taken.items()
            if span[:-1] == (crossing.progress.track.name, *crossing.place)
            and (shown := shown_by(crossing, measurements)) is not None
        }
        step = next_bridge(crossing.parts, seen)
        if isinstance(step, Cause) and step.axis == "unknown":
            farther = [bridge for bridge in self._as_far_as_possible(crossing) if bridge not in seen]
            return farther[0] if farther else step
        return step

    def _as_far_as_possible(self, crossing: Crossing) -> list[Bridge]:
        """Return the bridges that have as much of the other side as goes together with a release; found once."""
        key = (crossing.progress.track.name, *crossing.place)
        if key not in self._farthest:
            found = []
            for release in OTHER_SIDE:

                def goes(moved: frozenset[str], release: Side = release) -> bool:
                    return self._goes_together(self._question(crossing, Bridge(release, moved)).target)

                moved = farthest(crossing.parts, goes)
                if moved and len(moved) < len(crossing.parts):
                    found.append(Bridge(release, moved))
            self._farthest[key] = sorted(found, key=lambda bridge: -len(bridge.moved))[:1]
        return self._farthest[key]

    def _kept(self, span: Span) -> list[Measurement]:
        """Return the answers of a bridge that count: after too many lost runs, all of them."""
        measurements = self.taken.get(span, [])
        lost = sum(isinstance(each.answer, Lost) for each in measurements)
        counting = [each for each in measurements if not isinstance(each.answer, Lost)]
        untestable = [each for each in counting if not isinstance(each.answer, Outcome)]
        # What cannot be installed is not tried a second time.
        return counting * LOOKS if lost >= LOSSES or untestable else counting

    def _goes_together(self, target: Target) -> bool:
        if self.asks:
            return self.laboratory.can_resolve(target)
        known = self.laboratory.is_known_to_resolve(target)
        if known is None:
            raise NotKnown
        return known

    def _question(self, crossing: Crossing, bridge: Bridge) -> Question:
        progress = crossing.progress
        sides, package = crossing.reports, progress.case.request.package
        held = held_by(bridge, sides["before"], sides["after"], package, crossing.family)
        cutoffs = [self.laboratory.cutoff(progress.case.target(release)) for release in crossing.place]
        hold = Hold(held.python, latest(cutoffs), held.pins)
        return Question(progress.case, progress.track, crossing.release(bridge.release), 0, self.bisection, hold)

    def _numbered(self, question: Question, repeat: int) -> Question:
        return Question(question.case, question.track, question.release, repeat, self.bisection, question.hold)

    def _cause(self, crossing: Crossing, step: Bridge | Cause | str) -> ChangeCause | None:
        """Return a cause as the verdict has it; None while bridges are missing."""
        if isinstance(step, Bridge):
            return None
        cause = Cause("unknown", crossing.parts, step) if isinstance(step, str) else step
        track = crossing.progress.track.name
        mine = {span[-1]: runs for span, runs in self.taken.items() if span[:-1] == (track, *crossing.place)}
        showing = [
            bridge
            for bridge, runs in mine.items()
            if bridge.moved == frozenset(cause.names) and shown_by(crossing, runs) == OTHER_SIDE[bridge.release]
        ]
        return ChangeCause(
            cause.axis,
            crossing.environment.parts,
            tuple(part for part in crossing.environment.parts if part.name in cause.names),
            crossing.release(showing[0].release) if showing and cause.axis != "unknown" else "",
            cause.reason,
            sum(each.report.ending != UNPREPARED for runs in mine.values() for each in runs),
        )


def latest(moments: Sequence[datetime | None]) -> str:
    """Return the latest moment in ISO form; "" where none is known."""
    known = [moment for moment in moments if moment is not None]
    return max(known).isoformat() if known else ""


def farthest(parts: Sequence[str], goes: Callable[[frozenset[str]], bool]) -> frozenset[str]:
    """Return as many parts as go together with a release, added in halves; the interpreter first."""

    def grown(kept: frozenset[str], group: Sequence[str]) -> frozenset[str]:
        if not group:
            return kept
        if goes(kept | frozenset(group)):
            return kept | frozenset(group)
        if len(group) == 1:
            return kept
        middle = len(group) // 2
        return grown(grown(kept, group[:middle]), group[middle:])

    # That all of it does not go is known.
    middle = max(1, len(parts) // 2)
    return grown(grown(frozenset(), parts[:middle]), parts[middle:])


def crossings(tracks: Sequence[Progress]) -> Iterator[Crossing]:
    """Yield the changes of a snippet's own tracks, those of variants left out, leading places first."""
    subject = tracks[0]
    for progress in tracks:
        if progress is subject or progress.track.is_aspect:
            yield from _crossings_of(progress)


def _crossings_of(progress: Progress) -> Iterator[Crossing]:
    package = progress.case.request.package
    first: dict[str, RunReport] = {}
    for one in progress.taken:
        if isinstance(one.answer, Outcome):
            first.setdefault(one.release, one.report)
    stories = stories_of(progress, ()) if progress.search is not None else ()
    found = [(story.name, change) for story in stories for change in story.changes]
    if progress.search is None:
        found = [("", change) for change in progress.changes]
    for aspect, change in found:
        if change.before in first and change.after in first:
            reports: dict[Side, RunReport] = {"before": first[change.before], "after": first[change.after]}
            differ = between(reports["before"], reports["after"], package)
            yield Crossing(progress, aspect, change.before, change.after, reports, differ)


def shown_by(crossing: Crossing, measurements: Sequence[Measurement]) -> Shown | None:
    """Return whose behaviour the runs of a bridge show; None while there are too few."""
    lost = sum(isinstance(each.answer, Lost) for each in measurements)
    counting = [each for each in measurements if not isinstance(each.answer, Lost)]
    if any(not isinstance(each.answer, Outcome) for each in counting) or lost >= LOSSES:
        return "cannot"
    if len(counting) < LOOKS:
        return None
    labels = _labels(crossing, counting)
    before, after, bridged = (labels.get(name, []) for name in (crossing.before, crossing.after, BRIDGED))
    if not bridged:
        return "cannot"
    if not before or not after:
        return "neither"
    sides = [Counter(side).most_common(1)[0][0] for side in (before, after)]
    if len(set(bridged)) > 1 or sides[0] == sides[1] or bridged[0] not in sides:
        return "neither"
    return "before" if bridged[0] == sides[0] else "after"


def _labels(crossing: Crossing, measurements: Sequence[Measurement]) -> Mapping[str, Sequence[str]]:
    """Return the labels of all releases and of the bridge, compared with each other."""
    progress = crossing.progress
    read = progress.track.probe.aspects
    if read is None or not crossing.aspect:
        answers = read_together({**progress.answers, BRIDGED: [each.answer for each in measurements]})
        return {name: [one.label for one in several if isinstance(one, Outcome)] for name, several in answers.items()}
    runs = {name: list(several) for name, several in progress.runs.items()}
    runs[BRIDGED] = [RunFacts(each.answer, facts_of(each.report, read)) for each in measurements]
    return labels_in_aspect(runs, crossing.aspect)
