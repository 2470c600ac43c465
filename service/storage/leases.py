"""Leases by name: one holder at a time across threads, processes and machines, for a limited time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, not_, or_, select, update

from service.storage.connected import Connected
from service.storage.tables import leases

LONGEST_LEASE = timedelta(minutes=15)
"""No lease or pause lasts longer: one that ends later was written before the clock was set back."""


def has_run_out(expires_at: ColumnElement[Any], now: datetime) -> ColumnElement[bool]:
    """Return the condition that a lease has expired, or cannot have been taken by the current clock."""
    return or_(expires_at < now, expires_at > now + LONGEST_LEASE)


class Leases(Connected):
    def acquire_lease(self, name: str, owner: str, lease_seconds: float) -> bool:
        """Take or renew a lease and return whether this owner holds it; an expired lease is free."""
        now = self._now()
        fresh = {"owner": owner, "expires_at": now + timedelta(seconds=lease_seconds)}
        free = and_(leases.c.name == name, or_(leases.c.owner == owner, has_run_out(leases.c.expires_at, now)))
        with self._writing() as connection:
            # Not rowcount: PostgreSQL's driver does not tell it of an INSERT.
            inserting = self._insert_unless_there(leases, {"name": name, **fresh}).returning(leases.c.name)
            return (
                connection.scalar(inserting) is not None
                or connection.execute(update(leases).where(free).values(**fresh)).rowcount == 1
            )

    def release_lease(self, name: str, owner: str) -> None:
        """Release a lease, if this owner holds it."""
        with self._writing() as connection:
            connection.execute(delete(leases).where(leases.c.name == name, leases.c.owner == owner))

    def lease_holder(self, name: str) -> str | None:
        """Return who holds a lease now, or None."""
        query = select(leases.c.owner).where(leases.c.name == name, not_(has_run_out(leases.c.expires_at, self._now())))
        with self._reading() as connection:
            return connection.scalar(query)
