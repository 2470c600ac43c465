"""Processes of one run, seen from the host: their memory and their end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and its descendants, except those that were reparented."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text(encoding="ascii").split():
                yield from descendants(int(child))


def takes_more_than(limit_bytes: int, pid: int) -> bool:
    """Return whether a process and its descendants use more private memory than a limit.

    The quick count takes what parent and child share twice; only where it is above the limit the true one is asked for.
    """
    family = list(descendants(pid))
    return sum(map(_resident_bytes, family)) > limit_bytes and sum(map(_share_bytes, family)) > limit_bytes


def _resident_bytes(pid: int) -> int:
    """Return the anonymous memory of a process."""
    try:
        resident, shared = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1:3]
    except (OSError, ValueError):
        return 0
    return max(0, int(resident) - int(shared)) * PAGE_BYTES


def _share_bytes(pid: int) -> int:
    """Return a process's proportional share of anonymous memory."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return _resident_bytes(pid)
    kibibytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    if "Pss_Anon" not in kibibytes:
        return kibibytes.get("Pss", 0) * 1024
    return (kibibytes["Pss_Anon"] + kibibytes.get("Pss_Shmem", 0)) * 1024


def has_left_our_root(pid: int) -> bool:
    """Return whether a process has another root than this one."""
    try:
        return not Path(f"/proc/{pid}/root/").samefile("/")
    except OSError:
        return False


def files_in(folders: Iterable[str], pid: int) -> int:
    """Return how many files and folders the file systems of some folders hold, as a process sees them.

    Args:
        folders: absolute paths, each the root of a file system of its own.
        pid: a process that has that view; one that is gone has none.
    """
    found = 0
    for folder in folders:
        with suppress(OSError):
            state = os.statvfs(f"/proc/{pid}/root{folder}")
            found += state.f_files - state.f_ffree
    return found


def marked(mark: str, user: int | None) -> Iterator[int]:
    """Yield processes that have a run's mark in their environment, or belong to its user.

    Args:
        mark: the whole "NAME=value" that the run was started with.
        user: the number of the run's own user; None where it has none.
    """
    needle = mark.encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            owned = user is not None and entry.stat().st_uid == user
            if owned or needle in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def kill_marked(mark: str, user: int | None) -> None:
    """Kill the processes of a run until none is left, since some may fork meanwhile."""
    for _ in range(100):
        found = [pid for pid in marked(mark, user) if not _is_dead(pid)]
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _is_dead(pid: int) -> bool:
    """Return whether a process is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return stat.rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return True
