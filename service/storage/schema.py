"""The version of a database's tables, and migration to another one."""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from service.errors import StoreError
from service.resources import resource_dir
from service.storage.engine import make_engine, place, transaction

# Any number that no other program takes for its own lock: the ASCII codes of "tfbi".
_ADVISORY_LOCK = 0x74666269


@cache  # a program's migrations stay as they are while it runs, and reading them costs 20 ms each time
def newest_version() -> str:
    """Return the version of the tables that this program works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise StoreError("no migrations are installed; install tfbisect again")
    return head


def upgrade(url: str, version: str = "head") -> str:
    """Upgrade a database to a version, by default the newest, and return it; concurrent callers wait.

    Raises:
        StoreError: the database cannot be reached, stays locked, or is newer than this program.
    """
    return _migrate(url, version, back=False)


def downgrade(url: str, version: str) -> str:
    """Downgrade a database to a version ("base": empty) and return it.

    Raises:
        StoreError: as for `upgrade`.
    """
    return _migrate(url, version, back=True)


def _migrate(url: str, version: str, *, back: bool) -> str:
    engine = make_engine(url)
    try:
        with transaction(engine, writes=True) as connection:
            _lock(connection)
            _refuse_unknown(version_of(connection), engine)
            (command.downgrade if back else command.upgrade)(_config(connection), version)
            return version_of(connection) or "base"
    finally:
        engine.dispose()


def _lock(connection: Connection) -> None:
    """Wait for other migrations: SQLite has only one writer, PostgreSQL has advisory locks."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK})


def version_of(connection: Connection) -> str | None:
    """Return the version of the tables in a database; None where there are none of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return MigrationContext.configure(connection).get_current_revision()


def check_version(engine: Engine) -> str | None:
    """Return the version found: the newest, or None for an empty database.

    Raises:
        StoreError: the tables are of another version, which is named with what to do.
    """
    with transaction(engine, writes=False) as connection:
        found = version_of(connection)
    newest = newest_version()
    if found not in {None, newest}:
        _refuse_unknown(found, engine)
        raise StoreError(f"the database has version {found}, this program needs {newest}; run: tfbisect db upgrade")
    return found


def _refuse_unknown(found: str | None, engine: Engine) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(
            f"the database has version {found}, newer than this program ({newest_version()});"
            f" install a newer tfbisect, then: tfbisect db upgrade; {place(engine.url)}"
        )


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(resource_dir("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
