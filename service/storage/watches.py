"""Watches and what their nights found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Select, and_, false, insert, null, or_, select, true, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from service.errors import BadInput, NotFound
from service.json_text import text_digest
from service.storage.connected import Connected
from service.storage.records import ADMIN, EVERYBODY, Page, Viewer
from service.storage.tables import deliveries, snippets, watch_passes, watch_runs, watches
from service.storage.ulid import new_ulid
from service.storage.watch_records import NewDelivery, NewWatch, NewWatchRun, NightStatus, Watch, WatchPass, WatchRun


class Watches(Connected):
    def add_watch(self, new: NewWatch) -> Watch:
        """Keep a watch and return it.

        Raises:
            BadInput: another living watch has this name.
        """
        row = {"id": new_ulid(), "created_at": self._now(), **self._watch_columns(new)}
        try:
            with self._writing() as connection:
                self._keep_snippet(connection, new)
                connection.execute(insert(watches).values(**row))
        except IntegrityError as error:
            raise BadInput(
                f"a watch {new.name!r} exists already; choose another name, or run: tfbisect watch remove {new.name}",
                field="name",
            ) from error
        return self.watch(str(row["id"]))

    def add_watch_once(self, new: NewWatch) -> None:
        """Store a watch, unless one of this name exists or was removed."""
        row = {"id": new_ulid(), "created_at": self._now(), **self._watch_columns(new)}
        with self._writing() as connection:
            if connection.scalar(select(watches.c.id).where(watches.c.name == new.name)) is None:
                self._keep_snippet(connection, new)
                connection.execute(self._insert_unless_there(watches, row))

    def put_watch(self, new: NewWatch) -> Watch:
        """Store the watch of a file: a new one, or an update of the one that the file made before.

        Raises:
            BadInput: a living watch of another origin has this name.
        """
        living = and_(watches.c.name == new.name, watches.c.removed_at.is_(None), watches.c.origin == new.origin)
        with self._writing() as connection:
            self._keep_snippet(connection, new)
            kept = connection.scalar(
                update(watches).where(living).values(**self._watch_columns(new)).returning(watches.c.id)
            )
        return self.add_watch(new) if kept is None else self.watch(str(kept))

    def _watch_columns(self, new: NewWatch) -> dict[str, Any]:
        named = {entry.name: getattr(new, entry.name) for entry in fields(NewWatch) if entry.name != "snippet"}
        lists = {"packages": list(new.packages), "notify": list(new.notify), "request": dict(new.request)}
        return named | lists | {"snippet_digest": text_digest(new.snippet)}

    def _keep_snippet(self, connection: Connection, new: NewWatch) -> None:
        row = {"digest": text_digest(new.snippet), "source": new.snippet}
        connection.execute(self._upsert(snippets, row, keep=True))

    def watch(self, id_or_name: str, *, viewer: Viewer = ADMIN) -> Watch:
        """Return a watch; a name means the active one.

        Raises:
            NotFound: there is none, or this viewer may not see it.
        """
        named = and_(watches.c.name == id_or_name, watches.c.removed_at.is_(None))
        query = _visible(select(watches), viewer).where(or_(watches.c.id == id_or_name, named))
        with self._reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"there is no watch {id_or_name}; list them with: tfbisect watch list")
        return _watch(row)

    def watches(self, *, viewer: Viewer = ADMIN) -> list[Watch]:
        """Return the active watches that a viewer may see, oldest first."""
        query = _visible(select(watches), viewer).where(watches.c.removed_at.is_(None)).order_by(watches.c.id)
        with self._reading() as connection:
            return [_watch(row) for row in connection.execute(query)]

    def remove_watch(self, id_or_name: str) -> Watch:
        """Remove a watch and return it; its history is kept.

        Raises:
            NotFound: there is none.
        """
        watch = self.watch(id_or_name)
        with self._writing() as connection:
            connection.execute(update(watches).where(watches.c.id == watch.id).values(removed_at=self._now()))
        return watch

    def open_pass(self) -> WatchPass:
        """Return the pass that was interrupted, or a new one."""
        unfinished = select(watch_passes).where(watch_passes.c.finished_at.is_(None)).order_by(watch_passes.c.id)
        with self._writing() as connection:
            row = connection.execute(unfinished).first()
            if row is None:
                fresh = {"id": new_ulid(), "started_at": self._now()}
                connection.execute(insert(watch_passes).values(**fresh))
                row = connection.execute(select(watch_passes).where(watch_passes.c.id == fresh["id"])).one()
            return WatchPass(**row._mapping)

    def finish_pass(self, pass_id: str, summary: Any) -> None:
        closing = update(watch_passes).where(watch_passes.c.id == pass_id)
        with self._writing() as connection:
            connection.execute(closing.values(finished_at=self._now(), summary=summary))

    def last_pass(self) -> WatchPass | None:
        """Return the newest pass, finished or not."""
        with self._reading() as connection:
            row = connection.execute(select(watch_passes).order_by(watch_passes.c.id.desc()).limit(1)).first()
        return None if row is None else WatchPass(**row._mapping)

    def add_watch_run(self, new: NewWatchRun, messages: Iterable[NewDelivery] = ()) -> WatchRun:
        """Store the result of a pass with its messages, all or nothing.

        Where this pass kept it before, nothing is added and what is there is returned: no message goes out twice.
        """
        values = {entry.name: getattr(new, entry.name) for entry in fields(NewWatchRun)}
        row = {"id": new_ulid(), "finished_at": self._now(), **values}
        row |= {name: null() for name in ("verdict", "difference") if row[name] is None}
        with self._writing() as connection:
            # Not rowcount: PostgreSQL's driver does not tell it of an INSERT.
            if connection.scalar(self._insert_unless_there(watch_runs, row).returning(watch_runs.c.id)) is not None:
                for message in messages:
                    connection.execute(insert(deliveries).values(**self._delivery(str(row["id"]), message)))
            mine = and_(*(watch_runs.c[name] == values[name] for name in ("pass_id", "watch_id", "package")))
            return _run(connection.execute(select(watch_runs).where(mine)).one())

    def _delivery(self, run_id: str, message: NewDelivery) -> dict[str, Any]:
        return {
            "id": new_ulid(),
            "watch_run_id": run_id,
            "channel": message.channel,
            "target": message.target,
            "payload": dict(message.payload),
            "status": "pending",
            "attempts": 0,
            "created_at": self._now(),
            "next_attempt_at": self._now(),
        }

    def watch_of_run(self, run_id: str) -> Watch:
        """Return the watch that a night belongs to.

        Raises:
            NotFound: there is no such night.
        """
        query = select(watches).join(watch_runs, watch_runs.c.watch_id == watches.c.id).where(watch_runs.c.id == run_id)
        with self._reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"no night {run_id}")
        return _watch(row)

    def runs_of_pass(self, pass_id: str) -> list[WatchRun]:
        """Return what a pass found so far."""
        query = select(watch_runs).where(watch_runs.c.pass_id == pass_id).order_by(watch_runs.c.id)
        with self._reading() as connection:
            return [_run(row) for row in connection.execute(query)]

    def recent_runs(self, watch_id: str, package: str, limit: int) -> list[WatchRun]:
        """Return the last nights of one package of a watch, newest first."""
        mine = and_(watch_runs.c.watch_id == watch_id, watch_runs.c.package == package)
        query = select(watch_runs).where(mine).order_by(watch_runs.c.id.desc()).limit(limit)
        with self._reading() as connection:
            return [_run(row) for row in connection.execute(query)]

    def last_verdict_run(self, watch_id: str, package: str, *, before: str | None = None) -> WatchRun | None:
        """Return the newest night with a verdict, before the night of this id if one is given."""
        mine = and_(watch_runs.c.watch_id == watch_id, watch_runs.c.package == package)
        told = and_(mine, watch_runs.c.verdict.is_not(None), true() if before is None else watch_runs.c.id < before)
        query = select(watch_runs).where(told).order_by(watch_runs.c.id.desc()).limit(1)
        with self._reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _run(row)

    def history(self, watch_id: str, *, limit: int = 60, cursor: str | None = None) -> Page[WatchRun]:
        """Return a page of a watch's nights, newest first."""
        return self._runs(select(watch_runs).where(watch_runs.c.watch_id == watch_id), limit, cursor)

    def night_statuses(
        self, *, watch_id: str | None = None, limit: int = 5000, viewer: Viewer = EVERYBODY
    ) -> list[NightStatus]:
        """Return how the last nights of active watches ended, newest first, of one watch or of all."""
        columns = (watch_runs.c.id, watch_runs.c.watch_id, watch_runs.c.package, watch_runs.c.status)
        joined = select(*columns, watches.c.blind_after).join(watches, watches.c.id == watch_runs.c.watch_id)
        seen = _visible(joined, viewer)
        chosen = seen.where(watches.c.removed_at.is_(None) if watch_id is None else watch_runs.c.watch_id == watch_id)
        with self._reading() as connection:
            rows = connection.execute(chosen.order_by(watch_runs.c.id.desc()).limit(limit))
            return [NightStatus(**row._mapping) for row in rows]

    def watch_runs(self, ids: Iterable[str]) -> list[WatchRun]:
        """Return nights by their ids, newest first."""
        query = select(watch_runs).where(watch_runs.c.id.in_(list(ids))).order_by(watch_runs.c.id.desc())
        with self._reading() as connection:
            return [_run(row) for row in connection.execute(query)]

    def _runs(self, query: Select[Any], limit: int, cursor: str | None) -> Page[WatchRun]:
        narrowed = query if cursor is None else query.where(watch_runs.c.id < cursor)
        with self._reading() as connection:
            rows = [_run(row) for row in connection.execute(narrowed.order_by(watch_runs.c.id.desc()).limit(limit + 1))]
        return Page(tuple(rows[:limit]), rows[limit - 1].id if len(rows) > limit else None)


def _visible(query: Select[Any], viewer: Viewer) -> Select[Any]:
    mine = false() if viewer.owner is None else watches.c.owner == viewer.owner
    return query if viewer.sees_all else query.where(or_(watches.c.public == true(), mine))


def _watch(row: Row[Any]) -> Watch:
    values = {**row._mapping}
    return Watch(**{**values, "packages": tuple(row.packages), "notify": tuple(row.notify)})


def _run(row: Row[Any]) -> WatchRun:
    return WatchRun(**{entry.name: row._mapping[entry.name] for entry in fields(WatchRun)})
