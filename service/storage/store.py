"""The store: the only state that counts. Engines and coordinators can continue from it alone."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from sqlalchemy import Engine, literal, select

from service.clock import Clock, utc_now
from service.errors import StoreError
from service.storage.bisections import Bisections
from service.storage.cached import CachedValues
from service.storage.claims import Claims
from service.storage.deliveries import Deliveries
from service.storage.documents import Documents
from service.storage.engine import make_engine
from service.storage.events import Events
from service.storage.explanations import Explanations
from service.storage.leases import Leases
from service.storage.listing import Listing
from service.storage.observations import Observations
from service.storage.projects import Projects
from service.storage.schema import check_version, upgrade
from service.storage.tokens import Tokens
from service.storage.watches import Watches

WRITTEN_EVERY_SECONDS = 10.0
"""How long after a successful write the database counts as writable."""
_TRIAL_KIND = "trial"


class Store(
    Bisections,
    Claims,
    Observations,
    Projects,
    Documents,
    Explanations,
    Events,
    Listing,
    Leases,
    CachedValues,
    Tokens,
    Watches,
    Deliveries,
):
    """Everything that tfbisect keeps, on SQLite or PostgreSQL; safe for several threads and processes at once."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        super().__init__(engine, clock)
        self._trial = threading.Lock()
        self._written_at = float("-inf")
        self._refused: tuple[float, str] | None = None

    @classmethod
    def open(cls, url: str, *, clock: Clock = utc_now) -> Self:
        """Open a database; an empty one gets its tables.

        Raises:
            StoreError: it cannot be reached, or its tables are of another version.
        """
        engine = make_engine(url)
        try:
            if check_version(engine) is None:
                upgrade(url)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, clock)

    def ping(self) -> None:
        """Do nothing if the database answers.

        Raises:
            StoreError: it does not.
        """
        with self._reading() as connection:
            connection.execute(select(literal(1)))

    def check_writes(self) -> None:
        """Do nothing if the database takes writes; tested with one small row, at most every 10 seconds while it works.

        A database that is read-only, locked or without room still answers whoever only reads.

        Raises:
            StoreError: it does not.
        """
        asked_at = time.monotonic()  # not the store's clock: it may be set back
        with self._trial:
            if asked_at - self._written_at < WRITTEN_EVERY_SECONDS:
                return
            # Callers that arrive while another one waits for a lock share its answer.
            if self._refused is not None and asked_at < self._refused[0]:
                raise StoreError(self._refused[1])
            try:
                self.put_cached(_TRIAL_KIND, "", None)
            except StoreError as error:
                self._refused = (time.monotonic(), error.message)
                raise
            self._written_at = time.monotonic()

    def close(self) -> None:
        self._close_documents()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
