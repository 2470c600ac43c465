"""Bisections, observations, events, search.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def exact(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def moment(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def of_bisection() -> sa.Column:
    return sa.Column("bisection_id", exact(26), nullable=False)


def to_bisection(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_bisection_id"
    return sa.ForeignKeyConstraint(["bisection_id"], ["bisections.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    make_bisections()
    make_observations()
    make_what_hangs_on_a_bisection()
    make_the_rest()


def make_bisections() -> None:
    op.create_table(
        "snippets",
        sa.Column("digest", exact(71), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_snippets"),
    )
    op.create_table(
        "bisections",
        sa.Column("id", exact(26), nullable=False),
        moment("created_at"),
        moment("started_at", nullable=True),
        moment("finished_at", nullable=True),
        sa.Column("status", exact(12), nullable=False),
        sa.Column("package", exact(200), nullable=False),
        sa.Column("probe", exact(200), nullable=False),
        sa.Column("snippet_digest", exact(71), nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("progress", sa.JSON),
        sa.Column("verdict", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("points", exact(71)),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("owner", exact(26)),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("last_event", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lease_owner", exact(200)),
        moment("lease_expires_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_bisections"),
        sa.ForeignKeyConstraint(["snippet_digest"], ["snippets.digest"], name="fk_bisections_snippet_digest"),
    )
    for columns in (["status", "id"], ["probe", "id"], ["probe", "status", "id"], ["package", "id"]):
        op.create_index(f"ix_bisections_{'_'.join(columns)}", "bisections", columns)
    for columns in (["points", "id"], ["owner", "id"], ["snippet_digest"]):
        op.create_index(f"ix_bisections_{'_'.join(columns)}", "bisections", columns)


def make_observations() -> None:
    op.create_table(
        "observations",
        sa.Column("id", exact(26), nullable=False),
        sa.Column("key", exact(71), nullable=False),
        sa.Column("repeat", sa.Integer, nullable=False),
        sa.Column("package", exact(200), nullable=False),
        sa.Column("release", exact(200), nullable=False),
        moment("created_at"),
        sa.Column("identity", sa.JSON, nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_observations"),
        sa.UniqueConstraint("key", "repeat", name="uq_observations_key_repeat"),
    )
    op.create_table(
        "links",
        of_bisection(),
        sa.Column("variant", exact(200), nullable=False),
        sa.Column("observation_id", exact(26), nullable=False),
        sa.Column("reused", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("bisection_id", "variant", "observation_id", name="pk_links"),
        to_bisection("links"),
        sa.ForeignKeyConstraint(["observation_id"], ["observations.id"], name="fk_links_observation_id"),
    )
    op.create_index("ix_links_observation_id", "links", ["observation_id"])


def make_what_hangs_on_a_bisection() -> None:
    op.create_table(
        "events",
        of_bisection(),
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("kind", exact(40), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        moment("created_at"),
        sa.PrimaryKeyConstraint("bisection_id", "seq", name="pk_events"),
        to_bisection("events"),
    )
    op.create_table(
        "changes",
        of_bisection(),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        *(sa.Column(name, exact(200), nullable=False) for name in ("package", "after", "before", "line")),
        sa.Column("kind", exact(20), nullable=False),
        *(sa.Column(name, exact(200), nullable=False) for name in ("old", "new")),
        sa.PrimaryKeyConstraint("bisection_id", "position", name="pk_changes"),
        to_bisection("changes"),
    )
    op.create_index("ix_changes_package_after_bisection_id", "changes", ["package", "after", "bisection_id"])
    op.create_table(
        "search_terms",
        sa.Column("term", exact(200), nullable=False),
        of_bisection(),
        sa.PrimaryKeyConstraint("term", "bisection_id", name="pk_search_terms"),
        to_bisection("search_terms"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_terms_bisection_id", "search_terms", ["bisection_id"])
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", exact(200), nullable=False),
        sa.Column("key", exact(200), nullable=False),
        sa.Column("request_digest", exact(71), nullable=False),
        of_bisection(),
        moment("created_at"),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_idempotency_keys"),
        to_bisection("idempotency_keys"),
    )
    for column in ("created_at", "bisection_id"):
        op.create_index(f"ix_idempotency_keys_{column}", "idempotency_keys", [column])


def make_the_rest() -> None:
    op.create_table(
        "leases",
        sa.Column("name", exact(200), nullable=False),
        sa.Column("owner", exact(200), nullable=False),
        moment("expires_at"),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "cached_values",
        sa.Column("kind", exact(200), nullable=False),
        sa.Column("key", exact(1000), nullable=False),
        sa.Column("value", sa.JSON, nullable=False),
        moment("put_at"),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_cached_values"),
    )


def downgrade() -> None:
    for table in ("cached_values", "leases", "idempotency_keys", "search_terms", "changes", "events", "links"):
        op.drop_table(table)
    for table in ("observations", "bisections", "snippets"):
        op.drop_table(table)
