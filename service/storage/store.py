"""The store: the one truth. Engines and coordinators may forget; what is here is enough to go on."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from sqlalchemy import literal, select

from service.clock import Clock, utc_now
from service.storage.bisections import Bisections
from service.storage.cached import CachedValues
from service.storage.claims import Claims
from service.storage.deliveries import Deliveries
from service.storage.documents import Documents
from service.storage.engine import make_engine
from service.storage.events import Events
from service.storage.leases import Leases
from service.storage.listing import Listing
from service.storage.observations import Observations
from service.storage.schema import check_version, upgrade
from service.storage.tokens import Tokens
from service.storage.watches import Watches


class Store(
    Bisections, Claims, Observations, Documents, Events, Listing, Leases, CachedValues, Tokens, Watches, Deliveries
):
    """Everything that tfbisect keeps, on SQLite or PostgreSQL; safe for several threads and processes at once."""

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

    def close(self) -> None:
        self._close_documents()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
