"""What a night means for a watch: pure decisions over its previous and current state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from service.bisection.aspects import LIKE
from service.bisection.releases import MAINLINE
from service.bisection.verdict import change_of
from service.bisection.words import change_in_short, change_with_releases
from service.errors import EXIT_CHANGED, EXIT_INTERRUPTED, EXIT_NO_ANSWER

Status = Literal["first", "unchanged", "changed", "blind", "failed"]
Verdict = Mapping[str, Any]
"""The contract's JSON, schema tfbisect/verdict/1."""


@dataclass(frozen=True)
class SeenRelease:
    """A release as it was on one night."""

    yanked: bool = False
    gone: bool = False
    environment: str = ""
    """Digest of its environment; empty if it was not run."""


Seen = Mapping[str, SeenRelease]


@dataclass(frozen=True)
class News:
    """Differences from the last night, each a list of releases."""

    appeared: tuple[str, ...] = ()
    yanked: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()
    """Its environment changed: the recipe or the interpreter."""

    def __bool__(self) -> bool:
        """Return whether there is a reason to run."""
        return bool(self.appeared or self.yanked or self.rebuilt)

    def words(self) -> str:
        """Return what is new, for people."""
        parts = [f"{name} {', '.join(releases)}" for name, releases in asdict(self).items() if releases]
        return "; ".join(parts).replace("appeared", "new:", 1) if parts else "nothing new"


def news(before: Seen, now: Seen) -> News:
    """Return the differences from the last night; releases that the index has removed do not count.

    Args:
        before: the releases as they were when the last verdict was reached.
        now: the releases in the watch's range, and what became of those that were in it before.
    """
    present = {release: sighting for release, sighting in now.items() if not sighting.gone}
    return News(
        appeared=tuple(release for release in present if release not in before),
        yanked=tuple(
            release for release, sighting in present.items() if sighting.yanked and _was(before, release, yanked=False)
        ),
        rebuilt=tuple(
            release
            for release, sighting in present.items()
            if release in before
            and before[release].environment
            and sighting.environment not in {"", before[release].environment}
        ),
    )


def _was(before: Seen, release: str, *, yanked: bool) -> bool:
    return release in before and before[release].yanked is yanked


@dataclass(frozen=True)
class VerdictDifference:
    """How a verdict differs from the one before."""

    appeared: tuple[Mapping[str, Any], ...] = ()
    """Changes that were not in the verdict before."""
    vanished: tuple[Mapping[str, Any], ...] = ()
    """Changes that disappeared although their releases still exist."""
    outcome_before: str = ""
    """The outcome of the newest mainline release."""
    outcome_now: str = ""

    def __bool__(self) -> bool:
        """Return whether a notification is due."""
        return bool(self.appeared or self.vanished or self.outcome_before != self.outcome_now)


def difference(before: Verdict, now: Verdict, considered: Iterable[str]) -> VerdictDifference:
    """Compare two verdicts of one watch.

    A change of which a side left the range (nightlies do, after some months) has neither vanished, nor is it a new one
    where it is seen again between the releases that are left. A confidence that moved is no difference. Where several
    aspects were looked at, each is compared with itself, whichever leads.

    Args:
        before: the verdict before.
        now: the verdict now.
        considered: the releases that the verdict now is about.
    """
    left = frozenset(considered)
    old, new = ({_place(change): change for change in _changes(verdict)} for verdict in (before, now))
    in_sight = {place: change for place, change in old.items() if {change["before"], change["after"]} <= left}
    out_of_sight = {_behaviours(change) for place, change in old.items() if place not in in_sight}
    was, is_now = _newest_outcomes(before), _newest_outcomes(now)
    unlike = [name for name in was if name in is_now and was[name] != is_now[name]]
    return VerdictDifference(
        appeared=tuple(
            change for place, change in new.items() if place not in old and _behaviours(change) not in out_of_sight
        ),
        vanished=tuple(change for place, change in in_sight.items() if place not in new),
        outcome_before=_told_outcomes(was, unlike),
        outcome_now=_told_outcomes(is_now, unlike),
    )


def _changes(verdict: Verdict) -> Iterator[Mapping[str, Any]]:
    """Yield the changes of every aspect, each with the aspect's name; of the verdict itself where it has no aspects."""
    if not verdict.get("aspects"):
        yield from verdict.get("changes", ())
    for aspect in verdict.get("aspects", ()):
        if not aspect["drifts"]:
            yield from ({**change, "aspect": aspect["name"]} for change in aspect["changes"])


def _place(change: Mapping[str, Any]) -> tuple[str, ...]:
    return change["after"], *_behaviours(change)


def _behaviours(change: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what changed into what; a behaviour that is named after its first release may get another name."""
    sides = ("" if change[side].startswith(LIKE) else change[side] for side in ("old", "new"))
    return change["line"], change.get("aspect", ""), *sides


def _newest_outcomes(verdict: Verdict) -> dict[str, str]:
    """Return what the newest release gives, by aspect; without those whose behaviours have no names of their own."""
    if not verdict.get("aspects"):
        return {"": newest_outcome(verdict)}
    found = {aspect["name"]: newest_outcome(aspect) for aspect in verdict["aspects"]}
    return {name: outcome for name, outcome in found.items() if not outcome.startswith(LIKE)}


def _told_outcomes(outcomes: Mapping[str, str], names: Iterable[str]) -> str:
    return ", ".join(f"{name}: {outcomes[name]}" if name else outcomes[name] for name in names)


def newest_outcome(verdict: Verdict) -> str:
    """Return the outcome of the newest measured mainline release; empty if none was measured."""
    outcomes = [segment["outcome"] for segment in verdict.get("segments", ()) if segment["line"] == MAINLINE]
    return str(outcomes[-1]) if outcomes else ""


def is_blind(verdict: Verdict, newest: str) -> bool:
    """Return whether the newest mainline release gave no answer, in no aspect."""
    shown = verdict.get("aspects") or (verdict,)
    return not any(newest in segment["measured"] for aspect in shown for segment in aspect.get("segments", ()))


def status_of(before: Verdict | None, found: VerdictDifference | None, *, blind: bool) -> Status:
    """Return the status of a night with a verdict.

    Args:
        before: the verdict before; None: there was none.
        found: how the verdicts differ; None where there was none before.
        blind: the newest release gave no answer.
    """
    if before is not None and found and (found.appeared or found.vanished or not blind):
        return "changed"
    if blind:
        return "blind"
    return "first" if before is None else "unchanged"


def blind_nights(statuses: Sequence[str]) -> int:
    """Return how many of the last nights in a row had no result; newest first."""
    return next((number for number, status in enumerate(statuses) if status not in {"blind", "failed"}), len(statuses))


def must_be_told(status: Status, statuses_before: Sequence[str], blind_after: int) -> str | None:
    """Return which message is due: "changed", "blind" once after so many nights, or None.

    Args:
        status: of this night.
        statuses_before: of the nights before, newest first.
        blind_after: nights without an answer after which somebody should look.
    """
    if status == "changed":
        return "changed"
    nights = blind_nights([status, *statuses_before])
    return "blind" if nights and nights == blind_after else None


def told_nights(statuses: Sequence[Status], blind_after: int) -> dict[int, str]:
    """Return the nights with a notification: place among the statuses -> "changed" or "blind".

    Args:
        statuses: of the nights, newest first.
        blind_after: nights without an answer after which somebody should look.
    """
    events = {place: must_be_told(status, statuses[place + 1 :], blind_after) for place, status in enumerate(statuses)}
    return {place: event for place, event in events.items() if event is not None}


def due_again(last: str | None, found: News) -> bool:
    """Return whether to run: something is new, or the last night had no result."""
    return bool(found) or last in {None, "blind", "failed"}


def difference_words(found: VerdictDifference) -> str:
    """Return a difference in words, one sentence per change."""
    told = [_change_words(change) for change in found.appeared]
    told += [f"no longer seen: {_change_words(change)}" for change in found.vanished]
    if not told and found:
        told = [
            f"the newest release now gives {found.outcome_now or 'no outcome'}, before it gave {found.outcome_before}"
        ]
    return "; ".join(told)


def _change_words(stored: Mapping[str, Any]) -> str:
    """Return a change in words; one of an aspect begins with its name."""
    change = change_of(stored)
    if "aspect" not in stored:
        return change_with_releases(change)
    unnamed = change.old.startswith(LIKE) and change.new.startswith(LIKE)
    return f"{stored['aspect']}: {change_in_short(change) if unnamed else change_with_releases(change)}"


@dataclass(frozen=True)
class Row:
    watch: str
    package: str
    status: str
    message: str = ""
    bisection_id: str | None = None
    executed: int = 0


@dataclass(frozen=True)
class Summary:
    """What a pass did."""

    pass_id: str
    rows: tuple[Row, ...] = ()
    postponed: tuple[str, ...] = ()
    """Watches that the budget did not reach; they come first in the next pass."""
    busy: str = ""
    """Who makes a pass at the moment; then this one did nothing."""
    messages: Mapping[str, int] = field(default_factory=dict)
    """Messages by status: delivered, pending, failed."""
    interrupted: bool = False
    """Interrupted; the next pass finishes it."""

    @property
    def exit_code(self) -> int:
        """Return the contract's exit code: 10 a verdict changed, 3 a watch failed, 130 interrupted, 0 nothing new."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        statuses = {row.status for row in self.rows}
        if "changed" in statuses:
            return EXIT_CHANGED
        return EXIT_NO_ANSWER if "failed" in statuses else 0

    def as_json(self) -> dict[str, Any]:
        return {"schema": "tfbisect/nightly/1", **asdict(self), "exit_code": self.exit_code}

    def lines(self) -> list[str]:
        """Return what a pass did, for people."""
        if self.busy:
            return [f"another pass is running ({self.busy}); this one did nothing"]
        told = [f"{row.status:<9}  {row.watch} · {row.package}: {row.message}" for row in self.rows]
        told += [f"postponed  {name}: the budget of this pass was spent" for name in self.postponed]
        if self.interrupted:
            told.append("interrupted; the next pass continues from here")
        if self.messages:
            told.append("notified   " + ", ".join(f"{number} {name}" for name, number in self.messages.items()))
        return told or ["no watches; add one with `tfbisect watch add`, or put a file into the watches folder"]
