"""Events of a bisection: append-only, counted from 1 without gaps, so that a reader resumes where it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.storage.connected import Connected
from service.storage.records import Event
from service.storage.tables import bisections, events


def append_events(
    connection: Connection, bisection_id: str, happened: Iterable[tuple[str, Mapping[str, Any]]], moment: datetime
) -> int:
    """Append events, each a kind and a payload, and return the last one's number.

    The caller's transaction holds the bisection's row: it is there.
    """
    told = [{"kind": kind, "payload": dict(payload)} for kind, payload in happened]
    # The row lock of the counter prevents equal numbers.
    counter = bisections.c.last_event
    counted = update(bisections).where(bisections.c.id == bisection_id).values(last_event=counter + len(told))
    last: int = connection.execute(counted.returning(counter)).scalar_one()
    first = last - len(told) + 1
    rows = [
        {"bisection_id": bisection_id, "seq": seq, "created_at": moment, **each} for seq, each in enumerate(told, first)
    ]
    if rows:
        connection.execute(insert(events), rows)
    return last


class Events(Connected):
    def events_after(self, bisection_id: str, seq: int = 0, limit: int = 1000) -> list[Event]:
        """Return the events after a number, oldest first."""
        query = select(events).where(events.c.bisection_id == bisection_id, events.c.seq > seq)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(events.c.seq).limit(limit))
            return [Event(**row._mapping) for row in rows]

    def event_positions(self, bisection_ids: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Return the last event's number and the status of each bisection: one query for any number of streams."""
        query = select(bisections.c.id, bisections.c.last_event, bisections.c.status)
        with self._reading() as connection:
            rows = connection.execute(query.where(bisections.c.id.in_(bisection_ids)))
            return {row.id: (row.last_event, row.status) for row in rows}
