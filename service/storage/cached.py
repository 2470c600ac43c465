"""What the package index said, kept. Losing it costs time and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from service.storage.connected import Connected
from service.storage.json_text import text_digest
from service.storage.tables import cached_values

_LONGEST_KEY = 1000


class CachedValues(Connected):
    """The cache of the store; see service.catalog.cache.Cache."""

    def cached(self, kind: str, key: str) -> tuple[Any, datetime] | None:
        """Return the value and when it was put (UTC), or None."""
        query = select(cached_values.c.value, cached_values.c.put_at).where(
            cached_values.c.kind == kind, cached_values.c.key == _stored_key(key)
        )
        with self._reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.value, row.put_at)

    def put_cached(self, kind: str, key: str, value: Any) -> None:
        """Keep a JSON value, in place of an older one."""
        row = {"kind": kind, "key": _stored_key(key), "value": value, "put_at": self._now()}
        with self._writing() as connection:
            connection.execute(self._upsert(cached_values, row))


def _stored_key(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else text_digest(key)
