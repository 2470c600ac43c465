"""Rendered JSON of finished bisections: a read is one row, found by its key."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Pool, bindparam, null, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from service.errors import StoreError
from service.locks import made_once
from service.storage.connected import Connected
from service.storage.engine import make_engine, place
from service.storage.records import StoredDocument
from service.storage.tables import documents

INDEX_KIBIBYTES = 32 * 1024
"""Room for the index of some hundred thousand documents; a read takes half as long with it."""


class Documents(Connected):
    @property
    def is_local(self) -> bool:
        """Return whether documents are in a local file: then a read takes microseconds and waits for nobody."""
        return self._engine.dialect.name == "sqlite"

    def put_document(self, bisection_id: str, document: StoredDocument) -> bool:
        """Store a rendered answer, replacing an older one; False if its bisection was deleted."""
        row = {"bisection_id": bisection_id, **asdict(document)}
        try:
            with self._writing() as connection:
                connection.execute(self._upsert(documents, row))
        except IntegrityError:
            return False
        return True

    def document(self, bisection_id: str) -> StoredDocument | None:
        """Return the rendered answer of a bisection, or None."""
        return self._found(self._whole, bisection_id)

    def document_tag(self, bisection_id: str) -> StoredDocument | None:
        """Return the same without its body, which is not read."""
        return self._found(self._tag_alone, bisection_id)

    def _found(self, query: str, bisection_id: str) -> StoredDocument | None:
        """Run one of the two queries without SQLAlchemy's layers, which take ten times as long as the database."""
        given = (bisection_id,) if self._engine.dialect.positional else {"id": bisection_id}
        try:
            connection = self._own_pool.connect()
            try:
                cursor = connection.cursor()
                cursor.execute(query, given)
                row = cursor.fetchone()
                cursor.close()
            finally:
                connection.close()
        except (self._engine.dialect.loaded_dbapi.Error, NoConnectionFree) as error:
            raise StoreError(f"the database does not respond: {error}; {place(self._engine.url)}") from error
        if row is None:
            return None
        made_by, public, owner, tag, body = row
        return StoredDocument(made_by, bool(public), owner, tag, body or b"")

    def _close_documents(self) -> None:
        """Close the connections that only documents use."""
        if "_own_pool" in self.__dict__:
            self._own_pool.dispose()

    @made_once
    def _own_pool(self) -> Pool:
        """Return a separate pool: readers never wait for writers, and the index stays in the cache."""
        return make_engine(self._engine.url, cache_kibibytes=INDEX_KIBIBYTES).pool

    @made_once
    def _whole(self) -> str:
        return self._query(documents.c.body)

    @made_once
    def _tag_alone(self) -> str:
        return self._query(null())

    def _query(self, body: ColumnElement[Any]) -> str:
        query = select(documents.c.made_by, documents.c.public, documents.c.owner, documents.c.tag, body)
        return str(query.where(documents.c.bisection_id == bindparam("id")).compile(self._engine))
