"""The verdict of a bisection: segments, changes, coverage; and its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

ABSENT = "not on the package index"

Kind = Literal["introduced", "fixed", "changed"]
Axis = Literal["release", "environment", "interpreter", "unknown"]
"""Where a change comes from: the package under test, another package, Python, or nobody knows."""


@dataclass(frozen=True)
class Segment:
    """Neighbouring releases of one line with one outcome; `first` and `last` are measured."""

    line: str
    outcome: str
    first: str
    last: str
    measured: tuple[str, ...]
    inferred: tuple[str, ...] = ()
    untestable: tuple[str, ...] = ()


@dataclass(frozen=True)
class VersionDifference:
    """One package that differs between the sides; "" if it is absent."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class ChangeCause:
    """What a change comes from, as far as runs have shown it."""

    axis: Axis
    differs: tuple[VersionDifference, ...] = ()
    """All that differs between the environments of the two sides beside the package itself."""
    named: tuple[VersionDifference, ...] = ()
    """Those that it comes from or, where that is unknown, may come from."""
    alike: str = ""
    """The release that behaves in both ways, depending on what is named; "": no such was seen."""
    reason: str = ""
    """Why it is unknown, or why several packages could not be told apart."""
    runs: int = 0
    """Runs of bridges that showed it."""


@dataclass(frozen=True)
class Change:
    """A boundary between two segments of one line."""

    kind: Kind
    line: str
    before: str
    after: str
    old: str
    new: str
    between: tuple[str, ...] = ()
    """Releases between the two that could not be measured: the change is somewhere from there to `after`."""
    presumed: tuple[str, ...] = ()
    """Those of `between` that were not tried because the releases around them could not be measured."""
    not_asked: tuple[str, ...] = ()
    """Releases between the two that the request's list left out: the change is somewhere from there to `after`."""
    yanked: tuple[str, ...] = ()
    """Yanked releases between the two, which were not asked: the change may have come in one of them."""
    unasked: tuple[str, ...] = ()
    """Releases between the two that may still be measured; empty once the change is pinned."""
    confirmed: bool = False
    """Both neighbours answered as often as the policy requires."""
    confidence: float | None = None
    cause: ChangeCause | None = None
    """None: not looked into."""


@dataclass(frozen=True)
class Gap:
    """A release without an outcome, and why."""

    release: str
    reason: str
    kind: Literal["untestable", "refused", "lost"] = "untestable"


@dataclass(frozen=True)
class Share:
    """How often a flaky release gave one of its answers, with the 95 % interval."""

    outcome: str
    probability: float
    low: float
    high: float
    runs: int = 0
    detail: str = ""
    """The detail of a run with this answer, such as an error message."""


@dataclass(frozen=True)
class Flaky:
    """A release whose answers differ from run to run."""

    release: str
    runs: int
    shares: tuple[Share, ...]


@dataclass(frozen=True)
class Unfixed:
    """A branch whose releases never got the fix that the mainline got."""

    line: str
    last: str
    outcome: str
    fixed_at: str


@dataclass(frozen=True)
class Coverage:
    """What was measured and inferred, and what could be missed."""

    first: str
    last: str
    considered: int
    measured: int
    inferred: int
    untestable: int
    unexamined: int
    """Releases without a conclusion: branches outside the request, ends beyond a gap, runs not yet made."""
    resolution: int
    complete: bool
    """The policy requires no more runs."""
    branches: str = "tips"
    open: tuple[str, ...] = ()
    """Releases that the policy still requires, the most valuable first."""
    not_asked: tuple[str, ...] = ()
    """Releases in the range that the request's list left out."""
    not_run: tuple[str, ...] = ()
    """The releases that `unexamined` counts, in the order of history."""
    statement: str = ""


@dataclass(frozen=True)
class _Stated:
    """The fields of every verdict."""

    coverage: Coverage
    gaps: tuple[Gap, ...] = ()
    segments: tuple[Segment, ...] = ()
    flaky: tuple[Flaky, ...] = ()
    expected: frozenset[str] = frozenset()
    noise: float = 0.0
    """Share of wrong answers among repeats."""
    summary: str = ""
    """The verdict in one line."""
    words: str = ""
    """The verdict in a paragraph, with the coverage statement."""


@dataclass(frozen=True)
class Changes(_Stated):
    """The behaviour changed, at these places."""

    changes: tuple[Change, ...] = ()
    unfixed: tuple[Unfixed, ...] = ()


@dataclass(frozen=True)
class Unchanged(_Stated):
    """All measured releases behave alike."""

    outcome: str = ""


@dataclass(frozen=True)
class NothingTestable(_Stated):
    """No release gave an outcome; the gaps say why."""


Verdict = Changes | Unchanged | NothingTestable


@dataclass(frozen=True)
class VerdictFacts:
    """What a verdict's JSON says about its bisection."""

    id: str = ""
    status: str = "done"
    package: str = "tensorflow"
    hardware: str = "cpu"
    runner: str = ""
    probe: str = "dropout"
    probe_digest: str = ""
    snippet_digest: str = ""
    executed: int = 0
    reused: int = 0
    lost: int = 0
    absent: tuple[str, ...] = ()
    """Numbers in the range that the package index never had, such as 1.13.0."""


def changes_of(verdict: Verdict) -> tuple[Change, ...]:
    return verdict.changes if isinstance(verdict, Changes) else ()


def kind_of_change(old: str, new: str, expected: frozenset[str]) -> Kind:
    """Say whether the expected behaviour was lost, came back, or neither."""
    match old in expected, new in expected:
        case True, False:
            return "introduced"
        case False, True:
            return "fixed"
        case _:
            return "changed"


def to_json(verdict: Verdict, facts: VerdictFacts | None = None) -> dict[str, Any]:
    """Return a verdict as JSON, in the schema tfbisect/verdict/1."""
    facts = facts or VerdictFacts()
    return {
        "schema": "tfbisect/verdict/1",
        "id": facts.id,
        "status": facts.status,
        "kind": {Changes: "changes", Unchanged: "unchanged", NothingTestable: "nothing-testable"}[type(verdict)],
        "package": facts.package,
        "hardware": facts.hardware,
        "runner": facts.runner,
        "probe": {"name": facts.probe, "digest": facts.probe_digest},
        "snippet": facts.snippet_digest,
        "summary": verdict.summary,
        "words": verdict.words,
        "releases": _releases_json(verdict.coverage, len(facts.absent)),
        "segments": [_segment_json(segment) for segment in verdict.segments],
        "changes": [_change_json(change, facts.package) for change in changes_of(verdict)],
        "never_fixed": _unfixed_json(verdict),
        "coverage": _coverage_json(verdict.coverage, facts.absent),
        "runs": {"executed": facts.executed, "reused": facts.reused, "lost": facts.lost},
        "untestable": [
            *({"release": gap.release, "reason": gap.reason, "kind": gap.kind} for gap in verdict.gaps),
            *({"release": release, "reason": ABSENT, "kind": "absent"} for release in facts.absent),
        ],
        "not_run": list(verdict.coverage.not_run),
        "expected": sorted(verdict.expected),
        "flaky": [_flaky_json(release) for release in verdict.flaky],
        "noise": round(verdict.noise, 4),
    }


def _releases_json(coverage: Coverage, absent: int) -> dict[str, Any]:
    """Return the counts of releases; numbers that were never on the index count as untestable."""
    names = ("first", "last", "considered", "measured", "inferred", "untestable", "unexamined")
    counts = {name: getattr(coverage, name) for name in names}
    return {**counts, "considered": coverage.considered + absent, "untestable": coverage.untestable + absent}


def _absent_sentence(absent: tuple[str, ...]) -> list[str]:
    """Say which version numbers in the range were never released."""
    return [f"Not on the package index, so not among them: {', '.join(absent)}."] if absent else []


def _segment_json(segment: Segment) -> dict[str, Any]:
    return {
        "line": segment.line,
        "outcome": segment.outcome,
        "from": segment.first,
        "to": segment.last,
        "measured": list(segment.measured),
        "inferred": list(segment.inferred),
        "untestable": list(segment.untestable),
    }


def _change_json(change: Change, package: str) -> dict[str, Any]:
    found = {} if change.cause is None else {"cause": _cause_json(change, change.cause, package)}
    return found | {
        "kind": change.kind,
        "line": change.line,
        "before": change.before,
        "after": change.after,
        "old": change.old,
        "new": change.new,
        "between": [*change.between, *change.not_asked],
        "not_asked": list(change.not_asked),
        "yanked": list(change.yanked),
        "presumed": list(change.presumed),
        "unasked": list(change.unasked),
        "confirmed": change.confirmed,
        "confidence": None if change.confidence is None else rounded_down(change.confidence),
    }


def _cause_json(change: Change, cause: ChangeCause, package: str) -> dict[str, Any]:
    """Return a cause; `package` is the one at fault, null where none is known or several are."""
    at_fault: dict[str, str] | None = None
    if cause.axis == "release":
        at_fault = {"name": package, "before": change.before, "after": change.after}
    elif cause.axis != "unknown" and len(cause.named) == 1:
        at_fault = asdict(cause.named[0])
    return {
        "axis": cause.axis,
        "package": at_fault,
        "named": [asdict(each) for each in cause.named],
        "alike": cause.alike,
        "reason": cause.reason,
        "differs": [asdict(each) for each in cause.differs],
        "runs": cause.runs,
    }


def _cause_of(stored: Mapping[str, Any]) -> ChangeCause:
    """Read a cause from a verdict's JSON."""
    differs, named = (
        tuple(VersionDifference(each["name"], each["before"], each["after"]) for each in stored.get(field, ()))
        for field in ("differs", "named")
    )
    return ChangeCause(
        stored["axis"], differs, named, stored.get("alike", ""), stored.get("reason", ""), stored.get("runs", 0)
    )


def change_of(stored: Mapping[str, Any]) -> Change:
    """Read a change from a verdict's JSON; fields that older versions of tfbisect did not write get defaults."""
    return Change(
        **{name: stored[name] for name in ("kind", "line", "before", "after", "old", "new")},
        between=tuple(each for each in stored.get("between", ()) if each not in stored.get("not_asked", ())),
        not_asked=tuple(stored.get("not_asked", ())),
        yanked=tuple(stored.get("yanked", ())),
        presumed=tuple(stored.get("presumed", ())),
        unasked=tuple(stored.get("unasked", ())),
        confirmed=bool(stored.get("confirmed")),
        confidence=stored.get("confidence"),
        cause=_cause_of(stored["cause"]) if stored.get("cause") else None,
    )


def all_changes(verdict: Mapping[str, Any]) -> list[Change]:
    """Read all changes from a verdict's JSON, those of every aspect."""
    aspects = [change for aspect in verdict.get("aspects", ()) for change in aspect.get("changes", ())]
    return [change_of(change) for change in (*verdict.get("changes", ()), *aspects)]


def rounded_down(confidence: float) -> float:
    """Return a confidence rounded down to three digits."""
    return int(confidence * 1000) / 1000


def _unfixed_json(verdict: Verdict) -> list[Mapping[str, str]]:
    if not isinstance(verdict, Changes):
        return []
    return [
        {"line": branch.line, "last": branch.last, "outcome": branch.outcome, "fixed_at": branch.fixed_at}
        for branch in verdict.unfixed
    ]


def _coverage_json(coverage: Coverage, absent: tuple[str, ...]) -> dict[str, Any]:
    return {
        "complete": coverage.complete,
        "resolution": coverage.resolution,
        "branches": coverage.branches,
        "open": list(coverage.open),
        "statement": " ".join([coverage.statement, *_absent_sentence(absent)]),
    }


def _flaky_json(flaky: Flaky) -> dict[str, Any]:
    return {
        "release": flaky.release,
        "runs": flaky.runs,
        "outcomes": {
            share.outcome: {
                "probability": round(share.probability, 3),
                "interval": [round(share.low, 3), round(share.high, 3)],
                "runs": share.runs,
                **({"detail": share.detail} if share.detail else {}),
            }
            for share in flaky.shares
        },
    }
