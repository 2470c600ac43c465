"""API tokens, watches with their history, notifications.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def exact(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def moment(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def key_to(table: str, column: str, target: str, **options: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}", **options)


def upgrade() -> None:
    make_tokens()
    make_watches()
    make_watch_history()
    make_deliveries()


def make_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", exact(26), nullable=False),
        sa.Column("name", exact(200), nullable=False),
        sa.Column("secret_digest", exact(71), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        moment("created_at"),
        moment("expires_at", nullable=True),
        moment("revoked_at", nullable=True),
        moment("last_used_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("secret_digest", name="uq_tokens_secret_digest"),
    )


def make_watches() -> None:
    op.create_table(
        "watches",
        sa.Column("id", exact(26), nullable=False),
        sa.Column("name", exact(200), nullable=False),
        moment("created_at"),
        moment("removed_at", nullable=True),
        sa.Column("origin", exact(200), nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("packages", sa.JSON, nullable=False),
        sa.Column("notify", sa.JSON, nullable=False),
        sa.Column("blind_after", sa.Integer, nullable=False),
        sa.Column("snippet_digest", exact(71), nullable=False),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("owner", exact(26)),
        sa.PrimaryKeyConstraint("id", name="pk_watches"),
        key_to("watches", "snippet_digest", "snippets.digest"),
    )
    living = sa.text("removed_at IS NULL")
    op.create_index(
        "ix_watches_living_name", "watches", ["name"], unique=True, sqlite_where=living, postgresql_where=living
    )
    op.create_index("ix_watches_snippet_digest", "watches", ["snippet_digest"])


def make_watch_history() -> None:
    op.create_table(
        "watch_passes",
        sa.Column("id", exact(26), nullable=False),
        moment("started_at"),
        moment("finished_at", nullable=True),
        sa.Column("summary", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_watch_passes"),
    )
    op.create_table(
        "watch_runs",
        sa.Column("id", exact(26), nullable=False),
        sa.Column("watch_id", exact(26), nullable=False),
        sa.Column("pass_id", exact(26), nullable=False),
        sa.Column("package", exact(200), nullable=False),
        moment("finished_at"),
        sa.Column("status", exact(20), nullable=False),
        sa.Column("bisection_id", exact(26)),
        sa.Column("seen", sa.JSON, nullable=False),
        sa.Column("verdict", sa.JSON),
        sa.Column("difference", sa.JSON),
        sa.Column("message", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_watch_runs"),
        sa.UniqueConstraint("pass_id", "watch_id", "package", name="uq_watch_runs_pass_id_watch_id_package"),
        key_to("watch_runs", "watch_id", "watches.id"),
        key_to("watch_runs", "pass_id", "watch_passes.id"),
        key_to("watch_runs", "bisection_id", "bisections.id", ondelete="SET NULL"),
    )
    op.create_index("ix_watch_runs_watch_id_package_id", "watch_runs", ["watch_id", "package", "id"])
    op.create_index("ix_watch_runs_watch_id_id", "watch_runs", ["watch_id", "id"])
    op.create_index("ix_watch_runs_status_id", "watch_runs", ["status", "id"])
    op.create_index("ix_watch_runs_bisection_id", "watch_runs", ["bisection_id"])


def make_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", exact(26), nullable=False),
        sa.Column("watch_run_id", exact(26), nullable=False),
        sa.Column("channel", exact(20), nullable=False),
        sa.Column("target", exact(1000), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("status", exact(12), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        moment("created_at"),
        moment("next_attempt_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("watch_run_id", "channel", "target", name="uq_deliveries_watch_run_id_channel_target"),
        key_to("deliveries", "watch_run_id", "watch_runs.id"),
    )
    op.create_index("ix_deliveries_status_next_attempt_at", "deliveries", ["status", "next_attempt_at"])
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", exact(26), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        moment("at"),
        sa.Column("status_code", sa.Integer),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="pk_delivery_attempts"),
        key_to("delivery_attempts", "delivery_id", "deliveries.id"),
    )


def downgrade() -> None:
    for table in ("delivery_attempts", "deliveries", "watch_runs", "watch_passes", "watches", "tokens"):
        op.drop_table(table)
