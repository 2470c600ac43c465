"""What the store returns: plain values, independent of the connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from service.bisection.outcomes import RunReport

Status = Literal["queued", "running", "done", "failed", "cancelled"]
FINISHED: frozenset[str] = frozenset({"done", "failed", "cancelled"})

Finding = Literal["changed", "unchanged", "none"]
"""What a bisection found: a change, none in what was measured, or no verdict."""

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows, newest first, and where the next page starts; `next` is None on the last one."""

    rows: tuple[Row, ...]
    next: str | None


@dataclass(frozen=True)
class Viewer:
    """Who asks. Public bisections are seen by all, private ones by the token that made them, and by admins."""

    owner: str | None = None
    """Token id; None for somebody without a token."""
    sees_all: bool = False


def sees(viewer: Viewer, *, public: bool, owner: str | None) -> bool:
    """Say whether a viewer may see what a token made, or nobody's."""
    return public or viewer.sees_all or (owner is not None and owner == viewer.owner)


EVERYBODY = Viewer()
ADMIN = Viewer(sees_all=True)


@dataclass(frozen=True)
class Bisection:
    id: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    status: Status
    package: str
    probe: str
    snippet_digest: str
    request: Mapping[str, Any]
    progress: Mapping[str, Any] | None
    verdict: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    public: bool
    owner: str | None
    cancel_requested: bool
    last_event: int
    attempts: int
    """How many attempts made no progress; after a few the coordinator gives up."""

    def seen_by(self, viewer: Viewer) -> bool:
        """Say whether this viewer may see it."""
        return sees(viewer, public=self.public, owner=self.owner)


@dataclass(frozen=True)
class Claim:
    """The right to run one bisection."""

    bisection_id: str
    owner: str
    """Of this claim alone."""


@dataclass(frozen=True)
class Standing:
    """How a claim stands."""

    is_held: bool
    is_cancelled: bool
    """It was cancelled or deleted."""
    last_event: int | None = None
    """The number of its last event, where a step was written."""


@dataclass(frozen=True)
class Waiting:
    """A bisection that may be claimed."""

    bisection_id: str
    submitter: str
    """Id of the submitting token; empty without one."""
    nightly: bool
    """A pass of the nightly began it, and died."""
    waited_seconds: float
    abandoned: bool = False
    """Its coordinator no longer renews its claim; otherwise it is queued."""


@dataclass(frozen=True)
class StoredDocument:
    """The rendered answer of a finished bisection."""

    made_by: str
    """Digest of the program that rendered it."""
    public: bool
    owner: str | None
    tag: str
    """Changes when the answer does."""
    body: bytes
    """Compressed; empty where only the tag was asked for."""

    def seen_by(self, viewer: Viewer) -> bool:
        """Say whether this viewer may see it."""
        return sees(viewer, public=self.public, owner=self.owner)


@dataclass(frozen=True)
class Created:
    """The answer to a submission: `is_new` is False if its Idempotency-Key was known."""

    bisection: Bisection
    is_new: bool


@dataclass(frozen=True)
class Search:
    """What to list. Empty fields are ignored."""

    status: str | None = None
    probe: str | None = None
    package: str | None = None
    owner: str | None = None
    text: str = ""
    """Words that must all be in the snippet, in any order and case."""
    outcomes: tuple[str, ...] = ()
    changed_in: str | None = None
    """A release that a change landed on, of any package or of `package`."""
    finding: Finding | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Made in this time, the end not included."""
    oldest_first: bool = False


@dataclass(frozen=True)
class ObservationIdentity:
    """All that an answer depends on: same identity, same key, no second run."""

    package: str
    release: str
    hardware: str
    environment: str
    """Digest of interpreter, resolved packages and recipe."""
    probe: str
    """Digest of harness and probe."""
    snippet: str
    """Digest of the snippet's source."""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredObservation:
    """A stored run; it never changes."""

    id: str
    key: str
    repeat: int
    identity: ObservationIdentity
    created_at: datetime
    report: RunReport


@dataclass(frozen=True)
class LinkedObservation:
    """An observation as a bisection uses it."""

    observation: StoredObservation
    variant: str
    reused: bool


@dataclass(frozen=True)
class StoredExplanation:
    """What is known of the cause of one change; grows while its hypotheses are run."""

    key: str
    """Digest of all that it depends on: bisections with the same change share it."""
    updated_at: datetime
    found: Mapping[str, Any]
    """The cause as the verdict has it, with the stages that were gone through."""
    fingerprint: str | None = None
    """Of package and culprits; equal for changes with the same cause. None: no culprit is confirmed."""


@dataclass(frozen=True)
class ExplanationRequest:
    """Somebody asked for the causes of a bisection's changes."""

    bisection_id: str
    budget: int
    """Runs per change."""


@dataclass(frozen=True)
class Event:
    """Something that happened in a bisection; `seq` counts from 1 without gaps."""

    bisection_id: str
    seq: int
    kind: str
    payload: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class StoredChange:
    """A change that a bisection found."""

    bisection_id: str
    package: str
    line: str
    kind: str
    before: str
    after: str
    old: str
    new: str
    probe: str


@dataclass(frozen=True)
class Token:
    """An API token; its secret is not kept, only its digest."""

    id: str
    name: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def valid_at(self, moment: datetime) -> bool:
        """Say whether it opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)


def report_as_json(report: RunReport) -> dict[str, Any]:
    return {entry.name: getattr(report, entry.name) for entry in fields(RunReport)}


def report_from_json(value: Mapping[str, Any]) -> RunReport:
    """Read a stored run report; fields of a later version are left out."""
    known = {entry.name: value[entry.name] for entry in fields(RunReport) if entry.name in value}
    return RunReport(**{**known, "missing_protections": tuple(known.get("missing_protections", ()))})
