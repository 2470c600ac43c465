"""Explanations of changes, the runs of hypotheses behind them, and who asked for one.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def exact(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "explanations",
        sa.Column("key", exact(71), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("identity", sa.JSON, nullable=False),
        sa.Column("found", sa.JSON, nullable=False),
        sa.Column("fingerprint", exact(71)),
        sa.PrimaryKeyConstraint("key", name="pk_explanations"),
    )
    op.create_index("ix_explanations_fingerprint", "explanations", ["fingerprint"])
    op.create_table(
        "explanation_uses",
        sa.Column("bisection_id", exact(26), nullable=False),
        sa.Column("change", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("explanation_key", exact(71), nullable=False),
        sa.PrimaryKeyConstraint("bisection_id", "change", name="pk_explanation_uses"),
        sa.ForeignKeyConstraint(
            ["bisection_id"], ["bisections.id"], name="fk_explanation_uses_bisection_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["explanation_key"], ["explanations.key"], name="fk_explanation_uses_explanation_key"),
    )
    op.create_index("ix_explanation_uses_explanation_key", "explanation_uses", ["explanation_key"])
    op.create_table(
        "hypothesis_runs",
        sa.Column("key", exact(71), nullable=False),
        sa.Column("repeat", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("explanation_key", exact(71), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("identity", sa.JSON, nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("key", "repeat", name="pk_hypothesis_runs"),
        sa.ForeignKeyConstraint(
            ["explanation_key"],
            ["explanations.key"],
            name="fk_hypothesis_runs_explanation_key",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_hypothesis_runs_explanation_key", "hypothesis_runs", ["explanation_key"])
    op.create_table(
        "explanation_requests",
        sa.Column("bisection_id", exact(26), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("budget", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("bisection_id", name="pk_explanation_requests"),
        sa.ForeignKeyConstraint(
            ["bisection_id"], ["bisections.id"], name="fk_explanation_requests_bisection_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("explanation_requests")
    op.drop_table("hypothesis_runs")
    op.drop_table("explanation_uses")
    op.drop_table("explanations")
