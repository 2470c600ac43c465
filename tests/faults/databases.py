"""What becomes of bisections when the database stops, is locked, full, read-only or corrupt."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import create_engine, text

from service.storage.engine import parse_url
from tests.faults.findings import Findings, of_bisections, of_tracebacks
from tests.faults.kills import WORKERS, small_world
from tests.faults.table import Fault, LeftOut
from tests.faults.world import Service, World, request, wait_until
from tests.storage.cluster import Cluster, binaries, database_url, stoppable_cluster

RUN_SECONDS = 1.0
"""How long each run takes, so that the fault falls among them."""
FULL_SECONDS = 15.0
READ_ONLY_SECONDS = 15.0
DATABASE_BYTES = 8 * 1024**2
"""The size of the small disk: the tables take half a megabyte, the log of SQLite as much again."""


def _interrupted(made: World, fault: Callable[[Service], None], *, must_notice: bool = True) -> Findings:
    """Let a fault come and go under a bisection; another one, submitted afterwards, must end too."""
    service = made.serve()
    bisection_id = service.submit("interrupted", RUN_SECONDS)
    wait_until("runs are under way", lambda: made.runs.exists() and made.processes())
    fault(service)
    if service.is_dead():
        return Findings(lost=[f"the service ended with {service.process.returncode}"])
    later = wait_until("the service takes a submission again", partial(service.submit, "afterwards"), 120)
    found = of_bisections(service, [bisection_id, later], runs_lost=2 * WORKERS)
    if must_notice:
        found.add(of_tracebacks(service))
    if service.status("/readyz") != 200:
        found.lost.append("/readyz is not 200 once the fault is over")
    return found


def _away(service: Service, seconds: float) -> Findings:
    """Wait out a fault, and ask meanwhile as a client does."""
    found = Findings()
    end = time.monotonic() + seconds
    ready = set()
    while time.monotonic() < end:
        ready.add(service.status("/readyz"))
        time.sleep(0.5)
    if ready <= {200}:
        found.said.append(f"/readyz said 200 all the {seconds:g} s")
    return found


@contextmanager
def postgres_world() -> Iterator[tuple[Cluster, World]]:
    """Make a world whose database is a PostgreSQL of its own.

    Raises:
        LeftOut: none is installed.
    """
    if binaries() is None:
        raise LeftOut("no PostgreSQL is installed")
    with stoppable_cluster() as cluster:
        statement(cluster, "CREATE DATABASE faults")
        with small_world() as made:
            made.database_url = database_url(cluster.url, "faults")
            yield cluster, made
            # Before the database, so that the services can say goodbye to it.
            made.close()


def statement(cluster: Cluster, words: str) -> None:
    """Say one statement to a server, outside of a transaction."""
    engine = create_engine(parse_url(database_url(cluster.url, "postgres")), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(words))
    finally:
        engine.dispose()


def postgres_stopped(seconds: float) -> Findings:
    """Stop PostgreSQL at once, throwing everybody out, and start it again."""
    with postgres_world() as (cluster, made):
        meanwhile = Findings()

        def stop_and_start(service: Service) -> None:
            cluster.stop()
            meanwhile.add(_away(service, seconds))
            cluster.start()

        found = _interrupted(made, stop_and_start)
        found.add(meanwhile)
        return found


def postgres_read_only() -> Findings:
    """Let PostgreSQL refuse to write for a while, as a server does that has become a standby."""
    with postgres_world() as (cluster, made):

        def refuse_and_take(service: Service) -> None:
            for value in ("on", "off"):
                statement(cluster, f"ALTER SYSTEM SET default_transaction_read_only = {value}")
                statement(cluster, "SELECT pg_reload_conf()")
                if value == "on":
                    _submit_in_vain(service)
                    time.sleep(READ_ONLY_SECONDS)

        return _interrupted(made, refuse_and_take)


def _submit_in_vain(service: Service) -> None:
    """Submit while nothing can be written: whatever comes of it, no later row may miss it."""
    service.ask("POST", "/bisections", json=request("in vain"))


def sqlite_locked(seconds: float) -> Findings:
    """Hold the writer's lock of SQLite, as a backup or a forgotten shell does."""
    with small_world() as made:

        def lock(_service: Service) -> None:
            with closing(sqlite3.connect(made.data / "tfbisect.sqlite3", isolation_level=None, timeout=30)) as other:
                other.execute("BEGIN IMMEDIATE")
                time.sleep(seconds)
                other.execute("ROLLBACK")

        return _interrupted(made, lock)


def answers_lost() -> Findings:
    """Make every third commit and take its answer away, as a network does that breaks off at the wrong moment."""
    with small_world() as made:
        service = made.serve(loses_answers=3)
        ids = [wait_until("it is taken", partial(service.submit, f"doubtful {number}", 1)) for number in range(2)]
        found = of_bisections(service, ids)
        found.add(of_tracebacks(service))
        return found


@contextmanager
def _small_disk(made: World) -> Iterator[Path]:
    """Mount a disk of some megabytes and put the database on it."""
    if os.geteuid() != 0:
        raise LeftOut("only root may mount a small disk")
    disk = made.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DATABASE_BYTES}", "tfbisect-faults", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise LeftOut("this machine lets nobody mount")
    made.database_url = f"sqlite:///{disk / 'tfbisect.sqlite3'}"
    try:
        yield disk
    finally:
        made.close()
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def disk_full() -> Findings:
    """Fill the disk of the database to its last byte, and free it after a while."""
    with small_world() as made, _small_disk(made) as disk:
        meanwhile = Findings()

        def fill_and_free(service: Service) -> None:
            ballast = disk / "ballast"
            _fill(ballast)
            meanwhile.add(_refusals(service))
            time.sleep(FULL_SECONDS)
            ballast.unlink()

        found = _interrupted(made, fill_and_free)
        found.add(meanwhile)
        return found


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def _refusals(service: Service) -> Findings:
    """Say what a client is answered whose submission cannot be stored."""
    answers = [service.ask("POST", "/bisections", json=request(f"full {number}")) or {} for number in range(3)]
    crashed = [answer for answer in answers if answer.get("status") == 500]
    return Findings(said=[f"500 where the database cannot be written: {crashed[0]}"] if crashed else [])


def read_only_from_the_start() -> Findings:
    """Start a service on a disk that is mounted read-only."""
    with small_world() as made, _small_disk(made) as disk:
        first = made.serve()
        first.ended(first.submit("before"))
        first.end()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        service = made.serve()
        if service.is_dead():
            return Findings() if "read" in service.words() else Findings(said=["it ended without a word of why"])
        found = Findings()
        if service.status("/readyz") == 200:
            found.said.append("/readyz is 200 where nothing can be written")
        answer = service.ask("POST", "/bisections", json=request("read-only")) or {}
        if answer.get("status") != 503 or "read" not in str(answer.get("detail", "")).lower():
            found.said.append(f"a submission is not refused with 503 and the reason: {str(answer)[:200]}")
        return found


def corrupt(damage: Callable[[Path], None]) -> Findings:
    """Damage the file of the database between two services."""
    with small_world() as made:
        first = made.serve()
        first.ended(first.submit("before"))
        first.end()
        database = made.data / "tfbisect.sqlite3"
        with closing(sqlite3.connect(database)) as connection:
            # Else the log beside the file still has the pages whole, and nothing is damaged.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(database)
        return _refused_start(made, ("corrupt", "damaged", "not a database", "malformed"), "backup")


def _refused_start(made: World, wanted: tuple[str, ...], advice: str) -> Findings:
    """Start a service that cannot work: it must end, and say in words why and what to do."""
    service = made.serve("--port", "0", listens=False)
    try:
        wait_until("the service gave up", service.is_dead, 120)
    except AssertionError:
        service.kill()
        return Findings(said=["it serves as if nothing were wrong"])
    words = service.words()
    found = Findings()
    if "Traceback" in words:
        found.said.append(f"a raw traceback: …{words.strip()[-160:]}")
    if not any(word in words.lower() for word in wanted):
        found.said.append(f"nothing of {' or '.join(wanted)}: {words.strip()[-200:]}")
    if advice.lower() not in words.lower():
        found.said.append(f"no word of {advice}: {words.strip()[-200:]}")
    return found


def overwrite_the_head(database: Path) -> None:
    """Write nonsense over the first page."""
    with database.open("r+b") as file:
        file.write(b"nonsense" * 64)


def overwrite_the_middle(database: Path) -> None:
    """Write nonsense over every page but the first."""
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


def cut(database: Path) -> None:
    """Cut the file to a third, as a copy does that was broken off."""
    os.truncate(database, database.stat().st_size // 3 // 4096 * 4096)


def faults() -> list[Fault]:
    """Return the rows of this file."""
    waits = "the service waits and goes on; clients are refused with 503 meanwhile"
    refuses = "the service does not start, and says in words why and what to do"

    def row(name: str, run: Callable[[], Findings], expected: str, *, fast: bool = False) -> Fault:
        return Fault("database", name, run, expected, fast=fast)

    return [
        row("PostgreSQL stopped for 4 s under runs", partial(postgres_stopped, 4), waits),
        row("PostgreSQL stopped for 60 s under runs", partial(postgres_stopped, 60), waits),
        row(f"PostgreSQL read-only for {READ_ONLY_SECONDS:g} s under runs", postgres_read_only, waits),
        row("SQLite locked for 4 s under runs", partial(sqlite_locked, 4), waits),
        row("SQLite locked for 40 s under runs", partial(sqlite_locked, 40), waits),
        row("the answer to every third commit lost", answers_lost, "nothing is written twice"),
        row(f"disk of the database full for {FULL_SECONDS:g} s under runs", disk_full, waits),
        row(
            "database read-only from the start",
            read_only_from_the_start,
            "not ready, and submissions are refused in words",
        ),
        row("database corrupt: its head", partial(corrupt, overwrite_the_head), refuses, fast=True),
        row("database corrupt: its middle", partial(corrupt, overwrite_the_middle), refuses),
        row("database cut short", partial(corrupt, cut), refuses),
    ]
