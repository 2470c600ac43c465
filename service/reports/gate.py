"""The upgrade gate: what differs between two releases, since when, and whether that should stop an upgrade. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from packaging.version import Version

from service.bisection.words import label_in_short
from service.reports.aspect_table import aspect_table

FailOn = Literal["any", "introduced"]
UNASKED = frozenset({"warns", "time", "memory"})
"""Aspects that do not stop an upgrade unless they are named: a new warning or a slower run is no other result."""
PASSES, PASSED = frozenset({"passes"}), frozenset({"passed"})
ABSENT = "absent"
"""A test that was there at the older end and is not at the newer: it was not collected there."""


@dataclass(frozen=True)
class AspectDifference:
    """One aspect that is not the same at both ends of an upgrade."""

    aspect: str
    kind: str
    """introduced, fixed or changed, as of a verdict's changes."""
    old: str
    new: str
    before: str
    after: str
    """Since when it is as at the newer end: the change lies between these two releases."""
    lines: tuple[str, ...] = ()
    """What differs, in lines ready to show."""
    between: tuple[str, ...] = ()
    """Releases between `before` and `after` that could not tell."""

    @property
    def since(self) -> str:
        return f"{self.kind} in {self.after}" if not self.between else f"{self.kind} after {self.before}"

    @property
    def words(self) -> str:
        """Say it in one sentence; a letter for a behaviour of several fields tells nobody anything."""
        told = not self.new.startswith("as in ")
        behaviour = f": {label_in_short(self.old)} → {label_in_short(self.new)}" if told else ""
        return f"{self.aspect} {self.since}{behaviour}"


@dataclass(frozen=True)
class Gate:
    """The two ends of an upgrade, and how they differ."""

    package: str
    first: str
    last: str
    compared: tuple[str, ...]
    """Aspects that were asked for and can be told at both ends."""
    differences: tuple[AspectDifference, ...]
    unasked: tuple[AspectDifference, ...] = ()
    """What differs in aspects that do not count here."""
    untold: tuple[str, ...] = ()
    """Aspects that were asked for and are known at one end at most: they could differ."""

    def stopping(self, fail_on: FailOn) -> tuple[AspectDifference, ...]:
        """Return the differences that should stop the upgrade."""
        return tuple(each for each in self.differences if fail_on == "any" or each.kind == "introduced")

    def headline(self, fail_on: FailOn) -> str:
        """Return the one line of the gate."""
        stopping = self.stopping(fail_on)
        upgrade = f"{self.package} {self.first} to {self.last}"
        if stopping:
            return f"changed: {upgrade}: {'; '.join(each.words for each in stopping)}"
        if self.differences:
            return f"safe: {upgrade}: nothing is introduced; {'; '.join(each.words for each in self.differences)}"
        untold = f"; not compared, since one end does not tell: {', '.join(self.untold)}" if self.untold else ""
        return f"safe: {upgrade}: no difference in {', '.join(self.compared)}{untold}"


def gate_of(verdict: Mapping[str, Any], first: str, last: str, wanted: Collection[str] = ()) -> Gate | None:
    """Compare the two ends of a verdict.

    Args:
        verdict: of a bisection over at least both ends.
        first: the older end.
        last: the newer end.
        wanted: names of the aspects that count; by default all but UNASKED.

    Returns:
        What differs, or None where not one aspect was measured at both ends: nothing can be said.
    """
    told = [aspect for aspect in _aspects(verdict) if _is_told(aspect, first, last)]
    if not any(_at(aspect, last) is not None for aspect in told):
        return None
    asked = [each for each in told if _counts(str(each["name"]), wanted)]
    rest = [each for each in told if not _counts(str(each["name"]), wanted)]
    known = {str(each["name"]) for each in told}
    shown = {str(each["name"]) for each in _aspects(verdict) if _at(each, first) or _at(each, last)}
    lines = _lines(verdict)
    return Gate(
        str(verdict["package"]),
        first,
        last,
        tuple(str(each["name"]) for each in asked),
        tuple(_differences(asked, first, last, lines)),
        tuple(_differences(rest, first, last, lines)),
        tuple(sorted((set(wanted) or {name for name in shown if _counts(name, wanted)}) - known)),
    )


def _is_told(aspect: Mapping[str, Any], first: str, last: str) -> bool:
    """Say whether both ends can be compared; a test that is gone at the newer end differs."""
    if _at(aspect, first) is None:
        return False
    return _at(aspect, last) is not None or "::" in str(aspect["name"])


def _counts(name: str, wanted: Collection[str]) -> bool:
    return name in wanted if wanted else name not in UNASKED


def _aspects(verdict: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the aspects; a named probe has one, which is called as it is."""
    own = {"name": verdict["probe"]["name"], "expected": [], "segments": verdict["segments"]}
    return verdict.get("aspects") or ({**own, "changes": verdict["changes"]},)


def _at(aspect: Mapping[str, Any], release: str) -> str | None:
    """Return what an aspect shows in a release; None where nothing is known of it."""
    known = (each for each in aspect["segments"] if release in (*each["measured"], *each["inferred"]))
    return next((str(each["outcome"]) for each in known), None)


def _differences(
    aspects: Iterable[Mapping[str, Any]], first: str, last: str, lines: Mapping[tuple[str, str], tuple[str, ...]]
) -> Iterable[AspectDifference]:
    for aspect in aspects:
        old, new = str(_at(aspect, first)), _at(aspect, last) or ABSENT
        if old != new:
            yield _difference(aspect, (first, old), (last, new), lines)


def _difference(
    aspect: Mapping[str, Any],
    first: tuple[str, str],
    last: tuple[str, str],
    lines: Mapping[tuple[str, str], tuple[str, ...]],
) -> AspectDifference:
    name = str(aspect["name"])
    landed = [each for each in aspect["changes"] if each["new"] == last[1] and _is_within(each, first[0], last[0])]
    # The last time that it became what it is now; behaviours come and go.
    change = max(landed, key=lambda each: Version(each["after"]), default={"before": first[0], "after": last[0]})
    return AspectDifference(
        name,
        _kind(change, aspect, first[1], last[1]),
        first[1],
        last[1],
        change["before"],
        change["after"],
        lines.get((name, change["after"]), ()),
        tuple(change.get("between", ())),
    )


def _is_within(change: Mapping[str, Any], first: str, last: str) -> bool:
    return Version(first) <= Version(change["before"]) and Version(change["after"]) <= Version(last)


def _right_of(name: str) -> frozenset[str]:
    """Return what is right where the aspect itself names nothing.

    A script that ran to its end should go on doing so, and a test that passed, whose name is its node id.
    """
    if "::" in name:
        return PASSED
    return PASSES if name == "ends" else frozenset()


def _kind(change: Mapping[str, Any], aspect: Mapping[str, Any], old: str, new: str) -> str:
    """Return whether what is right was lost or came back, as far as anybody knows what is right."""
    right = frozenset(aspect["expected"]) or _right_of(str(aspect["name"]))
    if not right:
        return str(change.get("kind", "changed"))
    if (old in right) == (new in right):
        return "changed"
    return "introduced" if old in right else "fixed"


def _lines(verdict: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Map aspect and release to the lines that tell what differs since then."""
    table = aspect_table(verdict)
    found = {}
    for row in table.rows if table else ():
        for each in row.differences:
            after = each.title.rpartition(" → ")[2]
            found[row.name, after] = (*each.lines, *([f"… and {each.more} more"] if each.more else []))
    return found
