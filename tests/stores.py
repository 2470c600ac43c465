"""Databases with the newest tables and nothing in them, for tests that are not about them: migrations run once."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from service.storage.schema import upgrade


def put_empty_store(file: Path) -> None:
    """Make a SQLite database with empty tables, unless there is one."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_empty_store())


@cache
def _empty_store() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "store.sqlite3"
        upgrade(f"sqlite:///{file}")
        return file.read_bytes()
