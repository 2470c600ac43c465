"""Lists of what changed and of what did not, newest first.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FINDINGS = {
    "ix_bisections_changed": "points IS NOT NULL",
    "ix_bisections_unchanged": "points IS NULL AND status = 'done'",
}


def upgrade() -> None:
    for name, where in FINDINGS.items():
        op.create_index(name, "bisections", ["id"], sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    for name in FINDINGS:
        op.drop_index(name, "bisections")
