"""Connections to the database: SQLite made safe for several processes, or PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.schema import Table, UniqueConstraint

from service import json_text
from service.errors import StoreDamaged, StoreError
from service.secret_urls import SecretUrl

_BUSY_SECONDS = 30
CACHE_KIBIBYTES = 2000
"""SQLite's own default."""
_LOCK_TIMEOUT_MILLISECONDS = 30_000
_CONNECT_SECONDS = 10
_READ_ONLY = "25006"
"""PostgreSQL's code of a server that takes no writes: it has become a standby, or its disk is full."""
_DAMAGED = ("malformed", "not a database", "file is encrypted")
"""SQLite's messages about a damaged file (SQLITE_CORRUPT and SQLITE_NOTADB)."""


def parse_url(url: str | URL) -> URL:
    """Read a database URL; `postgresql://` and `postgres://` mean the psycopg driver.

    Raises:
        StoreError: not a URL, or of a database that is not supported.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(
            f"{SecretUrl(str(url))} is not a database URL; write sqlite:////path/file or postgresql://…"
        ) from error
    if parsed.drivername in {"postgres", "postgresql"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(f"{parsed.drivername} is not supported; use sqlite:////path/file or postgresql://…")
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise StoreError("a database in memory is lost when the process ends; use a file: sqlite:////path/file")
    return parsed


def make_engine(url: str | URL, *, cache_kibibytes: int = CACHE_KIBIBYTES) -> Engine:
    """Return an engine whose write transactions take their lock at the start, so that none fails half-way.

    Args:
        url: of the database.
        cache_kibibytes: what each SQLite connection may keep in memory; PostgreSQL has its own.
    """
    parsed = parse_url(url)
    try:
        return (
            _sqlite_engine(parsed, cache_kibibytes)
            if parsed.get_backend_name() == "sqlite"
            else _postgres_engine(parsed)
        )
    except ArgumentError as error:
        raise StoreError(f"the database cannot be opened: {error}; {place(parsed)}") from error
    except (NoSuchModuleError, ImportError) as error:
        raise StoreError(f"no driver for {parsed.drivername}; use postgresql:// or sqlite:///") from error


def _postgres_engine(url: URL) -> Engine:
    options = f"-c timezone=UTC -c lock_timeout={_LOCK_TIMEOUT_MILLISECONDS}"
    # A server that vanishes must not block a thread for minutes.
    arguments = {"options": options, "connect_timeout": _CONNECT_SECONDS}
    return create_engine(url, pool_pre_ping=True, connect_args=arguments, **_JSON)


def _sqlite_engine(url: URL, cache_kibibytes: int) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, **_JSON)
    event.listen(engine, "connect", lambda connection, _record: _set_up_sqlite(connection, cache_kibibytes))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


_JSON: dict[str, Any] = {"json_serializer": json_text.dumps, "json_deserializer": json_text.loads}


def _set_up_sqlite(connection: Any, cache_kibibytes: int) -> None:
    connection.isolation_level = None  # `_begin_sqlite` sends BEGIN; the driver's would not make migrations atomic
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # A killed process loses nothing; a power failure may lose the last writes, which are measured again.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute(f"PRAGMA cache_size=-{cache_kibibytes}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("tfbisect_writes", False)
    # A transaction that starts to write in the middle cannot wait for the lock; one that writes from the start can.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def insert_unless_there(table: Table, dialect_name: str, values: Any = None) -> Any:
    """Return an INSERT that keeps an existing row with the same unique columns; without values, for many rows."""
    insert = postgresql.insert if dialect_name == "postgresql" else sqlite.insert
    into = insert(table) if values is None else insert(table).values(values)
    return into.on_conflict_do_nothing()


def upsert(table: Table, dialect_name: str, values: Any, *, keep: bool = False) -> Any:
    """Return an INSERT that replaces the row with the same key, or with `keep` leaves it unchanged.

    Two that write one row at once wait for each other, and so does whoever is deleting it; a DELETE followed by an
    INSERT does not on PostgreSQL, where the second of two fails. RETURNING gives the row that stands there in the end.
    """
    insert = postgresql.insert if dialect_name == "postgresql" else sqlite.insert
    into = insert(table).values(values)
    key = _conflicting_columns(table)
    others = [column.name for column in table.c if column.name not in key and not column.primary_key]
    # Sets a column to its own value: the row is locked and returned, and readers of its key are not blocked.
    changed = {others[0]: table.c[others[0]]} if keep else {name: into.excluded[name] for name in others}
    return into.on_conflict_do_update(index_elements=key, set_=changed)


def _conflicting_columns(table: Table) -> list[str]:
    """Return the columns that identify a row: those of a unique constraint, else the primary key."""
    unique = next((one for one in table.constraints if isinstance(one, UniqueConstraint)), table.primary_key)
    return [column.name for column in unique.columns]


@contextmanager
def transaction(engine: Engine, *, writes: bool, snapshot: bool = False) -> Iterator[Connection]:
    """Open one transaction, committed at the end.

    Args:
        engine: from `make_engine`.
        writes: take the writer's lock at once.
        snapshot: every statement sees the database as of one moment, as SQLite always does.

    Raises:
        StoreError: the database cannot be reached, stays locked, or has no room; a moment later it may do.
        StoreDamaged: its file cannot be read any more.
    """
    try:
        with engine.connect() as connection:
            connection.execution_options(tfbisect_writes=writes)
            if snapshot and engine.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection
    except NoConnectionFree as error:
        raise StoreError(f"every connection to the database is in use; {place(engine.url)}") from error
    except DBAPIError as error:
        if (told := _trouble(error, engine.url)) is None:
            raise
        raise told from error


def _trouble(error: DBAPIError, url: URL) -> StoreError | None:
    """Return the error of a database that does not respond; None if it refused the statement itself."""
    if url.get_backend_name() == "sqlite" and isinstance(error, DatabaseError) and _is_damaged(error):
        return StoreDamaged(
            f"the database file {url.database} is damaged ({error.orig}). Stop tfbisect, move the file aside together "
            f"with its -wal and -shm, restore {_newest_backup(Path(str(url.database)))} in its place, and start again; "
            "docs/database.md says how."
        )
    if isinstance(error, OperationalError) or getattr(error.orig, "sqlstate", None) == _READ_ONLY:
        return StoreError(f"the database does not answer: {error.orig}{_read_only_folder(url)}; {place(url)}")
    if error.connection_invalidated:
        return StoreError(f"the database went away: {error.orig}; {place(url)}")
    return None


def _read_only_folder(url: URL) -> str:
    """Return a hint if SQLite's folder is read-only: SQLite needs further files next to the database."""
    folder = Path(str(url.database)).parent
    if url.get_backend_name() != "sqlite" or os.access(folder, os.W_OK):
        return ""
    return f" (the folder {folder} is read-only for tfbisect; make it writable, or set TFBISECT_DATA_DIR)"


def _newest_backup(file: Path) -> str:
    """Return the newest backup next to a database, named as in docs/database.md."""
    beside = [path for end in (".sqlite3", ".jsonl.gz") for path in file.parent.glob(f"{file.stem}-*{end}")]
    newest = max(beside, key=lambda path: path.stat().st_mtime, default=None)
    return f"your newest backup (none named {file.stem}-DATE lies beside it)" if newest is None else f"{newest}"


def _is_damaged(error: DatabaseError) -> bool:
    return any(words in str(error.orig) for words in _DAMAGED)


def place(url: URL) -> str:
    """Return where the database is, without its password."""
    return f"check TFBISECT_DATABASE_URL, now {SecretUrl(url.render_as_string(hide_password=False))}"
