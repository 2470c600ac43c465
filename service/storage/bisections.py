"""Bisections: created, read, finished, deleted; claims.py says which coordinator runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, and_, delete, func, insert, null, or_, select, true, update
from sqlalchemy.engine import Row

from service.errors import BadInput, NotFound
from service.json_text import digest_of, text_digest
from service.storage.claims import take
from service.storage.connected import Connected
from service.storage.events import append_events
from service.storage.explanations import delete_unused_explanations, explanations_used_by
from service.storage.projects import delete_unused_project, project_used_by, use_project
from service.storage.records import FINISHED, Bisection, Created, Status
from service.storage.search_words import change_points, verdict_terms, word_term, words_of
from service.storage.tables import (
    LONGEST_NAME,
    bisections,
    changes,
    idempotency_keys,
    links,
    observations,
    search_terms,
    snippets,
    watches,
)
from service.storage.ulid import new_ulid

BISECTION_COLUMNS = tuple(bisections.c[name] for name in Bisection.__dataclass_fields__)


def bisection_of(row: Row[Any]) -> Bisection:
    """Read a bisection from a row that holds BISECTION_COLUMNS."""
    return Bisection(**{name: row._mapping[name] for name in Bisection.__dataclass_fields__})


class Bisections(Connected):
    """The bisections of the store."""

    def create_bisection(
        self,
        request: Mapping[str, Any],
        snippet: str,
        *,
        bisection_id: str | None = None,
        public: bool = True,
        owner: str | None = None,
        idempotency_key: str | None = None,
        claimed_by: str | None = None,
        lease_seconds: float = 60.0,
    ) -> Created:
        """Queue a bisection, or return the one that the same Idempotency-Key made before.

        Args:
            request: the request as it was understood, JSON; names at least `package` and `probe`.
            snippet: the source to probe.
            bisection_id: a ULID, by default a new one.
            public: whether everybody may read it.
            owner: id of the token that asked.
            idempotency_key: of this owner; the same key with another request is refused.
            claimed_by: who works it off at once; it is never queued then.
            lease_seconds: how long that claim holds unless renewed.

        Raises:
            BadInput: the key was used for another request.
        """
        new_id = bisection_id or new_ulid()
        with self._writing() as connection:
            if idempotency_key is not None:
                earlier = self._earlier(connection, owner, idempotency_key, request, snippet)
                if earlier is not None:
                    return Created(earlier, is_new=False)
            self._insert_bisection(connection, new_id, request, snippet, public=public, owner=owner)
            if claimed_by is not None:
                take(connection, new_id, claimed_by, self._now(), lease_seconds)
            if idempotency_key is not None:
                self._keep_key(connection, owner, idempotency_key, digest_of([request, snippet]), new_id)
            return Created(_read(connection, new_id), is_new=True)

    def _earlier(
        self, connection: Connection, owner: str | None, key: str, request: Mapping[str, Any], snippet: str
    ) -> Bisection | None:
        query = select(idempotency_keys).where(idempotency_keys.c.owner == (owner or ""), idempotency_keys.c.key == key)
        if connection.dialect.name == "postgresql":  # SQLite has one writer at a time, and that is us
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{owner}\n{key}", 0))))
        row = connection.execute(query).first()
        if row is None:
            return None
        if row.request_digest != digest_of([request, snippet]):
            raise BadInput(
                f"Idempotency-Key {key} was used for another request; use a new key.", field="Idempotency-Key"
            )
        return _read(connection, row.bisection_id)

    def _insert_bisection(
        self,
        connection: Connection,
        new_id: str,
        request: Mapping[str, Any],
        snippet: str,
        *,
        public: bool,
        owner: str | None,
    ) -> None:
        digest = text_digest(snippet)
        connection.execute(self._upsert(snippets, {"digest": digest, "source": snippet}, keep=True))
        connection.execute(
            insert(bisections).values(
                id=new_id,
                created_at=self._now(),
                status="queued",
                package=str(request["package"]),
                probe=str(request["probe"]),
                snippet_digest=digest,
                request=dict(request),
                public=public,
                owner=owner,
                cancel_requested=False,
                last_event=0,
                attempts=0,
            )
        )
        if request.get("project"):
            use_project(connection, new_id, str(request["project"]))
        add_terms(connection, new_id, map(word_term, words_of(snippet)))

    def _keep_key(self, connection: Connection, owner: str | None, key: str, digest: str, bisection_id: str) -> None:
        connection.execute(
            insert(idempotency_keys).values(
                owner=owner or "",
                key=key,
                request_digest=digest,
                bisection_id=bisection_id,
                created_at=self._now(),
            )
        )

    def bisection(self, bisection_id: str) -> Bisection:
        """Return a bisection.

        Raises:
            NotFound: there is none of this id.
        """
        with self._reading() as connection:
            return _read(connection, bisection_id)

    def snippet(self, digest: str) -> str:
        """Return the source of a snippet.

        Raises:
            NotFound: there is none of this digest.
        """
        with self._reading() as connection:
            source = connection.scalar(select(snippets.c.source).where(snippets.c.digest == digest))
        if source is None:
            raise NotFound(f"no snippet {digest}")
        return str(source)

    def open_counts(self) -> dict[str, int]:
        query = select(bisections.c.status, func.count().label("number")).where(
            bisections.c.status.in_(["queued", "running"])
        )
        with self._reading() as connection:
            found = {row.status: row.number for row in connection.execute(query.group_by(bisections.c.status))}
        return {"queued": found.get("queued", 0), "running": found.get("running", 0)}

    def place_in_queue(self, bisection_id: str) -> int:
        """Return how many bisections are queued up to this one, itself included; 0 where it is not queued.

        The fair order of the workers may let one that came later and has fewer runs go first.
        """
        queued = select(func.count()).where(bisections.c.status == "queued", bisections.c.id <= bisection_id)
        mine = select(bisections.c.status).where(bisections.c.id == bisection_id)
        with self._reading() as connection:
            return int(connection.scalar(queued) or 0) if connection.scalar(mine) == "queued" else 0

    def request_cancel(self, bisection_id: str) -> Bisection:
        """Cancel: a queued bisection at once, a running one by its coordinator.

        Raises:
            NotFound: there is none of this id.
        """
        with self._writing() as connection:
            bisection = _read(connection, bisection_id, lock=True)
            mine = update(bisections).where(bisections.c.id == bisection_id)
            if bisection.status == "queued":
                connection.execute(mine.values(status="cancelled", cancel_requested=True, finished_at=self._now()))
                append_events(connection, bisection_id, [("end", {"status": "cancelled"})], self._now())
            elif bisection.status == "running":
                connection.execute(mine.values(cancel_requested=True))
            return _read(connection, bisection_id)

    def finish(
        self,
        bisection_id: str,
        status: Status,
        verdict: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        *,
        owner: str | None = None,
        events: Iterable[tuple[str, Mapping[str, Any]]] = (),
    ) -> bool:
        """Close a bisection with its verdict or error, its changes and its last events, all or nothing.

        Args:
            bisection_id: which one.
            status: done, failed or cancelled.
            verdict: as CONTRACT fixes it.
            error: a problem, JSON.
            owner: holder of the claim; a coordinator that lost its claim changes nothing. None: no claim is needed.
            events: (kind, payload), appended in this order.

        Returns:
            False where it was closed before, deleted, or claimed by somebody else.
        """
        if status not in FINISHED:
            raise ValueError(f"{status} is not an end; one of {sorted(FINISHED)}")
        mine: ColumnElement[bool] = true() if owner is None else bisections.c.lease_owner == owner
        still_open = and_(bisections.c.id == bisection_id, bisections.c.status.not_in(FINISHED), mine)
        values = {
            "status": status,
            "finished_at": self._now(),
            "verdict": _json(verdict),
            "error": _json(error),
            "points": change_points(verdict or {}),
        }
        with self._writing() as connection:
            if connection.execute(update(bisections).where(still_open).values(**values, **_NO_LEASE)).rowcount != 1:
                return False
            _keep_findings(connection, bisection_id, verdict or {})
            append_events(connection, bisection_id, events, self._now())
            return True

    def delete_bisection(self, bisection_id: str) -> None:
        """Delete a bisection, with the observations, causes, snippet and project that nothing else uses.

        Raises:
            NotFound: there is none of this id.
        """
        with self._writing() as connection:
            digest = _read(connection, bisection_id, lock=True).snippet_digest
            project = project_used_by(connection, bisection_id)
            mine = select(links.c.observation_id).distinct().where(links.c.bisection_id == bisection_id)
            # In one order for all: two that delete at once must not wait for each other.
            used = list(connection.scalars(mine.order_by(links.c.observation_id)))
            explained = explanations_used_by(connection, bisection_id)
            connection.execute(delete(bisections).where(bisections.c.id == bisection_id))
            for observation_id in used:
                _lock(connection, observations.c.id, observation_id)
                linked = select(links.c.observation_id).where(links.c.observation_id == observation_id).exists()
                connection.execute(delete(observations).where(observations.c.id == observation_id, ~linked))
            delete_unused_explanations(connection, explained)
            _delete_unused_snippet(connection, digest)
            if project is not None:
                delete_unused_project(connection, project)


_NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_expires_at": None}


def _read(connection: Connection, bisection_id: str, *, lock: bool = False) -> Bisection:
    query = select(*BISECTION_COLUMNS).where(bisections.c.id == bisection_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound(f"there is no bisection {bisection_id}; `tfbisect serve` lists them at /bisections")
    return bisection_of(row)


def _json(value: Mapping[str, Any] | None) -> Any:
    return null() if value is None else dict(value)


def _keep_findings(connection: Connection, bisection_id: str, verdict: Mapping[str, Any]) -> None:
    found = [
        {
            "bisection_id": bisection_id,
            "position": position,
            "package": str(verdict.get("package", "")),
            **{name: str(change[name])[:LONGEST_NAME] for name in ("line", "kind", "before", "after", "old", "new")},
        }
        for position, change in enumerate(verdict.get("changes", ()))
        # What comes from another package is no change of this release.
        if (change.get("cause") or {}).get("axis") not in {"environment", "interpreter"}
    ]
    if found:
        connection.execute(insert(changes), found)
    add_terms(connection, bisection_id, verdict_terms(verdict))


def add_terms(connection: Connection, bisection_id: str, terms: Iterable[str]) -> None:
    rows = [{"term": term, "bisection_id": bisection_id} for term in sorted(set(terms))]
    if rows:
        connection.execute(insert(search_terms), rows)


def _lock(connection: Connection, column: Column[str], value: str) -> None:
    """Lock a row against new references, after waiting for those in progress: the next query about it stays true."""
    connection.execute(select(column).where(column == value).with_for_update())


def _delete_unused_snippet(connection: Connection, digest: str) -> None:
    _lock(connection, snippets.c.digest, digest)
    used = or_(
        select(bisections.c.id).where(bisections.c.snippet_digest == digest).exists(),
        select(watches.c.id).where(watches.c.snippet_digest == digest).exists(),
    )
    connection.execute(delete(snippets).where(snippets.c.digest == digest, ~used))
