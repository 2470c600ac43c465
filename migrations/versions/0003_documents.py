"""Rendered answers of finished bisections.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def exact(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("bisection_id", exact(26), nullable=False),
        sa.Column("made_by", exact(71), nullable=False),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("owner", exact(26)),
        sa.Column("tag", exact(71), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("bisection_id", name="pk_documents"),
        sa.ForeignKeyConstraint(
            ["bisection_id"], ["bisections.id"], name="fk_documents_bisection_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("documents")
