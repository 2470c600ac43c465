"""What a pass found is read along an index.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_watch_runs_pass_id_id", "watch_runs", ["pass_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_watch_runs_pass_id_id", "watch_runs")
