"""Finds the cause of each change of a bisection by stages, the cheapest first; each is kept as soon as it is there.

What was found is stored by content: the same change in another bisection has its cause at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.causes.places import ChangePlace, places_of
from service.coordination.intake import Intake
from service.errors import BadInput
from service.json_text import digest_of
from service.storage.records import Bisection
from service.storage.store import Store

NOT_TOLD_APART = "no run has told the release from what came along with it"
UNKNOWN_AXIS = "unknown"
NOT_VERIFIED: Mapping[str, None] = {"reverting_restores": None, "transplanting_reproduces": None}

Tell = Callable[[str], None]
"""Is told what is being done, in words for people."""


def nobody(_words: str) -> None:
    """Tell nobody."""


@dataclass
class Inquiry:
    """What one search for a cause works with, and what it has found so far."""

    place: ChangePlace
    budget: int
    """Hypotheses at most."""
    cancelled: threading.Event
    tell: Tell = nobody
    found: dict[str, Any] = field(default_factory=dict)
    keep: Callable[[], None] = lambda: None
    """Stores what was found so far."""

    @property
    def settled(self) -> bool:
        """Say whether it is known why one side raises: no definition or switch is looked for then."""
        return str((self.found.get("error") or {}).get("kind", UNKNOWN_AXIS)) != UNKNOWN_AXIS

    def done(self, stage: str, said: str, runs: int) -> None:
        """Note that a stage is over, what came of it in a sentence, and on how many runs that rests."""
        before = self.stage(stage)
        self.found["stages"] = [each for each in self.found["stages"] if each["name"] != stage]
        self.found["stages"].append({"name": stage, "said": said, "budget": self.budget, "runs": runs})
        self.found["runs"] += runs - (before["runs"] if before else 0)
        self.found["unfinished"].pop(stage, None)
        self.keep()

    def unfinished(self, stage: str, reason: str) -> None:
        """Note that a stage could not go on; the next request tries again."""
        self.tell(f"{stage}: {reason}")
        self.found["unfinished"][stage] = reason
        self.keep()

    def stage(self, name: str) -> Mapping[str, Any] | None:
        """Return a stage that is over."""
        return next((each for each in self.found["stages"] if each["name"] == name), None)


class Stage(Protocol):
    """One way to look for a cause."""

    name: str

    def __call__(self, inquiry: Inquiry) -> None:
        """Look, and add what was found; a run that is stored is not made again."""


class Explaining:
    """Finds causes; safe to call from several threads, as long as each has another bisection."""

    def __init__(self, store: Store, intake: Intake, stages: Sequence[Stage] = ()) -> None:
        """Make one.

        Args:
            store: where bisections and causes are.
            intake: reads stored requests again.
            stages: that follow on the environment, in this order.
        """
        self._store = store
        self._intake = intake
        self._stages = stages

    def explain(
        self,
        bisection: Bisection,
        *,
        only: int | None = None,
        budget: int = 60,
        tell: Tell = nobody,
        cancelled: threading.Event | None = None,
    ) -> dict[int, Mapping[str, Any]]:
        """Find and return the causes of a bisection's changes, by their place in the verdict, 0-based.

        Args:
            bisection: one with a verdict.
            only: look for the cause of this change alone.
            budget: hypotheses at most for each change.
            tell: is told what is being done.
            cancelled: set: stop soon; what was found is kept.

        Raises:
            BadInput: there is no change of this number.
            NotFound: the bisection has no verdict.
        """
        places = places_of(self._store, self._intake, bisection)
        if only is not None and only not in {place.number for place in places}:
            raise BadInput(no_such_change(only, len(places)), field="change")
        stop = cancelled or threading.Event()
        found: dict[int, Mapping[str, Any]] = {}
        for place in places:
            if only in (None, place.number) and not stop.is_set():
                found[place.number] = self._explain(bisection.id, place, budget, tell, stop)
        if only is None and not stop.is_set():
            self._store.end_explanation_request(bisection.id)
        return found

    def _explain(
        self, bisection_id: str, place: ChangePlace, budget: int, tell: Tell, cancelled: threading.Event
    ) -> Mapping[str, Any]:
        known = self._store.explanation(place.key)
        found = {**environment_cause(place), **(known.found if known is not None else {})}
        inquiry = Inquiry(place, budget, cancelled, tell, found)
        inquiry.keep = lambda: self._keep(bisection_id, inquiry)
        inquiry.keep()
        for stage in self._stages:
            before = inquiry.stage(stage.name)
            # More runs than last time may find more.
            if (before is None or before["budget"] < budget) and not cancelled.is_set() and not inquiry.settled:
                stage(inquiry)
        return inquiry.found

    def _keep(self, bisection_id: str, inquiry: Inquiry) -> None:
        place, found = inquiry.place, inquiry.found
        used_by = (bisection_id, place.number)
        self._store.put_explanation(place.key, place.identity, found, fingerprint_of(found), used_by=used_by)


def no_such_change(number: int, count: int) -> str:
    if not count:
        return "this bisection found no change of its snippet, so there is no cause to look for."
    return f"there is no change {number + 1}; choose one of 1 to {count}."


def environment_cause(place: ChangePlace) -> dict[str, Any]:
    """Return what the two environments and the bridges say, in the form of the contract; nothing runs."""
    crossing, told = place.crossing, place.change.get("cause")
    if told is None and not crossing.parts:
        axis, package, reason = "release", _release_step(place), ""
    elif told is None:
        axis, package, reason = UNKNOWN_AXIS, None, NOT_TOLD_APART
    else:
        axis, package, reason = told["axis"], told.get("package"), told.get("reason", "")
    return {
        **(told or {"named": [], "alike": "", "differs": [], "runs": 0}),
        "axis": axis,
        "package": package,
        "reason": reason,
        "definitions": [],
        "below_python": False,
        "switches": [],
        "verified": dict(NOT_VERIFIED),
        "unresolved": {},
        "unfinished": {},
        "stages": [],
    }


def _release_step(place: ChangePlace) -> dict[str, str]:
    return {"name": place.package, "before": place.crossing.before, "after": place.crossing.after}


def fingerprint_of(found: Mapping[str, Any]) -> str | None:
    """Return what changes with the same cause have in common; None where no culprit is confirmed."""
    digests = sorted(each["digest"] for each in found["definitions"])
    if digests and found["verified"]["reverting_restores"]:
        return digest_of(["definitions", *digests])
    package = found.get("package")
    if found["axis"] == "environment" and package:
        return digest_of(["package", package["name"], package["before"], package["after"]])
    return None
