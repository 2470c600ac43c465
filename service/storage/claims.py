"""Claims: which coordinator runs which bisection, and what it writes while it holds the claim.

Every claim has an owner of its own, never a process or a machine: two threads of one process are two holders too. What
a holder writes is written only while it holds the bisection, in the same transaction that looks.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, and_, case, func, not_, or_, select, update
from sqlalchemy.exc import IntegrityError

from service.errors import NotFound
from service.storage.connected import Connected
from service.storage.events import append_events
from service.storage.leases import has_run_out
from service.storage.records import FINISHED, Claim, Standing, Waiting
from service.storage.tables import bisections, links
from service.storage.ulid import new_ulid

WAITING_LOOKED_AT = 1000
"""How many queued bisections a coordinator considers; the web service allows fewer (queued_at_most)."""

Purpose = Literal["serve", "nightly", "command", "causes"]
Used = tuple[str, str, bool]
"""An observation's id, its variant, and whether it was reused."""
Choose = Callable[[Sequence[Waiting]], str | None]


def new_owner(purpose: Purpose) -> str:
    """Return a unique owner for one claim, readable for people who look at the table."""
    return f"{purpose}@{socket.gethostname()}:{os.getpid()}:{new_ulid()}"


def oldest(waiting: Sequence[Waiting]) -> str | None:
    """Choose the bisection that has waited longest."""
    return waiting[0].bisection_id if waiting else None


class Claims(Connected):
    def waiting(self, owner: str | None = None) -> list[Waiting]:
        """Return the bisections that may be claimed, oldest first: queued, or their coordinator died.

        With an owner, return what that one holds instead.
        """
        now = self._now()
        query = select(
            bisections.c.id,
            bisections.c.created_at,
            bisections.c.owner,
            bisections.c.status,
            bisections.c.lease_owner,
            bisections.c.lease_expires_at,
        ).where(bisections.c.status.in_(["queued", "running"]), _free(now) if owner is None else _taken(owner))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(bisections.c.id).limit(WAITING_LOOKED_AT)).all()
        return [_waiting(row, now, abandoned=owner is None and row.status == "running") for row in rows]

    def claim(
        self, owner: str, lease_seconds: float, choose: Choose = oldest, *, is_retried: bool = False
    ) -> str | None:
        """Claim a bisection that is queued, or whose coordinator died; None if there is none.

        The claim holds until the lease runs out; `renew` keeps it. Two callers never hold one bisection.

        Args:
            owner: of this claim alone; see `new_owner`.
            lease_seconds: how long it holds unless renewed.
            choose: which of those that wait; None takes none.
            is_retried: this owner asked before and was not answered; what that took, if it did, is given now.
        """
        waiting = (self.waiting(owner) if is_retried else []) or self.waiting()
        while (chosen := choose(waiting)) is not None:
            if self.claim_one(chosen, owner, lease_seconds):
                return chosen
            # Somebody else was faster.
            waiting = [one for one in waiting if one.bisection_id != chosen]
        return None

    def claim_one(self, bisection_id: str, owner: str, lease_seconds: float) -> bool:
        """Claim this bisection, if it is queued or its coordinator died; return whether this owner holds it."""
        now = self._now()
        is_mine = and_(bisections.c.status == "running", bisections.c.lease_owner == owner)
        gone = has_run_out(bisections.c.lease_expires_at, now)
        free = or_(bisections.c.status == "queued", bisections.c.lease_owner == owner, gone)
        found = and_(bisections.c.id == bisection_id, bisections.c.status.not_in(FINISHED), free)
        # An owner that got no answer claims again, which is not another attempt.
        counted = select(case((and_(is_mine, not_(gone)), 0), else_=1)).where(found).with_for_update()
        with self._writing() as connection:
            attempts = connection.scalar(counted)
            if attempts is None:
                return False
            take(connection, bisection_id, owner, self._now(), lease_seconds, attempts=attempts)
            return True

    def renew(self, claims: Iterable[Claim], lease_seconds: float) -> None:
        """Renew claims that still hold; see `standing` for those that do not."""
        with self._writing() as connection:
            # In one order for all: two that renew at once must not wait for each other.
            for claim in sorted(claims, key=lambda claim: claim.bisection_id):
                lease = _lease(claim.owner, self._now(), lease_seconds)
                connection.execute(update(bisections).where(_held(claim)).values(**lease))

    def standing(self, claims: Sequence[Claim]) -> dict[Claim, Standing]:
        """Return for each claim whether it holds and whether it was cancelled: one query for all."""
        query = select(
            bisections.c.id, bisections.c.lease_owner, bisections.c.status, bisections.c.cancel_requested
        ).where(bisections.c.id.in_([claim.bisection_id for claim in claims]))
        with self._reading() as connection:
            rows = {row.id: row for row in connection.execute(query)}
        found: dict[Claim, Standing] = {}
        for claim in claims:
            row = rows.get(claim.bisection_id)
            held = row is not None and row.status == "running" and row.lease_owner == claim.owner
            found[claim] = Standing(is_held=held, is_cancelled=row is None or row.cancel_requested)
        return found

    def record(
        self,
        claim: Claim,
        used: Iterable[Used] = (),
        happened: Iterable[tuple[str, Mapping[str, Any]]] = (),
        progress: Mapping[str, Any] | None = None,
        *,
        after: int | None = None,
    ) -> Standing:
        """Store one step of a bisection: its observations, events and progress; all or nothing.

        A bisection that gets ahead is no longer one that takes its coordinators down: its attempts count from 0 again.

        Args:
            claim: what is held.
            used: what it rests on.
            happened: events, each a kind and a payload.
            progress: how far it is.
            after: the last event before this step, as the holder knows it. Where these events follow it already, the
                step was written before, though its holder was not told, and nothing is told twice. None: not known.

        Returns:
            How the claim stands; where it does not hold any more, or the bisection was deleted, nothing is written.

        Raises:
            NotFound: an observation was deleted.
        """
        rows: list[dict[str, Any]] = [
            {"bisection_id": claim.bisection_id, "observation_id": name, "variant": variant, "reused": reused}
            for name, variant, reused in used
        ]
        told = list(happened)
        values: dict[str, Any] = {"attempts": 0} if rows else {}
        values |= {} if progress is None else {"progress": dict(progress)}
        values = values or {"lease_owner": claim.owner}
        try:
            with self._writing() as connection:
                writing = update(bisections).where(_held(claim)).values(**values)
                columns = (bisections.c.cancel_requested, bisections.c.last_event)
                row = connection.execute(writing.returning(*columns)).first()
                if row is None:
                    return Standing(is_held=False, is_cancelled=False)
                if rows:
                    connection.execute(self._insert_unless_there(links), rows)
                last = row.last_event
                if told and (after is None or last < after + len(told)):
                    last = append_events(connection, claim.bisection_id, told, self._now())
                return Standing(is_held=True, is_cancelled=row.cancel_requested, last_event=last)
        except IntegrityError as error:
            named = ", ".join(row["observation_id"] for row in rows[:3])
            raise NotFound(f"no observation {named}; deleted?") from error

    def requeue(self, claim: Claim, *, reserved_for: str | None = None) -> bool:
        """Give a claim back, so that the next coordinator continues; False if it was not held.

        Args:
            claim: what is held.
            reserved_for: `claim` passes it over, until whoever knows this name takes it up by `claim_one`.
        """
        queued = {"status": "queued", "lease_owner": reserved_for, "lease_expires_at": None}
        values = {**queued, "attempts": _one_less(bisections.c.attempts)}
        with self._writing() as connection:
            return connection.execute(update(bisections).where(_held(claim)).values(**values)).rowcount == 1

    def put_back(self, claim: Claim, pause_seconds: float, progress: Mapping[str, Any]) -> bool:
        """Give a claim back after a failure: nobody claims the bisection during the pause, and the attempt counts."""
        values = {
            "status": "queued",
            "lease_owner": None,
            "lease_expires_at": self._now() + timedelta(seconds=pause_seconds),
            "progress": dict(progress),
        }
        with self._writing() as connection:
            return connection.execute(update(bisections).where(_held(claim)).values(**values)).rowcount == 1

    def reserved(self, name: str) -> list[str]:
        """Return the queued bisections that are reserved for this name, oldest first."""
        waiting = and_(bisections.c.status == "queued", bisections.c.lease_owner == name)
        with self._reading() as connection:
            return list(connection.scalars(select(bisections.c.id).where(waiting).order_by(bisections.c.id)))


def take(
    connection: Connection, bisection_id: str, owner: str, now: datetime, lease_seconds: float, *, attempts: int = 1
) -> None:
    """Write a claim and its number of attempts in the caller's transaction."""
    taken = {"status": "running", "attempts": bisections.c.attempts + attempts} | _lease(owner, now, lease_seconds)
    started = func.coalesce(bisections.c.started_at, now)
    mine = update(bisections).where(bisections.c.id == bisection_id)
    connection.execute(mine.values(**taken, started_at=started))


def _waiting(row: Any, now: datetime, *, abandoned: bool) -> Waiting:
    since = row.lease_expires_at if row.lease_expires_at and row.lease_expires_at < now else row.created_at
    return Waiting(
        bisection_id=row.id,
        submitter=row.owner or "",
        nightly=str(row.lease_owner or "").startswith("nightly@"),
        waited_seconds=(now - since).total_seconds(),
        abandoned=abandoned,
    )


def _taken(owner: str) -> Any:
    return and_(bisections.c.status == "running", bisections.c.lease_owner == owner)


def _free(now: datetime) -> Any:
    """Return the condition under which a bisection may be claimed."""
    paused_until = bisections.c.lease_expires_at
    queued = and_(
        bisections.c.status == "queued",
        bisections.c.lease_owner.is_(None),
        or_(paused_until.is_(None), has_run_out(paused_until, now)),
    )
    return or_(queued, and_(bisections.c.status == "running", has_run_out(bisections.c.lease_expires_at, now)))


def _held(claim: Claim) -> Any:
    return and_(
        bisections.c.id == claim.bisection_id,
        bisections.c.lease_owner == claim.owner,
        bisections.c.status == "running",
    )


def _lease(owner: str, now: datetime, lease_seconds: float) -> dict[str, Any]:
    return {"lease_owner": owner, "lease_expires_at": now + timedelta(seconds=lease_seconds)}


def _one_less(number: Any) -> Any:
    """Return a count less one, at least 0."""
    return func.coalesce(func.nullif(number, 0), 1) - 1
