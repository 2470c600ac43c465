"""User IDs, one for each run: then runs do not share what the kernel counts per user.

Handles of inotify, pages of pipes, keys, message queues and waiting signals are counted per user: with one number for
all, one run could use up another's.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class UserRange:
    """User IDs reserved for runs."""

    first: int
    count: int

    def __contains__(self, user: int) -> bool:
        return self.first <= user < self.first + self.count


# Above what systems give to people, services and containers (1,879,048,192 and up is free by systemd's table), and
# below 2**31, where engines stop. One range for each kind of runner: the local one ends a run by killing its user.
LOCAL_USERS = UserRange(1_900_000_000, 100_000_000)
CONTAINER_USERS = UserRange(2_000_000_000, 100_000_000)
REMAPPED_USERS = UserRange(20_000, 40_000)
"""For engines that map a container's users to a range of the machine's, usually 65,536 long."""


@dataclass
class RunUsers:
    """Gives out unused user IDs; at random, since other processes give out IDs too."""

    range: UserRange
    taken_elsewhere: Callable[[], Collection[int]] = lambda: ()
    """The user IDs of visible processes."""
    _taken: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> int:
        """Return a user ID for one run, until it is given back."""
        elsewhere = self.taken_elsewhere()
        with self._lock:
            while (user := self.range.first + secrets.randbelow(self.range.count)) in self._taken or user in elsewhere:
                continue
            self._taken.add(user)
        return user

    def give_back(self, user: int) -> None:
        """Give a user ID back."""
        with self._lock:
            self._taken.discard(user)


def container_users(engine: Mapping[str, Any]) -> UserRange:
    """Return the user IDs that an engine's containers can have.

    Args:
        engine: the engine's own description of itself (GET /info).
    """
    return REMAPPED_USERS if is_remapped(engine) else CONTAINER_USERS


def is_remapped(engine: Mapping[str, Any]) -> bool:
    """Return whether an engine maps a container's root to another user of the machine."""
    options = engine.get("SecurityOptions") or ()
    return any(option.split(",")[0] in ("name=userns", "name=rootless") for option in options)


def users_at_work() -> set[int]:
    """Return the users whose processes can be seen."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.add(entry.stat().st_uid)
    return found
