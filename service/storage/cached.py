"""Cached answers of the package index. Losing them costs only time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import OperationalError

from service.json_text import text_digest
from service.locks import held
from service.storage.connected import Connected
from service.storage.engine import make_engine, transaction
from service.storage.tables import cached_values

_LONGEST_KEY = 1000
_LOCKS = 64
_WAITING_KIND = "warm containers"
# Any number that no other program takes: the ASCII codes of "tfbc".
_LOCK_SPACE = 0x74666263


class CachedValues(Connected):
    """The cache of the store; see service.catalog.cache.Cache."""

    _alone = tuple(threading.Lock() for _ in range(_LOCKS))

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

    def note_waiting(self, owner: str, containers: int) -> None:
        """Note how many containers wait in a coordinator, in place of what it noted before."""
        long_ago = self._now() - timedelta(days=1)
        row = {"kind": _WAITING_KIND, "key": _stored_key(owner), "value": containers, "put_at": self._now()}
        with self._writing() as connection:
            connection.execute(self._upsert(cached_values, row))
            is_over = (cached_values.c.kind == _WAITING_KIND) & (cached_values.c.put_at < long_ago)
            connection.execute(delete(cached_values).where(is_over))

    def waiting_noted(self, seconds: float) -> int:
        """Return how many containers wait in all coordinators together that noted it in the last seconds."""
        query = select(cached_values.c.value).where(
            cached_values.c.kind == _WAITING_KIND, cached_values.c.put_at >= self._now() - timedelta(seconds=seconds)
        )
        with self._reading() as connection:
            return sum(int(row.value) for row in connection.execute(query))

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold a name while the block runs; other threads and processes of this database wait.

        A name shares its lock with some others, so that whatever is asked for, there are few. One holder never asks
        for a second name.
        """
        place = int(text_digest(name)[-8:], 16) % _LOCKS
        # Threads wait here, without a connection each.
        with self._alone[place]:
            if self._engine.dialect.name == "postgresql":
                with self._held_in_postgres(place):
                    yield
            else:
                with held(Path(str(self._engine.url.database)).parent / "locks" / f"cache-{place}"):
                    yield

    @contextmanager
    def _held_in_postgres(self, place: int) -> Iterator[None]:
        """Hold an advisory lock; go on without it after the lock timeout, since it only saves work."""
        # Not from the pool: the block needs connections too.
        engine = make_engine(self._engine.url)
        try:
            with transaction(engine, writes=False) as connection:
                with suppress(OperationalError):
                    connection.execute(select(func.pg_advisory_xact_lock(_LOCK_SPACE, place)))
                yield
        finally:
            engine.dispose()


def _stored_key(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else text_digest(key)
