"""One at a time, across threads and processes of a machine."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs; others wait. The system releases it if the process dies.

    Args:
        path: the lock file; made if it is not there.
        shared: let others who share hold it as well; who does not share waits for all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="ascii") as file:
        # Each opening is a lock holder of its own, so this keeps threads apart as well as processes.
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock file while the block runs, if nobody else does; say whether it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
