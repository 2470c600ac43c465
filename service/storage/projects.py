"""The files of projects, by their digest, in the database: a coordinator on another machine finds them there, too."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from service.errors import BadInput
from service.storage.connected import Connected
from service.storage.tables import project_uses, projects, watches

UNUSED_DAYS = 1
"""How long a project is kept that no bisection uses: an upload comes before its bisection."""
UNUSED_BYTES = 1024**3
"""How much of those is kept at most; the oldest go first."""


class Projects(Connected):
    def put_project(self, digest: str, packed: bytes) -> None:
        """Keep a project, and delete those that nobody has used for a day."""
        row = {"digest": digest, "packed": packed, "created_at": self._now()}
        with self._writing() as connection:
            connection.execute(self._upsert(projects, row))
            self._clean(connection, digest)

    def packed_project(self, digest: str) -> bytes:
        """Return a project as it was put.

        Raises:
            BadInput: there is none of this digest.
        """
        with self._reading() as connection:
            packed = connection.scalar(select(projects.c.packed).where(projects.c.digest == digest))
        if packed is None:
            raise BadInput(no_project(digest), field="project")
        return bytes(packed)

    def _clean(self, connection: Connection, kept: str) -> None:
        """Delete projects without a use: those of yesterday, and the oldest beyond what is kept."""
        size = func.length(projects.c.packed).label("size")
        query = select(projects.c.digest, projects.c.created_at, size).where(~_is_used(), projects.c.digest != kept)
        long_ago, total = self._now() - timedelta(days=UNUSED_DAYS), 0
        watched = _watched(connection)
        for row in connection.execute(query.order_by(projects.c.created_at.desc())).all():
            total += row.size
            if row.digest not in watched and (row.created_at < long_ago or total > UNUSED_BYTES):
                connection.execute(delete(projects).where(projects.c.digest == row.digest, ~_is_used()))


def use_project(connection: Connection, bisection_id: str, digest: str) -> None:
    """Note that a bisection needs a project.

    Raises:
        BadInput: there is none of this digest.
    """
    # Locked, so that nobody deletes it as unused meanwhile.
    found = select(projects.c.digest).where(projects.c.digest == digest).with_for_update()
    if connection.scalar(found) is None:
        raise BadInput(no_project(digest), field="project")
    connection.execute(insert(project_uses).values(bisection_id=bisection_id, project_digest=digest))


def no_project(digest: str) -> str:
    return f"there is no project {digest}; send its files to /api/v1/projects first."


def project_used_by(connection: Connection, bisection_id: str) -> str | None:
    query = select(project_uses.c.project_digest).where(project_uses.c.bisection_id == bisection_id)
    return connection.scalar(query)


def delete_unused_project(connection: Connection, digest: str) -> None:
    """Delete a project that no bisection and no watch needs."""
    connection.execute(select(projects.c.digest).where(projects.c.digest == digest).with_for_update())
    if digest not in _watched(connection):
        connection.execute(delete(projects).where(projects.c.digest == digest, ~_is_used()))


def _is_used() -> ColumnElement[bool]:
    used = select(project_uses.c.bisection_id).where(project_uses.c.project_digest == projects.c.digest)
    return used.exists()


def _watched(connection: Connection) -> set[str]:
    """Return the projects that watches need; there are few watches, and the request is all that names it."""
    asked = connection.scalars(select(watches.c.request).where(watches.c.removed_at.is_(None)))
    return {str(request["project"]) for request in asked if request.get("project")}
