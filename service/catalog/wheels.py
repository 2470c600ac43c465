"""Wheels that installers refuse: downloaded by hash, read and unzipped here."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import requests
from packaging.utils import canonicalize_name
from packaging.version import Version
from pypi_simple import DistributionPackage

from service.catalog.releases import TIMEOUT_SECONDS, Index, linux_wheels, serves
from service.errors import IndexUnreachable, NotInstallable

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Wheel:
    """A downloaded wheel."""

    path: Path
    package: str
    release: str
    sha256: str

    def requirements(self) -> list[str]:
        """Return its requirements, from the metadata with its own name.

        Raises:
            NotInstallable: it has none.
        """
        with zipfile.ZipFile(self.path) as archive:
            found = [name for name in archive.namelist() if self._is_own(name)]
            if not found:
                raise NotInstallable(f"{self.path.name} has no metadata of {self.package}.")
            metadata = BytesParser().parsebytes(archive.read(found[0]))
        return [str(value) for value in metadata.get_all("Requires-Dist") or ()]

    def _is_own(self, name: str) -> bool:
        """Return whether a member is this package's METADATA: a refused wheel may contain another's too."""
        folder, _, file = name.partition("/")
        own = canonicalize_name(folder.removesuffix(".dist-info").rpartition("-")[0]) == canonicalize_name(self.package)
        return file == "METADATA" and folder.endswith(".dist-info") and own

    def pin(self) -> str:
        """Return its entry in a lock."""
        return f"{canonicalize_name(self.package)}=={self.release} \\\n    --hash=sha256:{self.sha256}\n"

    def unpack(self, folder: Path) -> None:
        """Extract its modules into a folder of packages, without scripts and headers."""
        with tempfile.TemporaryDirectory(dir=folder) as place:
            with zipfile.ZipFile(self.path) as archive:
                archive.extractall(place)
            for part in sorted(Path(place).glob("*.data")):
                for kind in ("purelib", "platlib"):
                    _move_into(part / kind, folder)
                shutil.rmtree(part)
            _move_into(Path(place), folder)


class Wheels:
    """Fetches single wheels, each once."""

    def __init__(self, index: Index, folder: Path) -> None:
        self._index = index
        self._folder = folder

    def fetch(self, package: str, release: str, python: str) -> Wheel:
        """Return the wheel of a release for an interpreter, downloaded if needed and checked against its hash.

        Raises:
            NotInstallable: the index has no such wheel, no hash of it, or gave other bytes.
            IndexUnreachable: the index does not answer.
        """
        file = self._listed(package, release, python)
        digest = self._digest(file)
        path = self._folder / digest[:16] / file.filename
        if not path.exists():
            self._download(file.url, digest, path)
        return Wheel(path, package, release, digest)

    def digest(self, package: str, release: str, python: str) -> str:
        """Return the sha256 of the wheel that `fetch` returns.

        Raises:
            NotInstallable: the index has no such wheel, or no hash of it.
            IndexUnreachable: the index does not answer.
        """
        return self._digest(self._listed(package, release, python))

    def _digest(self, file: DistributionPackage) -> str:
        digest = file.digests.get("sha256")
        if digest is None:
            raise NotInstallable(f"the index {self._index.url} gives no sha256 of {file.filename}.")
        return digest

    def _listed(self, package: str, release: str, python: str) -> DistributionPackage:
        """Return what the index says of the wheel."""
        for file, version, tags in linux_wheels(self._index.files(package)):
            if version == Version(release) and any(serves(tag, python) for tag in tags):
                return file
        raise NotInstallable(f"the index has no wheel of {package} {release} for Python {python} any more.")

    def _download(self, url: str, digest: str, path: Path) -> None:
        """Download a file; it is deleted if its digest is wrong."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                given = self._copy(url, file.write)
                if given != digest:
                    raise NotInstallable(
                        f"{url} has the sha256 {given}, but the index lists {digest}; the file was changed."
                    )
                Path(file.name).replace(path)
            finally:
                Path(file.name).unlink(missing_ok=True)

    def _copy(self, url: str, write: Callable[[bytes], Any]) -> str:
        """Download an address into a file and return its sha256."""
        hashed = hashlib.sha256()
        try:
            with self._index.session() as session, session.get(url, stream=True, timeout=TIMEOUT_SECONDS) as answer:
                answer.raise_for_status()
                for chunk in answer.iter_content(CHUNK_BYTES):
                    hashed.update(chunk)
                    write(chunk)
        except requests.RequestException as error:
            raise IndexUnreachable(f"{url} cannot be fetched: {error}; check the network.") from error
        return hashed.hexdigest()


def write_stand_in(folder: Path, package: str, release: str) -> Path:
    """Write a wheel without content and requirements, and return its path.

    In its place a resolver takes a package that is there already for given, whatever its index has of it.
    """
    name = canonicalize_name(package).replace("-", "_")
    path, place = folder / f"{name}-{release}-py3-none-any.whl", f"{name}-{release}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{place}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {release}\n")
        archive.writestr(f"{place}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{place}/RECORD", "")
    return path


def _move_into(source: Path, folder: Path) -> None:
    """Move the content of a folder into another one, merging common folders."""
    for entry in sorted(source.iterdir()) if source.is_dir() else ():
        # The folder itself keeps its mode: other users read it.
        if entry.is_dir():
            shutil.copytree(entry, folder / entry.name, copy_function=shutil.move, dirs_exist_ok=True)
        else:
            shutil.move(entry, folder / entry.name)
