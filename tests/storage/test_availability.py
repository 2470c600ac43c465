"""Real databases that go away and come back, under the loop of `tfbisect serve`; tests/faults has the long ones."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from service.errors import StoreDamaged, StoreError
from service.storage import engine
from service.storage.store import Store
from tests.coordination.test_coordinator import asked
from tests.coordination.test_failures import QuickWorld, ended, serving, until
from tests.storage.cluster import binaries, database_url, stoppable_cluster
from tests.web.world import MadeUpRuns


def after_runs(world: QuickWorld, number: int, fault: Callable[[], object]) -> None:
    """Let a fault come in the middle of a bisection: within the run of this number."""

    once = iter([fault])

    def report(_request: Any) -> None:
        # Two runs may begin at once, and neither sees its own number.
        if world.runs.calls >= number and (now := next(once, None)) is not None:
            now()

    world.runs.report = report


@pytest.mark.postgres
def test_a_postgresql_that_stops_for_a_moment_costs_nothing(tmp_path: Path) -> None:
    if binaries() is None:
        pytest.skip("PostgreSQL's programs are not installed")
    with stoppable_cluster() as cluster:
        with psycopg.connect(database_url(cluster.url, "postgres"), autocommit=True) as connection:
            connection.execute(b"CREATE DATABASE tfb")
        world = QuickWorld(tmp_path, database_url=database_url(cluster.url, "tfb"))
        submitted = world.submission.submit(asked())
        after_runs(world, 4, cluster.stop)
        with capture_logs() as logs, serving(world):
            until(lambda: [log for log in logs if log.get("doing") and "database" in str(log.get("reason"))])
            with pytest.raises(StoreError):
                world.store.ping()
            assert world.threads.down() == [], "they wait, and live"
            cluster.start()
            row = ended(world, submitted.id)
            later = ended(world, world.submission.submit(asked(repeats=2)).id)
        assert (row.status, later.status) == ("done", "done"), row.error
        assert row.verdict is not None
        assert row.verdict["runs"]["lost"] == 0
        assert world.runs.calls >= 13


def test_a_sqlite_that_is_locked_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_BUSY_SECONDS", 0.05)
    world = QuickWorld(tmp_path)
    submitted = world.submission.submit(asked())
    with closing(
        sqlite3.connect(tmp_path / "tfbisect.sqlite3", isolation_level=None, check_same_thread=False)
    ) as other:
        after_runs(world, 4, lambda: other.executescript("BEGIN EXCLUSIVE"))
        with capture_logs() as logs, serving(world):
            until(lambda: [log for log in logs if "locked" in str(log.get("reason"))])
            other.execute("ROLLBACK")
            row = ended(world, submitted.id)
    assert row.status == "done"
    assert row.verdict is not None
    assert row.verdict["runs"]["lost"] == 0


def test_a_disk_that_is_full_and_freed_costs_nothing(tmp_path: Path) -> None:
    world = QuickWorld(tmp_path)
    is_full = [False]

    def limited(connection: Any) -> None:
        # SQLite's own limit gives the same error as a disk without room.
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages if is_full[0] else 2**31 - 2}")

    event.listen(world.store._engine, "begin", limited)
    world.runs = MadeUpRuns(output="x" * 100_000)
    submitted = world.submission.submit(asked())

    def fill() -> None:
        is_full[0] = True

    after_runs(world, 4, fill)
    with capture_logs() as logs, serving(world):
        until(lambda: [log for log in logs if "full" in str(log.get("reason"))])
        is_full[0] = False
        row = ended(world, submitted.id)
    assert row.status == "done"
    assert row.verdict is not None
    assert row.verdict["runs"]["lost"] == 0


def test_a_database_that_takes_no_writes_is_told_from_one_that_answers(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'tfbisect.sqlite3'}") as store:
        may_write = [False]
        event.listen(
            store._engine,
            "checkout",
            lambda connection, *_: connection.execute(f"PRAGMA query_only={not may_write[0]}"),
        )
        store.ping()
        with pytest.raises(StoreError, match="readonly"):
            store.check_writes()
        may_write[0] = True
        store.check_writes()
        may_write[0] = False
        store.check_writes()  # after a success it is not tried again at once


@pytest.mark.parametrize(("place", "size"), [(0, 100), (4096, 200_000)])
def test_a_damaged_file_is_said_with_the_backup_that_helps(tmp_path: Path, place: int, size: int) -> None:
    file = tmp_path / "tfbisect.sqlite3"
    with Store.open(f"sqlite:///{file}") as store:
        store.put_cached("kind", "key", ["x" * 200_000])
    for moment, backup in enumerate(("tfbisect-2026-11-24.sqlite3", "tfbisect-2026-11-25.jsonl.gz")):
        (tmp_path / backup).write_bytes(b"")
        os.utime(tmp_path / backup, (moment, moment))
    with file.open("r+b") as damaged:
        damaged.seek(place)
        damaged.write(b"\xa5" * size)
    with pytest.raises(StoreDamaged) as raised, Store.open(f"sqlite:///{file}") as store:
        store.cached("kind", "key")
    assert str(file) in raised.value.message
    assert "tfbisect-2026-11-25.jsonl.gz" in raised.value.message
    assert "docs/database.md" in raised.value.message
