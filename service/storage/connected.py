"""What every part of the store has: an engine, a clock, and transactions."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.schema import Table

from service.clock import Clock, utc_now
from service.storage.engine import insert_unless_there, transaction, upsert


class Connected:
    """A part of the store. Every method is one transaction; several threads and processes may call at once."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._now = clock

    def _reading(self) -> AbstractContextManager[Connection]:
        return transaction(self._engine, writes=False)

    def _writing(self) -> AbstractContextManager[Connection]:
        return transaction(self._engine, writes=True)

    def _insert_unless_there(self, table: Table, values: Any = None) -> Any:
        return insert_unless_there(table, self._engine.dialect.name, values)

    def _upsert(self, table: Table, values: Any, *, keep: bool = False) -> Any:
        return upsert(table, self._engine.dialect.name, values, keep=keep)
