"""A PostgreSQL of our own: real binaries, a throwaway folder, a socket instead of a port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DEBIAN = Path("/usr/lib/postgresql")
_OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=60"


def binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs, or None."""
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path).parent] if on_path else sorted(_DEBIAN.glob("*/bin"), reverse=True)
    return found[0] if found else None


@contextmanager
def postgres_cluster() -> Iterator[str]:
    """Run a PostgreSQL and give the URL of its server, to which a database's name is put with `database_url`."""
    programs = binaries()
    assert programs is not None
    with tempfile.TemporaryDirectory(prefix="tfb-pg-") as name:
        folder = Path(name)
        if os.geteuid() == 0:  # initdb refuses root
            shutil.chown(folder, "postgres")
        run = _as_owner(folder)
        run(programs / "initdb", "-D", folder / "db", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        start = f"{_OPTIONS} -c unix_socket_directories='{folder}'"
        run(programs / "pg_ctl", "-D", folder / "db", "-w", "-l", folder / "log", "-o", start, "start")
        try:
            yield f"postgresql://postgres@/?host={folder}"
        finally:
            run(programs / "pg_ctl", "-D", folder / "db", "-m", "immediate", "stop")


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
