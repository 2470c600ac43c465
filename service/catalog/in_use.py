"""Which release of a package a project uses: from its lock file, or its virtual environment."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

LARGEST_LOCK_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class InUse:
    version: str
    where: str
    """The lock file or environment that says so."""


def release_in_use(package: str, folder: Path, environment: Mapping[str, str]) -> InUse | None:
    """Return the release of a package that a project uses.

    Asked in this order: lock files in the folder and those above it, up to the top of its repository; the active
    virtual environment; the environment that tfbisect runs in.

    Args:
        package: its name, in any spelling.
        folder: of the snippet.
        environment: the process's variables.
    """
    name = canonicalize_name(package)
    for place in _up_to_the_top(folder.resolve()):
        for file, read in LOCKS.items():
            version = read(place / file, name)
            if version is not None:
                return InUse(version, str(place / file))
    active = environment.get("VIRTUAL_ENV", "")
    for where, path in ((active, _site_packages(active)), ("this environment", None)):
        version = _installed(name, path) if where and path != [] else None
        if version is not None:
            return InUse(version, where)
    return None


def _up_to_the_top(folder: Path) -> Iterator[Path]:
    for place in (folder, *folder.parents):
        yield place
        if (place / ".git").exists():
            return


def _text_of(path: Path) -> str | None:
    try:
        if path.stat().st_size > LARGEST_LOCK_BYTES:
            return None
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def _locked(path: Path, name: str, table: str) -> str | None:
    """Return the version in a TOML lock file that lists packages in a table."""
    text = _text_of(path)
    try:
        rows = tomllib.loads(text).get(table, ()) if text is not None else ()
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and canonicalize_name(str(row.get("name", ""))) == name and row.get("version"):
            return str(row["version"])
    return None


def _pinned(path: Path, name: str) -> str | None:
    """Return the version that a requirements file pins; a range says nothing of what is in use."""
    for line in (_text_of(path) or "").splitlines():
        text = line.partition(" #")[0].partition(" --hash")[0].strip().rstrip("\\").strip()
        try:
            asked = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(asked.name) == name:
            exact = [one.version for one in asked.specifier if one.operator in {"==", "==="} and "*" not in one.version]
            if exact:
                return exact[0]
    return None


LOCKS: Mapping[str, Callable[[Path, str], str | None]] = {
    "pylock.toml": lambda path, name: _locked(path, name, "packages"),
    "uv.lock": lambda path, name: _locked(path, name, "package"),
    "poetry.lock": lambda path, name: _locked(path, name, "package"),
    "requirements.lock": _pinned,
    "requirements.txt": _pinned,
}


def _site_packages(environment: str) -> list[str]:
    return [str(path) for path in sorted(Path(environment).glob("lib/python*/site-packages"))] if environment else []


def _installed(name: str, path: list[str] | None) -> str | None:
    found = importlib.metadata.distributions(path=path) if path is not None else importlib.metadata.distributions()
    for each in found:
        named = each.metadata["Name"]
        if named and canonicalize_name(named) == name:
            return each.version
    return None
