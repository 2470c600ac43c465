"""All versions that a lock file pins: requirements, pip freeze, uv.lock, poetry.lock, pylock.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from service.catalog.in_use import LARGEST_LOCK_BYTES
from service.errors import BadInput

TABLES = ("packages", "package")
"""Of pylock.toml, and of uv.lock and poetry.lock."""
EDITABLE = re.compile(r"^-e |^--editable|^\S+ @ ")


def pinned_in(path: Path) -> Mapping[str, str]:
    """Return the version of each package that a lock file pins, by its normal name.

    Raises:
        BadInput: it cannot be read, or pins nothing.
    """
    try:
        if path.stat().st_size > LARGEST_LOCK_BYTES:
            raise BadInput(f"{path} is larger than {LARGEST_LOCK_BYTES >> 20} MiB; name a lock file.", field="lock")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as a lock file: {error}.", field="lock") from error
    found = dict(_rows(text) if path.suffix in (".toml", ".lock") and _is_toml(text) else _lines(text))
    if not found:
        raise BadInput(
            f"{path} pins no version; name a file with lines such as numpy==1.26.4, a uv.lock or a pylock.toml.",
            field="lock",
        )
    return found


def _is_toml(text: str) -> bool:
    try:
        return any(isinstance(tomllib.loads(text).get(name), list) for name in TABLES)
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def _rows(text: str) -> Iterator[tuple[str, str]]:
    """Yield the packages of a TOML lock; of several versions of one, that for this platform, else the last."""
    read = tomllib.loads(text)
    rows = next(read[name] for name in TABLES if isinstance(read.get(name), list))
    kept: dict[str, str] = {}
    for row in rows:
        if isinstance(row, dict) and row.get("name") and row.get("version") and _is_meant(row):
            kept[canonicalize_name(str(row["name"]))] = str(row["version"])
    yield from kept.items()


def _is_meant(row: Mapping[str, object]) -> bool:
    """Say whether a package is from an index, and meant for Linux; a project's own is what is locked, not a pin."""
    source = row.get("source")
    if isinstance(source, Mapping) and any(name in source for name in ("virtual", "editable", "directory", "path")):
        return False
    listed = row.get("resolution-markers") or row.get("marker") or row.get("markers") or []
    markers = [listed] if isinstance(listed, str) else listed
    return not isinstance(markers, list) or not markers or any(_on_linux(str(marker)) for marker in markers)


def _on_linux(marker: str) -> bool:
    try:
        return Marker(marker).evaluate({"sys_platform": "linux", "platform_machine": "x86_64"})
    except (InvalidMarker, UndefinedEnvironmentName):
        return True


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.replace("\\\n", " ").splitlines():
        asked = line.partition(" #")[0].partition(" --")[0].strip()
        if not asked or asked.startswith(("#", "-")) or EDITABLE.match(asked):
            continue
        try:
            requirement = Requirement(asked)
        except InvalidRequirement:
            continue
        exact = [each.version for each in requirement.specifier if each.operator in {"==", "==="}]
        if exact and "*" not in exact[0] and (requirement.marker is None or _on_linux(str(requirement.marker))):
            yield canonicalize_name(requirement.name), exact[0]
