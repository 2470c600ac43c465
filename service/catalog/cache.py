"""The port to a cache of what the index said. Losing it costs time and nothing else."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Protocol


class Cache(Protocol):
    """Keeps JSON values by kind and key; the store implements it."""

    def cached(self, kind: str, key: str) -> tuple[Any, datetime] | None:
        """Return the value and when it was put (UTC), or None."""

    def put_cached(self, kind: str, key: str, value: Any) -> None:
        """Keep a JSON value, in place of an older one."""

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Hold a name while the block runs; whoever else asks for it waits, in any process that shares the cache."""


class PassingCache:
    """A cache that lasts as long as its process: a worker of a scheduler has no database."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], tuple[Any, datetime]] = {}
        self._alone: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def cached(self, kind: str, key: str) -> tuple[Any, datetime] | None:
        return self._values.get((kind, key))

    def put_cached(self, kind: str, key: str, value: Any) -> None:
        self._values[kind, key] = (value, datetime.now(UTC))

    def alone(self, name: str) -> AbstractContextManager[Any]:
        return self._alone[name]
