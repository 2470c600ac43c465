"""Observations: facts, appended once and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from service.bisection.outcomes import RunReport
from service.errors import NotFound
from service.json_text import digest_of
from service.storage.connected import Connected
from service.storage.records import (
    LinkedObservation,
    ObservationIdentity,
    StoredObservation,
    report_as_json,
    report_from_json,
)
from service.storage.tables import bisections, links, observations
from service.storage.ulid import new_ulid

_NO_ANSWERS = frozenset({"lost", "timed-out"})
# Below SQLite's limit on variables in one statement, in every build of it.
_KEYS_AT_ONCE = 500


def observation_key(identity: ObservationIdentity) -> str:
    """Return the key under which answers are shared: a digest of everything that the answer depends on."""
    return digest_of(asdict(identity))


class Observations(Connected):
    def observations(self, keys: Sequence[str]) -> dict[str, list[StoredObservation]]:
        """Return what is known, by key and ordered by repeat; a key with nothing known is left out."""
        found: dict[str, list[StoredObservation]] = {}
        with self._reading() as connection:
            for some in _in_batches(keys):
                query = select(observations).where(observations.c.key.in_(some)).order_by(observations.c.repeat)
                for row in connection.execute(query):
                    found.setdefault(row.key, []).append(observation_of(row))
        return found

    def observation(self, key: str, repeat: int) -> StoredObservation | None:
        with self._reading() as connection:
            return _read(connection, key, repeat)

    def measured_releases(self, package: str, releases: Sequence[str], snippet: str) -> frozenset[str]:
        """Return the releases of a package that have a stored observation of a snippet, given its digest."""
        found: set[str] = set()
        with self._reading() as connection:
            for some in _in_batches(releases):
                query = (
                    select(observations.c.release)
                    .distinct()
                    .where(
                        observations.c.package == package,
                        observations.c.release.in_(some),
                        observations.c.snippet == snippet,
                    )
                )
                found.update(row.release for row in connection.execute(query))
        return frozenset(found)

    def asked_releases(self, package: str, newest: int = 200) -> dict[str, int]:
        """Return how many of a package's last bisections rest on a run of each release."""
        last = (
            select(bisections.c.id)
            .where(bisections.c.package == package)
            .order_by(bisections.c.id.desc())
            .limit(newest)
        )
        query = (
            select(observations.c.release, func.count(links.c.bisection_id.distinct()))
            .join(links, links.c.observation_id == observations.c.id)
            .where(links.c.bisection_id.in_(last))
            .group_by(observations.c.release)
        )
        with self._reading() as connection:
            return {str(release): int(count) for release, count in connection.execute(query)}

    def append_observation(
        self,
        identity: ObservationIdentity,
        repeat: int | None,
        report: RunReport,
        *,
        observation_id: str | None = None,
    ) -> StoredObservation:
        """Store an observation and return it; if this repeat is stored already, return the stored one.

        Args:
            identity: what it depends on.
            repeat: which one of its kind it is; None: it comes after all that are stored.
            report: what was seen.
            observation_id: a ULID, by default a new one; without a repeat it is what keeps a run from being kept twice.

        Raises:
            ValueError: the run was lost or timed out. That is no answer; keep it as an event.
        """
        if report.ending in _NO_ANSWERS:
            raise ValueError(f"a run that ended as {report.ending} is not an observation; append an event")
        key, own = observation_key(identity), observation_id or new_ulid()
        row = {
            "id": own,
            "key": key,
            "repeat": repeat,
            "package": identity.package,
            "release": identity.release,
            "snippet": identity.snippet,
            "created_at": self._now(),
            "identity": asdict(identity),
            "report": report_as_json(report),
        }
        with self._writing() as connection:
            if repeat is None:
                kept_before = connection.execute(select(observations).where(observations.c.id == own)).first()
                if kept_before is not None:
                    return observation_of(kept_before)
                row["repeat"] = _next_repeat(connection, key)
            kept = self._upsert(observations, row, keep=True).returning(observations)
            return observation_of(connection.execute(kept).one())

    def link(self, bisection_id: str, observation_id: str, variant: str = "", *, reused: bool = False) -> None:
        """Link an observation to a bisection; a second call changes nothing.

        Raises:
            NotFound: one of the two was deleted.
        """
        self.link_all(bisection_id, [(observation_id, variant, reused)])

    def link_all(self, bisection_id: str, used: Iterable[tuple[str, str, bool]]) -> None:
        """Link observations to a bisection, each with its variant and whether it was reused; all or none.

        Raises:
            NotFound: one of them, or the bisection, was deleted.
        """
        asked = list(used)
        rows = [
            {"bisection_id": bisection_id, "observation_id": name, "variant": variant, "reused": reused}
            for name, variant, reused in asked
        ]
        if not rows:
            return
        try:
            with self._writing() as connection:
                connection.execute(self._insert_unless_there(links), rows)
        except IntegrityError as error:
            named = ", ".join(name for name, _, _ in asked[:3])
            raise NotFound(f"no bisection {bisection_id} or no observation {named}; deleted?") from error

    def linked_observations(self, bisection_id: str) -> list[LinkedObservation]:
        """Return what a bisection uses, in the order in which it was observed."""
        joined = links.join(observations, observations.c.id == links.c.observation_id)
        query = select(observations, links.c.variant, links.c.reused).select_from(joined)
        with self._reading() as connection:
            rows = connection.execute(query.where(links.c.bisection_id == bisection_id).order_by(observations.c.id))
            return [LinkedObservation(observation_of(row), row.variant, row.reused) for row in rows]


def observation_of(row: Row[Any]) -> StoredObservation:
    return StoredObservation(
        id=row.id,
        key=row.key,
        repeat=row.repeat,
        identity=ObservationIdentity(**row.identity),
        created_at=row.created_at,
        report=report_from_json(row.report),
    )


def _next_repeat(connection: Connection, key: str) -> int:
    """Return how many observations a key has; no other transaction gets the same number before this one ends."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time, and that is us
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
    last = connection.scalar(select(func.max(observations.c.repeat)).where(observations.c.key == key))
    return 0 if last is None else int(last) + 1


def _read(connection: Connection, key: str, repeat: int) -> StoredObservation | None:
    query = select(observations).where(observations.c.key == key, observations.c.repeat == repeat)
    row = connection.execute(query).first()
    return None if row is None else observation_of(row)


def _in_batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    distinct = list(dict.fromkeys(names))
    for start in range(0, len(distinct), _KEYS_AT_ONCE):
        yield distinct[start : start + _KEYS_AT_ONCE]
