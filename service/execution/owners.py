"""Which process owns a container, and is it alive? Several coordinators may share one engine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from service.execution.hardening import EXPIRES_LABEL, OWNER_LABEL

GRACE_SECONDS = 300.0
"""How long after its end any process may remove a container: clocks differ."""


@cache
def _here() -> str:
    """Return what identifies this kernel and this PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return os.uname().nodename


def owner_of(pid: int) -> str:
    """Return the label of a process: unlike its PID it is never reused."""
    return f"{_here()}/{pid}/{_started_at(pid)}"


def labels_of_run(lifetime_seconds: float) -> dict[str, str]:
    """Return the labels that say who may remove a container, and when everybody may."""
    return {OWNER_LABEL: owner_of(os.getpid()), EXPIRES_LABEL: str(int(time.time() + lifetime_seconds))}


def is_orphan(labels: Mapping[str, str], now: float) -> bool:
    """Return whether a container with these labels was left behind.

    Args:
        labels: the container's labels.
        now: seconds since the epoch.
    """
    try:
        if now > float(labels.get(EXPIRES_LABEL, "inf")) + GRACE_SECONDS:
            return True
    except ValueError:
        return True
    place, _, process = labels.get(OWNER_LABEL, "").rpartition("/")
    place, _, pid = place.rpartition("/")
    # For other machines only time can tell: their processes are not visible here.
    return place == _here() and pid.isdigit() and _is_over(int(pid), process)


def _is_over(pid: int, started_at: str) -> bool:
    """Return whether a process is known to have ended; a hidden one is not."""
    found = _started_at(pid)
    if found:
        return found != started_at
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    # It may have started in between; the next check tells.
    return False


def _started_at(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "" where there is none."""
    try:
        # The name in brackets may contain spaces and brackets; the fields after the last bracket are fixed.
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
