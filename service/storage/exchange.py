"""A whole database as JSON Lines, and back: from SQLite to PostgreSQL, the other way, or to a file.

The first line names the format and the version of the tables, then one line per row, tables in an order in which every
row comes after those that it refers to. The last line counts the rows, so that a file that was cut is noticed.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, LargeBinary, Table, insert, literal, select

from service import json_text
from service.bisection.words import counted
from service.errors import BadInput, StoreError
from service.storage.engine import make_engine, transaction
from service.storage.schema import check_version, newest_version, upgrade
from service.storage.tables import UtcDateTime, documents, metadata

FORMAT = "tfbisect/export/1"
_READ_AT_ONCE = 20  # a report may have 256 KiB
_WRITTEN_AT_ONCE = 200
_TRAVELLING = [table for table in metadata.sorted_tables if table is not documents]
"""Rendered answers are not exported: they are made again from the rest."""


def export_lines(url: str) -> Iterator[str]:
    """Yield every row of a database as a line of JSON, from one snapshot.

    Raises:
        StoreError: the database cannot be read, is empty, or is of another version.
    """
    engine = make_engine(url)
    try:
        if check_version(engine) is None:
            raise StoreError("there is nothing to export: the database has no tables")
        yield json_text.dumps({"format": FORMAT, "version": newest_version()})
        counts: Counter[str] = Counter()
        with transaction(engine, writes=False, snapshot=True) as connection:
            for table, row in _rows(connection):
                counts[table.name] += 1
                yield json_text.dumps({"table": table.name, "row": _as_json(table, row)})
        yield json_text.dumps({"end": counts})
    finally:
        engine.dispose()


def _rows(connection: Connection) -> Iterator[tuple[Table, dict[str, Any]]]:
    for table in _TRAVELLING:
        query = select(table).order_by(*table.primary_key)
        for row in connection.execution_options(yield_per=_READ_AT_ONCE).execute(query).mappings():
            yield table, {**row}


def import_lines(url: str, lines: Iterable[str]) -> Mapping[str, int]:
    """Import an export into an empty database, all or nothing, and return the number of rows by table.

    Raises:
        BadInput: not an export, one of another version, or one that was cut.
        StoreError: the database holds something already, or cannot be written.
    """
    rest = iter(lines)
    _check_header(_line(next(rest, "")))
    upgrade(url)
    engine = make_engine(url)
    try:
        with transaction(engine, writes=True) as connection:
            _refuse_unless_empty(connection)
            return _insert_all(connection, map(_line, rest))
    finally:
        engine.dispose()


def _line(text: str) -> Mapping[str, Any]:
    try:
        value = json_text.loads(text)
    except ValueError as error:
        raise BadInput(f"a line is not JSON: {text[:80]!r}; is this the output of `tfbisect db export`?") from error
    if not isinstance(value, Mapping):
        raise BadInput(f"a line is not an object: {text[:80]!r}; is this the output of `tfbisect db export`?")
    return value


def _check_header(header: Mapping[str, Any]) -> None:
    if header.get("format") != FORMAT:
        raise BadInput(f"the format is {header.get('format')}, not {FORMAT}; use the output of `tfbisect db export`")
    if header.get("version") != newest_version():
        raise BadInput(
            f"the export has version {header.get('version')}, this program has {newest_version()};"
            " upgrade that database with `tfbisect db upgrade` and export again"
        )


def _refuse_unless_empty(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        if connection.scalar(select(literal(1)).select_from(table).limit(1)) is not None:
            raise StoreError(f"table {table.name} is not empty; import into a new database")


def _insert_all(connection: Connection, lines: Iterable[Mapping[str, Any]]) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    batch: list[dict[str, Any]] = []
    current: Table | None = None
    for line in chain(lines, [{}]):
        table = _table(line)
        if current is not None and (table is not current or len(batch) == _WRITTEN_AT_ONCE):
            connection.execute(insert(current), batch)
            batch = []
        current = table
        if table is not None:
            counts[table.name] += 1
            batch.append(_from_json(table, line["row"]))
        elif "end" in line:
            _check_counts(counts, line["end"])
            return counts
        else:
            break
    raise BadInput("the export is incomplete: its last line is missing; nothing was imported")


def _table(line: Mapping[str, Any]) -> Table | None:
    name = line.get("table")
    if name is None:
        return None
    if name not in metadata.tables:
        raise BadInput(f"there is no table {name}; use the output of `tfbisect db export`")
    return metadata.tables[name]


def _check_counts(found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    for name in sorted(set(found) | set(expected)):
        if found.get(name, 0) != expected.get(name, 0):
            raise BadInput(
                f"{counted(found.get(name, 0), 'row')} of {name}, but {expected.get(name, 0)} exported; "
                "nothing was imported"
            )


@cache
def _moments(table: Table) -> tuple[str, ...]:
    """Return the columns of moments, which travel in ISO 8601."""
    return tuple(column.name for column in table.c if isinstance(column.type, UtcDateTime))


@cache
def _raw(table: Table) -> tuple[str, ...]:
    """Return the columns of bytes, which travel in Base64."""
    return tuple(column.name for column in table.c if isinstance(column.type, LargeBinary))


def _as_json(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    told = {name: row[name].isoformat() for name in _moments(table) if row[name] is not None}
    return row | told | {name: base64.b64encode(row[name]).decode() for name in _raw(table)}


def _from_json(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    read = {name: datetime.fromisoformat(row[name]) for name in _moments(table) if row.get(name) is not None}
    return row | read | {name: base64.b64decode(row[name]) for name in _raw(table)}
