"""Messages to be delivered, with a log of every attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import and_, select, update

from service.storage.connected import Connected
from service.storage.tables import deliveries, delivery_attempts
from service.storage.watch_records import Delivery, DeliveryAttempt


class Deliveries(Connected):
    def claim_delivery(self, hold_seconds: float) -> Delivery | None:
        """Claim the message that is due for the longest time; None if none is due.

        It is due again after `hold_seconds`, unless `note_attempt` says what became of it: a sender that dies between
        sending and noting sends it again, under the same id.
        """
        now = self._now()
        due = and_(deliveries.c.status == "pending", deliveries.c.next_attempt_at <= now)
        oldest = select(deliveries.c.id).where(due).order_by(deliveries.c.next_attempt_at).limit(1)
        with self._writing() as connection:
            found = connection.scalar(oldest.with_for_update(skip_locked=True))
            if found is None:
                return None
            held = {"attempts": deliveries.c.attempts + 1, "next_attempt_at": now + timedelta(seconds=hold_seconds)}
            connection.execute(update(deliveries).where(deliveries.c.id == found).values(**held))
            return Delivery(**connection.execute(select(deliveries).where(deliveries.c.id == found)).one()._mapping)

    def note_attempt(
        self, delivery: Delivery, *, status_code: int | None, error: str, retry_after_seconds: float | None
    ) -> None:
        """Store the result of an attempt.

        Args:
            delivery: as it was claimed.
            status_code: what the other side answered, if it did.
            error: why it failed; empty: it was delivered.
            retry_after_seconds: when to try again; None: never.
        """
        now = self._now()
        log = {"delivery_id": delivery.id, "number": delivery.attempts, "at": now}
        with self._writing() as connection:
            connection.execute(
                self._insert_unless_there(delivery_attempts, log | {"status_code": status_code, "error": error})
            )
            connection.execute(
                update(deliveries)
                .where(deliveries.c.id == delivery.id)
                .values(**_after(now, error=error, retry_after_seconds=retry_after_seconds))
            )

    def deliveries(self, *, limit: int = 100) -> list[Delivery]:
        """Return the newest messages, newest first."""
        query = select(deliveries).order_by(deliveries.c.id.desc()).limit(limit)
        with self._reading() as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]

    def delivery_log(self, delivery_id: str) -> list[DeliveryAttempt]:
        """Return every attempt of a message, oldest first."""
        query = select(delivery_attempts).where(delivery_attempts.c.delivery_id == delivery_id)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(delivery_attempts.c.number))
            return [DeliveryAttempt(**row._mapping) for row in rows]


def _after(now: Any, *, error: str, retry_after_seconds: float | None) -> dict[str, Any]:
    if not error:
        return {"status": "delivered", "next_attempt_at": None}
    if retry_after_seconds is None:
        return {"status": "failed", "next_attempt_at": None}
    return {"status": "pending", "next_attempt_at": now + timedelta(seconds=retry_after_seconds)}
