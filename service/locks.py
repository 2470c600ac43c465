"""One at a time, across threads and processes of a machine."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    made_once = cached_property  # the same for type checkers
else:

    class made_once(cached_property):  # noqa: N801 - used as a decorator, as the one that it replaces
        """A cached property that is computed once even with several threads; Python's own no longer guarantees that.

        One lock per object, which a part may take again: most are made of others.
        """

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            """Return the value, made by the first who asks."""
            if instance is None:
                return self
            made = instance.__dict__
            # `setdefault` is atomic.
            with made.setdefault("_making", threading.RLock()):
                if self.attrname not in made:
                    made[self.attrname] = self.func(instance)
                return made[self.attrname]


@contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs; others wait. The system releases it if the process dies.

    Args:
        path: the lock file; made if it is not there.
        shared: let others who share hold it as well; who does not share waits for all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="ascii") as file:
        # Each open file is a separate holder, so this works between threads as well as processes.
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
