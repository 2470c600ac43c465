"""The tables, the same on SQLite and PostgreSQL. migrations/ makes them; a test compares the two.

Ids are ULIDs, so that "newest first" is the primary key read backwards and needs no sort.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, with its time zone in Python whichever database keeps it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a time without time zone, since it is ambiguous."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; give it one")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return a time in UTC; SQLite does not store the zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactText(TypeDecorator[str]):
    """A text that sorts by its bytes on both databases, so that an index serves order and prefix."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Choose byte order on PostgreSQL; it is SQLite's default."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(String(self.length, collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Replace characters that the database rejects with an error, so that a search for them finds nothing."""
        return value if value is None else _UNWRITABLE.sub("\ufffd", value)


class SaidText(TypeDecorator[str]):
    """Text from another program; characters that the database rejects are replaced."""

    impl = Text
    cache_ok = True

    # SQLAlchemy passes the dialect to every type.
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Replace NUL, which PostgreSQL rejects, and lone surrogates, which cannot be encoded."""
        return value if value is None else _UNWRITABLE.sub("\ufffd", value)


# JSON, not JSONB: facts are kept as they were seen (order of keys, escaped NUL), and every search has its own column.
LONGEST_NAME = 200
Id = ExactText(26)
Digest = ExactText(71)
Name = ExactText(LONGEST_NAME)

_naming = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=_naming)


def _bisection_column(**options: Any) -> Column[str]:
    return Column("bisection_id", Id, ForeignKey("bisections.id", ondelete="CASCADE"), nullable=False, **options)


snippets = Table(
    "snippets",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("source", Text, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    # A zip archive; last, so that reading only the rest does not read it.
    Column("packed", LargeBinary, nullable=False),
)

bisections = Table(
    "bisections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("status", ExactText(12), nullable=False),
    Column("package", Name, nullable=False),
    Column("probe", Name, nullable=False),
    Column("snippet_digest", Digest, ForeignKey("snippets.digest"), nullable=False),
    Column("request", JSON, nullable=False),
    Column("progress", JSON),
    Column("verdict", JSON),
    Column("error", JSON),
    Column("points", Digest),
    Column("public", Boolean, nullable=False),
    Column("owner", Id),
    Column("cancel_requested", Boolean, nullable=False),
    Column("last_event", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease_owner", Name),
    Column("lease_expires_at", UtcDateTime),
    Index(None, "status", "id"),
    Index(None, "probe", "id"),
    Index(None, "probe", "status", "id"),
    Index(None, "package", "id"),
    Index(None, "points", "id"),
    Index(
        "ix_bisections_changed",
        "id",
        sqlite_where=text("points IS NOT NULL"),
        postgresql_where=text("points IS NOT NULL"),
    ),
    Index(
        "ix_bisections_unchanged",
        "id",
        sqlite_where=text("points IS NULL AND status = 'done'"),
        postgresql_where=text("points IS NULL AND status = 'done'"),
    ),
    Index(None, "owner", "id"),
    Index(None, "snippet_digest"),
)

observations = Table(
    "observations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Digest, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("package", Name, nullable=False),
    Column("release", Name, nullable=False),
    # As in `identity`, where no index finds it; PostgreSQL does not even look into a JSON that holds an escaped NUL.
    Column("snippet", Digest, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("identity", JSON, nullable=False),
    Column("report", JSON, nullable=False),
    UniqueConstraint("key", "repeat"),
    Index(None, "package", "snippet", "release"),
)

links = Table(
    "links",
    metadata,
    _bisection_column(primary_key=True),
    Column("variant", Name, primary_key=True),
    Column("observation_id", Id, ForeignKey("observations.id"), primary_key=True),
    Column("reused", Boolean, nullable=False),
    Index(None, "observation_id"),
)

events = Table(
    "events",
    metadata,
    _bisection_column(primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", ExactText(40), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    _bisection_column(primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("package", Name, nullable=False),
    Column("after", Name, nullable=False),
    Column("before", Name, nullable=False),
    Column("line", Name, nullable=False),
    Column("kind", ExactText(20), nullable=False),
    Column("old", Name, nullable=False),
    Column("new", Name, nullable=False),
    Index(None, "package", "after", "bisection_id"),
)

search_terms = Table(
    "search_terms",
    metadata,
    Column("term", Name, primary_key=True),
    _bisection_column(primary_key=True),
    Index(None, "bisection_id"),
    sqlite_with_rowid=False,
)

project_uses = Table(
    "project_uses",
    metadata,
    _bisection_column(primary_key=True),
    Column("project_digest", Digest, ForeignKey("projects.digest"), nullable=False),
    Index(None, "project_digest"),
)

explanations = Table(
    "explanations",
    metadata,
    Column("key", Digest, primary_key=True),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("identity", JSON, nullable=False),
    Column("found", JSON, nullable=False),
    # Of package and culprits: changes with the same cause share it.
    Column("fingerprint", Digest),
    Index(None, "fingerprint"),
)

explanation_uses = Table(
    "explanation_uses",
    metadata,
    _bisection_column(primary_key=True),
    Column("change", Integer, primary_key=True, autoincrement=False),
    Column("explanation_key", Digest, ForeignKey("explanations.key"), nullable=False),
    Index(None, "explanation_key"),
)

hypothesis_runs = Table(
    "hypothesis_runs",
    metadata,
    Column("key", Digest, primary_key=True),
    Column("repeat", Integer, primary_key=True, autoincrement=False),
    Column("explanation_key", Digest, ForeignKey("explanations.key", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("identity", JSON, nullable=False),
    Column("report", JSON, nullable=False),
    Index(None, "explanation_key"),
)

explanation_requests = Table(
    "explanation_requests",
    metadata,
    _bisection_column(primary_key=True),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("budget", Integer, nullable=False),
)

documents = Table(
    "documents",
    metadata,
    _bisection_column(primary_key=True),
    Column("made_by", Digest, nullable=False),
    # Copied from its bisection, where they never change: this row alone says who may read it.
    Column("public", Boolean, nullable=False),
    Column("owner", Id),
    Column("tag", Digest, nullable=False),
    # Last, so that reading only the tag does not read it.
    Column("body", LargeBinary, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", Name, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("request_digest", Digest, nullable=False),
    _bisection_column(),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "created_at"),
    Index(None, "bisection_id"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Name, primary_key=True),
    Column("owner", Name, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

cached_values = Table(
    "cached_values",
    metadata,
    Column("kind", Name, primary_key=True),
    Column("key", ExactText(1000), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("put_at", UtcDateTime, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("secret_digest", Digest, nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

watches = Table(
    "watches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("removed_at", UtcDateTime),
    Column("origin", Name, nullable=False),
    Column("request", JSON, nullable=False),
    Column("packages", JSON, nullable=False),
    Column("notify", JSON, nullable=False),
    Column("blind_after", Integer, nullable=False),
    Column("snippet_digest", Digest, ForeignKey("snippets.digest"), nullable=False),
    Column("public", Boolean, nullable=False),
    Column("owner", Id),
    # One active watch per name; a removed one keeps its history.
    Index(
        "ix_watches_living_name",
        "name",
        unique=True,
        sqlite_where=text("removed_at IS NULL"),
        postgresql_where=text("removed_at IS NULL"),
    ),
    Index(None, "snippet_digest"),
)

watch_passes = Table(
    "watch_passes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("summary", JSON),
)

watch_runs = Table(
    "watch_runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("watch_id", Id, ForeignKey("watches.id"), nullable=False),
    Column("pass_id", Id, ForeignKey("watch_passes.id"), nullable=False),
    Column("package", Name, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("status", ExactText(20), nullable=False),
    Column("bisection_id", Id, ForeignKey("bisections.id", ondelete="SET NULL")),
    Column("seen", JSON, nullable=False),
    Column("verdict", JSON),
    Column("difference", JSON),
    Column("message", SaidText, nullable=False),
    UniqueConstraint("pass_id", "watch_id", "package"),
    Index(None, "watch_id", "package", "id"),
    Index(None, "watch_id", "id"),
    Index(None, "pass_id", "id"),
    Index(None, "status", "id"),
    Index(None, "bisection_id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("watch_run_id", Id, ForeignKey("watch_runs.id"), nullable=False),
    Column("channel", ExactText(20), nullable=False),
    Column("target", ExactText(1000), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("status", ExactText(12), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    UniqueConstraint("watch_run_id", "channel", "target"),
    Index(None, "status", "next_attempt_at"),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("delivery_id", Id, ForeignKey("deliveries.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("status_code", Integer),
    Column("error", SaidText, nullable=False),
)
