"""Every test of the store runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from service.storage.schema import upgrade
from service.storage.store import Store
from service.storage.ulid import new_ulid
from tests.storage.cluster import binaries, database_url, postgres_cluster
from tests.storage.worlds import Clock
from tests.stores import put_empty_store


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    if binaries() is None:
        pytest.skip("PostgreSQL's programs are not installed")
    with postgres_cluster() as server:
        _execute(server, "CREATE DATABASE tfb_template")
        upgrade(database_url(server, "tfb_template"))
        yield server


def _execute(server: str, statement: str) -> None:
    with psycopg.connect(database_url(server, "postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> str:
    name = f"tfb_{new_ulid().lower()}"
    _execute(postgres_server, f"CREATE DATABASE {name}")
    return database_url(postgres_server, name)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite3'}"
    return str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the newest tables, nothing in them."""
    if request.param == "sqlite":
        put_empty_store(file := tmp_path / "store.sqlite3")
        return f"sqlite:///{file}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    name = f"tfb_{new_ulid().lower()}"
    _execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE tfb_template")
    return database_url(postgres_server, name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    with Store.open(url, clock=clock) as opened:
        yield opened


@pytest.fixture(scope="module")
def crowded_postgres_url(postgres_server: str) -> str:
    name = f"tfb_{new_ulid().lower()}"
    _execute(postgres_server, f"CREATE DATABASE {name}")
    return database_url(postgres_server, name)
