"""Says whether another script shows the same change between the same two releases."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.bisection.aspects import ENDS, LOOKS, RunFacts, labels_in_aspect
from service.bisection.facts import Facts, facts_of
from service.bisection.likeness import read_together
from service.bisection.outcomes import Lost, Outcome
from service.coordination.intake import Case, Track
from service.coordination.laboratory import Laboratory, Measurement, Question
from service.errors import BadInput, Unavailable
from service.storage.ulid import new_ulid

MOST_LOST = 3
OWN, OTHER = "own", "other"

Shown = tuple[Measurement, ...]
"""The runs of one script in one release."""


class RunsLost(Unavailable):
    title = "Runs fail"


@dataclass(frozen=True)
class Sides:
    """What a script shows in both releases, by track."""

    before: Mapping[str, Shown]
    after: Mapping[str, Shown]


class KeptChange:
    """A change between two releases, and what of it another script must show.

    The whole vector of outcomes stays: how the script ends and what each named probe says, in both releases; and where
    the change is one of an aspect without names, such as what is printed, that it still differs.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        case: Case,
        place: tuple[str, str],
        aspect: str,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Run the script as it is; what is stored of it is reused.

        Args:
            laboratory: answers questions.
            case: of the script.
            place: the releases before and after the change.
            aspect: what changes; "" for a probe without aspects.
            cancelled: set: stop soon.

        Raises:
            BadInput: the script shows no such change.
            RunsLost: runs are lost again and again.
        """
        self._laboratory = laboratory
        self._case = case
        self._place = place
        self._aspect = aspect
        self._cancelled = cancelled or threading.Event()
        self._name = new_ulid()
        self.runs = 0
        """Runs that were made, those from the store left out."""
        self._own = Sides(*(self._ask(case.tracks[0].snippet, release) for release in place))
        if not self._differs(self._own):
            raise BadInput(f"{aspect or 'the outcome'} is the same in {place[0]} and {place[1]}.", field="change")

    def shown_by(self, snippet: str) -> bool:
        """Say whether a script shows the same in both releases; the newer one is asked first.

        Raises:
            RunsLost: runs are lost again and again.
        """
        after = self._ask_while_alike(snippet, self._place[1], self._own.after)
        if after is None:
            return False
        before = self._ask_while_alike(snippet, self._place[0], self._own.before)
        return before is not None and self._differs(Sides(before, after))

    def end(self) -> None:
        """End the processes that wait for further scripts."""
        self._laboratory.end(self._name)

    @property
    def _tracks(self) -> Iterator[Track]:
        subject = self._case.tracks[0]
        yield from (track for track in self._case.tracks if track is subject or track.is_aspect)

    def _looks(self, track: Track) -> int:
        """Return the runs that one release needs: only what has no name wavers."""
        return LOOKS if track.probe.aspects is not None and not self._is_named else 1

    @property
    def _is_named(self) -> bool:
        names = {track.probe.name for track in self._tracks}
        return self._aspect in {"", ENDS} | names

    def _ask(self, snippet: str, release: str) -> dict[str, Shown]:
        return {track.name: self._runs(track, snippet, release) for track in self._tracks}

    def _ask_while_alike(self, snippet: str, release: str, own: Mapping[str, Shown]) -> dict[str, Shown] | None:
        """Return what a script shows in a release; None as soon as something is not as with the whole script."""
        shown: dict[str, Shown] = {}
        for track in self._tracks:
            if not is_outcome(own[track.name]) and track is not self._case.tracks[0]:
                continue
            shown[track.name] = self._runs(track, snippet, release)
            if not shown_alike(track, own[track.name], shown[track.name]):
                return None
        return shown

    def _runs(self, track: Track, snippet: str, release: str) -> Shown:
        return tuple(self._run(track, snippet, release, repeat) for repeat in range(self._looks(track)))

    def _run(self, track: Track, snippet: str, release: str, repeat: int) -> Measurement:
        question = Question(self._case, replace(track, snippet=snippet), release, repeat, self._name)
        measured = None
        for _ in range(MOST_LOST):
            measured = self._laboratory.measure(question, self._cancelled)
            self.runs += not measured.reused
            if not isinstance(measured.answer, Lost) or self._cancelled.is_set():
                return measured
        raise RunsLost(f"runs of {release} are lost again and again: {measured.report.reason if measured else ''}")

    def _differs(self, shown: Sides) -> bool:
        """Say whether the change is there."""
        before, after = shown.before, shown.after
        track = next((each for each in self._tracks if each.is_aspect and each.probe.name == self._aspect), None)
        track = track or self._case.tracks[0]
        sides = {OWN: before.get(track.name, ()), OTHER: after.get(track.name, ())}
        if track.probe.aspects is None:
            return labels(sides[OWN]) != labels(sides[OTHER])
        told = labels_in_aspect({side: facts(track, runs) for side, runs in sides.items()}, self._aspect or ENDS)
        return all(told.values()) and set(told[OWN]).isdisjoint(told[OTHER])


def is_outcome(shown: Shown) -> bool:
    return bool(shown) and all(isinstance(each.answer, Outcome) for each in shown)


def facts(track: Track, shown: Shown) -> list[RunFacts]:
    read = track.probe.aspects or no_facts
    return [RunFacts(each.answer, facts_of(each.report, read)) for each in shown]


def no_facts(_measurements: Mapping[str, Any]) -> Mapping[str, Facts]:
    """Return the facts of a probe without aspects."""
    return {}


def labels(shown: Shown) -> Sequence[str]:
    return [each.answer.label for each in shown if isinstance(each.answer, Outcome)]


def shown_alike(track: Track, own: Shown, shown: Shown) -> bool:
    """Say whether a script ends as another one does in a release, or has the same outcome."""
    if not is_outcome(shown):
        return False
    if track.probe.aspects is not None:
        told = labels_in_aspect({OWN: facts(track, own), OTHER: facts(track, shown)}, ENDS)
        return set(told[OWN]) == set(told[OTHER])
    told_apart = read_together({OWN: [each.answer for each in own], OTHER: [each.answer for each in shown]})
    first, second = ({one.label for one in several if isinstance(one, Outcome)} for several in told_apart.values())
    return first == second
