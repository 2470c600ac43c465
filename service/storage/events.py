"""Events of a bisection: append-only, counted from 1 without gaps, so that a reader resumes where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.errors import NotFound
from service.storage.connected import Connected
from service.storage.records import Event
from service.storage.tables import bisections, events


def append_event(
    connection: Connection, bisection_id: str, kind: str, payload: Mapping[str, Any], moment: datetime
) -> int:
    """Append an event in the caller's transaction and return its number.

    Raises:
        NotFound: there is no bisection of this id.
    """
    # The counter's row lock is what keeps two writers from one number.
    counted = update(bisections).where(bisections.c.id == bisection_id).values(last_event=bisections.c.last_event + 1)
    seq = connection.scalar(counted.returning(bisections.c.last_event))
    if seq is None:
        raise NotFound(f"no bisection {bisection_id}; it may have been deleted")
    row = {"bisection_id": bisection_id, "seq": seq, "kind": kind, "payload": dict(payload), "created_at": moment}
    connection.execute(insert(events).values(**row))
    return int(seq)


class Events(Connected):
    """The events of the store."""

    def append_event(self, bisection_id: str, kind: str, payload: Mapping[str, Any]) -> int:
        """Append an event and return its number.

        Raises:
            NotFound: there is no bisection of this id.
        """
        with self._writing() as connection:
            return append_event(connection, bisection_id, kind, payload, self._now())

    def events_after(self, bisection_id: str, seq: int = 0, limit: int = 1000) -> list[Event]:
        """Return the events after a number, oldest first."""
        query = select(events).where(events.c.bisection_id == bisection_id, events.c.seq > seq)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(events.c.seq).limit(limit))
            return [Event(**row._mapping) for row in rows]

    def event_positions(self, bisection_ids: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Return the last event's number and the status of each bisection: one question for any number of streams."""
        query = select(bisections.c.id, bisections.c.last_event, bisections.c.status)
        with self._reading() as connection:
            rows = connection.execute(query.where(bisections.c.id.in_(bisection_ids)))
            return {row.id: (row.last_event, row.status) for row in rows}
