"""Runs a script in the environments between two lock files: which packages' upgrades change what it does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.utils import canonicalize_name

from service.bisection.aspects import ENDS, LOOKS, aspect_names, labels_in_aspect
from service.bisection.outcomes import Lost, Outcome
from service.bisection.upgrades import Behaviour, Combination, Unexplained, Upgrades, upgrades_behind
from service.catalog.targets import Hold
from service.causes.reproduction import RunsLost, Shown, facts, is_outcome, labels
from service.coordination.intake import Case, Track
from service.coordination.laboratory import Laboratory, Measurement, Question
from service.errors import BadInput
from service.storage.ulid import new_ulid

UNDER_TEST = ("tensorflow", "tensorflow-cpu", "torch", "jax", "keras", "tf-keras")
"""What is imported ahead of the script if a lock has it, the first of them."""
IGNORED = frozenset({"warns", "time", "memory"})
MOST_LOST = 3
OLD, NEW, IT = "old lock", "new lock", "between"


def differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the packages whose versions differ, those that only one lock has included."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def package_under_test(old: Mapping[str, str], new: Mapping[str, str], named: str) -> str:
    """Return the package that a run imports ahead of the script: the one that is named, else a framework in both locks.

    Raises:
        BadInput: neither lock has one, or only one of them.
    """
    wanted = [canonicalize_name(named)] if named else list(UNDER_TEST)
    found = next((name for name in wanted if name in old and name in new), None)
    if found is None:
        listed = wanted[0] if named else "a framework that tfbisect knows"
        raise BadInput(f"not both locks pin {listed}; name a package that both pin with --package.", field="package")
    return found


def likeliest_first(parts: Sequence[str], package: str, imported: Sequence[str]) -> tuple[str, ...]:
    """Return packages in the order in which they are suspected: what the script imports, the framework, the others."""
    rank = {**dict.fromkeys(imported, 0), package: 1}
    return tuple(sorted(parts, key=lambda name: (rank.get(name, 2), name)))


@dataclass
class LockPair:
    """Two locks, and a script that is run in environments between them."""

    laboratory: Laboratory
    case: Case
    locks: tuple[Mapping[str, str], Mapping[str, str]]
    package: str
    python: str
    as_of: str
    aspect: str = ""
    """What is compared; "": the first that differs."""
    tell: Callable[[str], None] = lambda _: None
    cancelled: threading.Event = field(default_factory=threading.Event)
    name: str = field(default_factory=new_ulid)
    runs: int = 0
    ends: dict[str, dict[str, Shown]] = field(default_factory=dict)
    installed: frozenset[str] | None = None
    """What the script has with either lock; None: not known yet."""

    def look(self) -> tuple[str, ...]:
        """Run the script in both locks, and return the packages that may be behind a difference.

        Raises:
            BadInput: a lock cannot be installed, or the script does the same with both.
        """
        everything = frozenset(differing(*self.locks))
        for name, moved in ((OLD, frozenset[str]()), (NEW, everything)):
            self.tell(f"the script with the {name}")
            self.ends[name] = self._shown(moved)
            self._refuse_what_does_not_run(name)
        self.aspect = self._what_differs()
        installed = [self._installed(name) for name in (OLD, NEW)]
        self.installed = frozenset(installed[0]) | frozenset(installed[1])
        return tuple(
            name
            for name in sorted(everything)
            if name == self.package or installed[0].get(name) != installed[1].get(name)
        )

    def search(self, parts: Sequence[str], most_runs: int) -> Upgrades | Unexplained:
        """Return the packages whose upgrades change it."""

        def goes(moved: Combination) -> bool:
            return self.laboratory.can_resolve(self._question(self._tracks[0], moved, 0).target)

        def shows(moved: Combination) -> Behaviour:
            self.tell(f"{', '.join(sorted(moved)) or 'nothing'} as in the new lock")
            return self._behaviour(self._shown(moved))

        return upgrades_behind(parts, goes, shows, most_runs)

    def end(self) -> None:
        self.laboratory.end(self.name)

    @property
    def _tracks(self) -> list[Track]:
        subject = self.case.tracks[0]
        return [track for track in self.case.tracks if track is subject or track.is_aspect]

    def _question(self, track: Track, moved: Combination, repeat: int) -> Question:
        old, new = self.locks
        chosen = {name: (new if name in moved else old).get(name) for name in {*old, *new}}
        release = str(chosen.pop(self.package))
        # What this script does not have has no say in what goes together.
        there = (item for item in sorted(chosen.items()) if self.installed is None or item[0] in self.installed)
        pins = tuple(f"{name}=={version}" for name, version in there if version)
        question = Question(self.case, track, release, repeat, self.name)
        target = self.case.target(release)
        return replace(question, hold=Hold(self.python or target.hold.python, self.as_of, pins))

    def _shown(self, moved: Combination) -> dict[str, Shown]:
        found: dict[str, Shown] = {}
        for track in self._tracks:
            looks = LOOKS if track.probe.aspects is not None else 1
            found[track.name] = tuple(self._run(track, moved, repeat) for repeat in range(looks))
        return found

    def _run(self, track: Track, moved: Combination, repeat: int) -> Measurement:
        for _ in range(MOST_LOST):
            measured = self.laboratory.measure(self._question(track, moved, repeat), self.cancelled)
            self.runs += not measured.reused and measured.report.ending != "unprepared"
            if not isinstance(measured.answer, Lost):
                return measured
        raise RunsLost(f"runs are lost again and again: {measured.report.reason}")

    def _refuse_what_does_not_run(self, name: str) -> None:
        first = self.ends[name][self._tracks[0].name][0]
        if not isinstance(first.answer, Outcome):
            said = first.report.reason or getattr(first.answer, "reason", getattr(first.answer, "message", ""))
            raise BadInput(f"the script cannot be run with the {name}: {said}", field="lock")

    def _installed(self, name: str) -> dict[str, str]:
        report = self.ends[name][self._tracks[0].name][0].report
        return {canonicalize_name(each): version for each, version in report.packages.items()}

    def _named(self) -> list[Track]:
        """Return the tracks of named probes that fit the script with both locks."""
        return [
            track for track in self._tracks[1:] if all(is_outcome(self.ends[name][track.name]) for name in (OLD, NEW))
        ]

    def _what_differs(self) -> str:
        """Return the aspect that is compared.

        Raises:
            BadInput: nothing differs, or not the one that is asked for.
        """
        subject = self._tracks[0]
        old, new = (self.ends[name] for name in (OLD, NEW))
        found = [track.probe.name for track in self._named() if labels(old[track.name]) != labels(new[track.name])]
        runs = {name: facts(subject, self.ends[name][subject.name]) for name in (OLD, NEW)}
        for name in aspect_names(runs):
            told = labels_in_aspect(runs, name)
            if name not in IGNORED and all(told.values()) and set(told[OLD]).isdisjoint(told[NEW]):
                found.append(name)
        # How a script ends says more than what it did not come to print.
        found.sort(key=lambda name: name != ENDS)
        if not found or (self.aspect and self.aspect not in found):
            what = f"{self.aspect} is" if self.aspect else "what it shows is"
            raise BadInput(f"{what} the same with both locks{f'; {found} differ' if found else ''}.", field="lock")
        return self.aspect or found[0]

    def _behaviour(self, shown: Mapping[str, Shown]) -> Behaviour:
        """Say whose behaviour a combination shows."""
        track = next((each for each in self._tracks[1:] if each.probe.name == self.aspect), self._tracks[0])
        if not is_outcome(shown[track.name]):
            return "cannot"
        if track.probe.aspects is None:
            told: Mapping[str, Sequence[Any]] = {
                name: labels(each[track.name]) for name, each in {**self.ends, IT: shown}.items()
            }
        else:
            runs = {name: facts(track, each[track.name]) for name, each in {**self.ends, IT: shown}.items()}
            told = labels_in_aspect(runs, self.aspect)
        old, new, its = (set(told.get(name, ())) for name in (OLD, NEW, IT))
        if its and its <= old and not its & new:
            return "old"
        return "new" if its and its <= new and not its & old else "other"
