"""A PostgreSQL of our own: real binaries, a throwaway folder, a socket instead of a port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DEBIAN = Path("/usr/lib/postgresql")
_OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c max_connections=60"
"""Commits are written at once: with `synchronous_commit=off` a server that is stopped forgets what it had promised."""


def binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs, or None."""
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path).parent] if on_path else sorted(_DEBIAN.glob("*/bin"), reverse=True)
    return found[0] if found else None


class Cluster:
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        programs = binaries()
        assert programs is not None
        self.folder = folder
        self.url = f"postgresql://postgres@/?host={folder}"
        self._programs = programs
        self._alone = threading.Lock()
        if os.geteuid() == 0:  # initdb refuses root
            shutil.chown(folder, "postgres")
        self._run = _as_owner(folder)
        initdb = (programs / "initdb", "-D", folder / "db", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._run(*initdb)

    def start(self) -> None:
        options = f"{_OPTIONS} -c unix_socket_directories='{self.folder}'"
        self._control("-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self) -> None:
        """End it as a power cut does: whoever is connected is thrown out."""
        self._control("-m", "immediate", "stop")

    def _control(self, *words: str | Path) -> None:
        # One after the other: a stop whose server is started again before it looks waits for the end of that one.
        with self._alone:
            self._run(self._programs / "pg_ctl", "-D", self.folder / "db", *words)


@contextmanager
def stoppable_cluster() -> Iterator[Cluster]:
    """Run a PostgreSQL, started, which the caller may stop and must have started again at the end."""
    with tempfile.TemporaryDirectory(prefix="tfb-pg-") as name:
        cluster = Cluster(Path(name))
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def postgres_cluster() -> Iterator[str]:
    """Run a PostgreSQL and give the URL of its server, to which a database's name is put with `database_url`."""
    with stoppable_cluster() as cluster:
        yield cluster.url


def database_url(server: str, database: str) -> str:
    """Return the URL of a database on a server."""
    return server.replace("@/?", f"@/{database}?")


class _as_owner:  # noqa: N801
    """Runs a program as the one who owns the cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def __call__(self, *command: str | Path) -> None:
        line = [*self._prefix, *map(str, command)]
        done = subprocess.run(line, cwd=self._folder, capture_output=True, text=True, check=False)
        log = self._folder / "log"
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}"
