"""What `tfbisect run` is given to run: a script with files beside it, or a folder and a command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.cli.requests import read_snippet
from service.errors import BadInput
from service.projects.files import Bounds, Project, project_of
from service.projects.folders import Gathered, gather, read_file


@dataclass(frozen=True)
class Asked:
    """A source or a command, the files that it needs, and what was left out of them."""

    snippet: str
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    project: Project | None = None
    secrets: tuple[str, ...] = ()


def read_asked(file: str, words: Sequence[str], beside: Sequence[Path], bounds: Bounds) -> Asked:
    """Read the script or the folder, and the files beside it.

    Args:
        file: a script, "-" for standard input, or a folder.
        words: its arguments; of a folder the command that runs in it.
        beside: files and folders from --file.
        bounds: how much they may hold.

    Raises:
        BadInput: something cannot be read or taken; nothing was kept.
    """
    folder = Path(file) if file != "-" and Path(file).is_dir() else None
    base = folder or (Path.cwd() if file == "-" else Path(file).parent)
    found = [gather(folder, bounds)] if folder else []
    found += [_beside(path, _absolute(base), bounds) for path in beside]
    project = project_of((each for gathered in found for each in gathered.files), bounds) if found else None
    secrets = tuple(name for gathered in found for name in gathered.secrets)
    if folder is None:
        return Asked(read_snippet(file), (), tuple(words), project, secrets)
    if not words:
        raise BadInput(
            f"{file} is a folder: say what to run in it, such as `tfbisect run {file} -- python main.py` or "
            f"`tfbisect run {file} -- pytest tests`.",
            field="command",
        )
    return Asked("", tuple(words), (), project, secrets)


def _beside(path: Path, base: Path, bounds: Bounds) -> Gathered:
    """Read one --file; below the script's folder it keeps its way from there, else its name."""
    place = _absolute(path)
    name = place.relative_to(base).as_posix() if place.is_relative_to(base) else place.name
    if place.is_dir():
        return gather(place, bounds, within="" if name == "." else name)
    if not place.exists():
        raise BadInput(
            f"cannot read {path}: no such file or folder; --file names what the script needs.", field="files"
        )
    return Gathered([(name, read_file(place, bounds.most_bytes, str(path)))])


def _absolute(path: Path) -> Path:
    """Return an absolute path without "..", links as they are: a link's own name is what the script opens."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links
