from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from service.errors import StoreError
from service.storage import schema
from service.storage.engine import make_engine, transaction
from service.storage.records import Claim
from service.storage.schema import check_version, downgrade, newest_version, upgrade
from service.storage.store import Store
from service.storage.tables import metadata, observations, watch_runs
from tests.storage.worlds import IDENTITY, REPORT, REQUEST, SNIPPET, identity, live_a_night, verdict


def test_migrations_make_the_tables_that_the_program_works_with(url: str) -> None:
    engine = make_engine(url)
    with transaction(engine, writes=False) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        for table in metadata.sorted_tables:
            found = inspect(connection).get_indexes(table.name)
            assert {index.name for index in table.indexes} <= {index["name"] for index in found}
    engine.dispose()


def fill(url: str) -> str:
    with Store.open(url) as store:
        one = store.create_bisection(REQUEST, SNIPPET, idempotency_key="k").bisection.id
        store.link(one, store.append_observation(IDENTITY, 0, REPORT).id)
        store.claim_one(one, "a", 60)
        store.record(Claim(one, "a"), happened=[("progress", {"runs_done": 1})])
        store.put_cached("project", "tensorflow", {"files": []})
        store.create_token("ci", ["read"])
        store.finish(one, "done", verdict(("introduced", "mainline", "1.11.0")))
        live_a_night(store, one)
        return one


def test_migrations_go_down_and_up_with_data_in_the_tables(url: str) -> None:
    one = fill(url)
    assert downgrade(url, "0001") == "0001"
    with pytest.raises(StoreError, match="tfbisect db upgrade"):
        Store.open(url)
    assert upgrade(url) == newest_version()
    with Store.open(url) as store:
        assert store.bisection(one).status == "done"
        assert store.linked_observations(one)[0].observation.report == REPORT
        # Version 0001 had no place for these.
        assert (store.tokens(), store.watches()) == ([], [])


def test_what_was_observed_before_is_found_by_its_snippet_after_the_upgrade(url: str) -> None:
    with Store.open(url) as store:
        for number in range(2100):  # more than are filled in at once
            store.append_observation(identity(f"1.{number}.0", parameters={"pattern": "a\0b"}), 0, REPORT)
    downgrade(url, "0004")
    upgrade(url)
    with Store.open(url) as store:
        asked = [f"1.{number}.0" for number in range(2200)]
        assert store.measured_releases("tensorflow", asked, IDENTITY.snippet) == set(asked[:2100])


def test_migrations_go_down_to_nothing_and_up_again(url: str) -> None:
    fill(url)
    assert downgrade(url, "base") == "base"
    with Store.open(url) as store:
        assert store.bisections().rows == ()


def test_an_empty_database_gets_its_tables_when_it_is_opened(empty_url: str) -> None:
    with Store.open(empty_url) as store:
        store.ping()
    engine = make_engine(empty_url)
    assert check_version(engine) == newest_version()
    engine.dispose()


def test_a_database_newer_than_the_program_is_left_alone(url: str) -> None:
    engine = make_engine(url)
    with transaction(engine, writes=True) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for act in (Store.open, upgrade):
        act_on: Callable[[str], object] = act
        with pytest.raises(StoreError, match="install a newer tfbisect"):
            act_on(url)


def test_a_migration_that_fails_leaves_the_tables_as_they_were(empty_url: str) -> None:
    upgrade(empty_url, "0001")
    engine = make_engine(empty_url)
    with transaction(engine, writes=True) as connection:
        connection.execute(text("CREATE TABLE watch_runs (id INTEGER)"))  # in the way of 0002, after its first tables
    with pytest.raises(StoreError if "sqlite" in empty_url else Exception, match="watch_runs"):
        upgrade(empty_url)
    with transaction(engine, writes=False) as connection:
        assert not inspect(connection).has_table("tokens")
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0001"
    engine.dispose()


def test_processes_that_upgrade_at_once_wait_for_each_other(empty_url: str) -> None:
    code = "import sys; from service.storage.schema import upgrade; print(upgrade(sys.argv[1]))"
    started = [
        subprocess.Popen([sys.executable, "-c", code, empty_url], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [process.communicate()[0].strip() for process in started] == [newest_version()] * 4


@pytest.mark.postgres
def test_a_migration_does_not_wait_for_ever_for_another(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.storage.engine._LOCK_TIMEOUT_MILLISECONDS", 200)
    engine = make_engine(postgres_url)
    with transaction(engine, writes=True) as connection:
        schema._lock(connection)
        with pytest.raises(StoreError, match="lock timeout"):
            upgrade(postgres_url)
    assert upgrade(postgres_url) == newest_version()
    engine.dispose()


@pytest.mark.postgres
def test_a_migration_does_not_wait_for_ever_for_a_table_in_use(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(postgres_url)
    monkeypatch.setattr("service.storage.engine._LOCK_TIMEOUT_MILLISECONDS", 200)
    engine = make_engine(postgres_url)
    with transaction(engine, writes=False) as connection:
        connection.execute(select(watch_runs))
        with pytest.raises(StoreError, match="lock timeout"):
            downgrade(postgres_url, "0001")
    assert check_version(engine) == newest_version()
    engine.dispose()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://localhost/x", "not supported"),
        ("sqlite://", "in memory"),
        ("postgresql://nobody@127.0.0.1:1/x", "does not answer"),
    ],
)
def test_a_database_that_cannot_be_used_is_named(wrong: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        Store.open(wrong)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(StoreError) as raised:
        Store.open("postgresql://nobody:hush@127.0.0.1:1/x")
    assert "hush" not in str(raised.value)


@pytest.mark.postgres
def test_the_json_columns_of_postgresql_are_json(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with Store.open(postgres_url) as store:
        store.append_observation(IDENTITY, 0, REPORT)
    with transaction(engine, writes=False) as connection:
        release = connection.scalar(select(observations.c.identity["release"].as_string()))
        total = connection.scalar(text("SELECT report->'seconds'->>'total' FROM observations"))
    engine.dispose()
    assert (release, total) == ("1.12.0", "2.5")
