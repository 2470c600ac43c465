"""One at a time, across threads and processes of a machine."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file while the block runs; others wait. The system releases it if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="ascii") as file:
        # Each opening is a lock holder of its own, so this keeps threads apart as well as processes.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
