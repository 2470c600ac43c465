"""The files of projects, and which bisection needs which.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def exact(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("digest", exact(71), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_projects"),
    )
    op.create_table(
        "project_uses",
        sa.Column("bisection_id", exact(26), nullable=False),
        sa.Column("project_digest", exact(71), nullable=False),
        sa.PrimaryKeyConstraint("bisection_id", name="pk_project_uses"),
        sa.ForeignKeyConstraint(
            ["bisection_id"], ["bisections.id"], name="fk_project_uses_bisection_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["project_digest"], ["projects.digest"], name="fk_project_uses_project_digest"),
    )
    op.create_index("ix_project_uses_project_digest", "project_uses", ["project_digest"])


def downgrade() -> None:
    op.drop_table("project_uses")
    op.drop_table("projects")
