"""Disk space: what is free, what a build needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from service.catalog.targets import Target
from service.errors import DiskFull

GIB = 1024**3
# A wheel unpacks to 3 to 4 times its size, and is in the cache, in the archive and in the layer for a while.
BUILD_FACTOR = 9
IMAGE_FACTOR = 5  # measured: 83 MB of 1.12.0 become 400, 210 MB of 2.16 become 1,010
SMALLEST_BUILD_BYTES = GIB // 2
# Measured: CUDA's libraries in addition to the framework's wheel, equal within a fifth from 2.4 to 2.21.
CUDA_WHEELS_BYTES = 1_900_000_000
CUDA_LIBRARIES_BYTES = 3_400_000_000


def free_bytes(folder: Path) -> int:
    """Return the free space at a folder, which need not exist."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def build_bytes(target: Target, wheel_bytes: int) -> int:
    """Estimate the maximum disk space of building an image, from the size of the framework's wheel."""
    libraries = 3 * CUDA_LIBRARIES_BYTES if target.hardware == "cuda" else 0
    return max(SMALLEST_BUILD_BYTES, wheel_bytes * BUILD_FACTOR) + libraries


def download_bytes(target: Target, wheel_bytes: int) -> int:
    """Estimate what is downloaded for an image, from the size of the framework's wheel."""
    return wheel_bytes + (CUDA_WHEELS_BYTES if target.hardware == "cuda" else 0)


def unpacked_bytes(target: Target, wheel_bytes: int) -> int:
    """Estimate the size of an image's packages, from the size of the framework's wheel."""
    return wheel_bytes * IMAGE_FACTOR + (CUDA_LIBRARIES_BYTES if target.hardware == "cuda" else 0)


def folder_bytes(folder: Path) -> int:
    """Return the size of the files below a folder, 0 if it does not exist."""
    done = subprocess.run(["du", "--summarize", "--bytes", str(folder)], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0]) if done.stdout else 0


def require_room(folder: Path, wanted_bytes: int, reserve_bytes: int, purpose: str) -> None:
    """Refuse to start what would fill the disk.

    Raises:
        DiskFull: less than the reserve would stay free.
    """
    free = free_bytes(folder)
    if free - wanted_bytes < reserve_bytes:
        raise DiskFull(
            f"{purpose} needs {in_gb(wanted_bytes)} and {in_gb(free)} are free at {folder}, of which "
            f"{in_gb(reserve_bytes)} stay reserved; run `tfbisect images prune`, or lower TFBISECT_DISK_RESERVE_BYTES."
        )


def in_gb(size_bytes: int) -> str:
    """Return a size as text."""
    return f"{size_bytes / 1e9:.1f} GB"
