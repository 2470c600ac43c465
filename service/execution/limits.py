"""How much one run may use, the same for every runner."""

from __future__ import annotations

from dataclasses import dataclass

from service.settings import GIB, MIB, Settings


@dataclass(frozen=True)
class Limits:
    """Limits of one run, enforced by the kernel or by the runner."""

    memory_bytes: int = 3 * GIB
    """Memory, swap included."""
    cpus: float = 1.0
    pids: int = 512
    """Processes and threads."""
    tmpfs_bytes: int = 256 * MIB
    """Size of /tmp, the only writable place."""
    tmpfs_files: int = 32_768
    """Files and folders in /tmp: even empty ones use kernel memory, and millions take minutes to remove."""
    output_bytes: int = 256 * 1024
    """How much output is kept; the middle is cut."""
    flood_bytes: int = 64 * MIB
    """How much output is read; beyond it the run is stopped."""
    open_files: int = 1024
    shared_memory_bytes: int = 64 * MIB
    """Size of /dev/shm, where semaphores live."""
    shared_memory_files: int = 4_096


def limits_of(settings: Settings) -> Limits:
    return Limits(
        memory_bytes=settings.memory_bytes,
        cpus=settings.cpus,
        pids=settings.pids,
        tmpfs_bytes=settings.tmpfs_bytes,
        output_bytes=settings.output_bytes,
        flood_bytes=settings.flood_bytes,
    )
