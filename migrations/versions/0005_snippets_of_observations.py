"""Which releases were measured with a snippet is read along an index.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROWS_AT_ONCE = 1000


def upgrade() -> None:
    exact = sa.String(71).with_variant(sa.String(71, collation="C"), "postgresql")
    op.add_column("observations", sa.Column("snippet", exact, nullable=False, server_default=""))
    fill(op.get_bind())
    op.create_index("ix_observations_package_snippet_release", "observations", ["package", "snippet", "release"])


def fill(connection: sa.Connection) -> None:
    """Copy the snippet out of each identity; here, since PostgreSQL does not read a JSON with an escaped NUL in it."""
    rows = sa.table(
        "observations", sa.column("id", sa.String), sa.column("identity", sa.JSON), sa.column("snippet", sa.String)
    )
    page = sa.select(rows.c.id, rows.c.identity).order_by(rows.c.id).limit(ROWS_AT_ONCE)
    filling = rows.update().where(rows.c.id == sa.bindparam("row")).values(snippet=sa.bindparam("digest"))
    found = connection.execute(page).all()
    while found:
        connection.execute(filling, [{"row": row.id, "digest": row.identity["snippet"]} for row in found])
        found = connection.execute(page.where(rows.c.id > found[-1].id)).all()


def downgrade() -> None:
    op.drop_index("ix_observations_package_snippet_release", "observations")
    op.drop_column("observations", "snippet")
