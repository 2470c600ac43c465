"""Reads a project from a folder of this machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from service.errors import ProjectError
from service.projects.choosing import IGNORE_BYTES, IGNORE_FILE, Ignored, is_secret
from service.projects.files import MIB, Bounds, checked_path, shown_path

DEEPEST = 40
LARGEST_NAMED = 3


@dataclass
class Gathered:
    """What a folder gives: its files, and those left out as secrets."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)


def gather(folder: Path, bounds: Bounds, *, within: str = "") -> Gathered:
    """Read a folder: all that git does not ignore, without secrets.

    Args:
        folder: on this machine.
        bounds: how much it may hold.
        within: the path that the folder has in the project; "" for the project itself.

    Raises:
        ProjectError: too much, a link that leads out of the folder, or what is neither a file nor a folder.
    """
    root = Path(os.path.realpath(folder))
    ignored = Ignored()
    for above, text in _ignore_files_above(root):
        ignored.add(above, text)
    sizes: dict[str, int] = {}
    found, size_bytes = [], 0
    for path, place in _walk(root, "", ignored):
        checked_path(path)
        found.append((path, place))
        sizes[path] = place.stat().st_size
        size_bytes += sizes[path]
        if not bounds.allow(len(sizes), size_bytes):
            bounds.check(len(sizes), size_bytes, more=_largest(sizes))
    gathered = Gathered()
    left_bytes = bounds.most_bytes
    for path, place in found:
        content = read_file(place, left_bytes, path)
        left_bytes -= len(content)
        named = f"{within}/{path}" if within else path
        if is_secret(path, content):
            gathered.secrets.append(named)
        else:
            gathered.files.append((named, content))
    return gathered


def read_file(place: Path, most_bytes: int, path: str) -> bytes:
    """Return the content of a regular file.

    Raises:
        ProjectError: it is no regular file, cannot be read, or is larger.
    """
    try:
        # Without waiting: a pipe that nobody writes to would never open.
        with os.fdopen(os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise ProjectError(f"{shown_path(path)} is neither a file nor a folder; leave it out by a .gitignore.")
            content = source.read(most_bytes + 1)
    except OSError as error:
        raise ProjectError(f"cannot read {shown_path(path)}: {error.strerror}.") from None
    if len(content) > most_bytes:
        raise ProjectError(
            f"{shown_path(path)} has grown beyond {most_bytes / MIB:.3g} MiB while it was read; try again."
        )
    return content


def _walk(root: Path, within: str, ignored: Ignored, depth: int = 0) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder with their paths, sorted by name."""
    folder = root / within
    if depth > DEEPEST:
        raise ProjectError(f"{shown_path(within)} is more than {DEEPEST} folders deep.")
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise ProjectError(f"cannot read the folder {shown_path(within or str(root))}: {error.strerror}.") from None
    for entry in entries:
        if entry.name == IGNORE_FILE and entry.is_file():
            ignored.add(within, read_file(Path(entry.path), IGNORE_BYTES, IGNORE_FILE))
    for entry in entries:
        path = f"{within}/{entry.name}" if within else entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if ignored.covers(path, is_folder=is_folder) or (is_folder and (Path(entry.path) / "pyvenv.cfg").exists()):
            continue
        if is_folder:
            yield from _walk(root, path, ignored, depth + 1)
        else:
            yield path, _file_at(root, Path(entry.path), path)


def _file_at(root: Path, place: Path, path: str) -> Path:
    """Return where the file is that a path leads to.

    Raises:
        ProjectError: a link out of the folder or to a folder, or no regular file.
    """
    target = place
    if place.is_symlink():
        target = Path(os.path.realpath(place))
        if not target.is_relative_to(root):
            raise ProjectError(
                f"{shown_path(path)} is a link out of the folder, to {shown_path(str(target))}; copy it in."
            )
        if target.is_dir():
            raise ProjectError(f"{shown_path(path)} is a link to a folder; copy it, or leave it out by a .gitignore.")
    if not target.is_file():
        raise ProjectError(f"{shown_path(path)} is neither a file nor a folder; leave it out by a .gitignore.")
    return target


def _ignore_files_above(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the .gitignore files between a folder and the repository that it lies in, each with the way down."""
    if (root / ".git").exists():
        return
    above: list[tuple[str, bytes]] = []
    for parent in root.parents:
        with suppress(OSError, ProjectError):
            way_down = root.relative_to(parent).as_posix()
            if (parent / IGNORE_FILE).is_file():
                above.append((f"/{way_down}", read_file(parent / IGNORE_FILE, IGNORE_BYTES, IGNORE_FILE)))
        if (parent / ".git").exists():
            yield from above
            return


def _largest(sizes: dict[str, int]) -> str:
    """Name the largest files."""
    largest = sorted(sizes.items(), key=lambda each: -each[1])[:LARGEST_NAMED]
    named = ", ".join(f"{shown_path(path)} {size / MIB:.1f} MiB" for path, size in largest)
    return f" (the largest: {named})"
