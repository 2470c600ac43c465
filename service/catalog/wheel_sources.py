"""The Python sources of wheels: read from the index by ranges, without the libraries, and kept by the wheel's digest.

A framework's wheel has hundreds of megabytes of libraries and some six of Python; only those are fetched.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pypi_simple import DistributionPackage

from service.catalog.releases import TIMEOUT_SECONDS, Index, linux_wheels, serves
from service.errors import IndexUnreachable, NotInstallable

PART_BYTES = 2 << 20
"""One request each: Python files lie together between libraries, and few small requests cost more than their bytes."""
LARGEST_FILE_BYTES = 4 << 20
LARGEST_TOTAL_BYTES = 256 << 20
"""What a hostile wheel may unpack to; TensorFlow's Python is 31 MB."""
PARTIAL, WHOLE = 206, 200


class Sources(Mapping[str, str]):
    """The Python files of one wheel: path as it is imported by -> text, each read when it is asked for."""

    def __init__(self, path: Path, package: str, release: str, digest: str) -> None:
        """Open kept sources.

        Args:
            path: the archive of the Python files alone.
            package: whose wheel it is.
            release: of the package.
            digest: the wheel's sha256.
        """
        self.package, self.release, self.digest = package, release, digest
        self._archive = zipfile.ZipFile(path)
        self._members = {imported_path(each.filename): each.filename for each in self._archive.infolist()}

    def __getitem__(self, path: str) -> str:
        return self._archive.read(self._members[path]).decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


class PythonSources:
    """Fetches the sources of wheels, each once."""

    def __init__(self, index: Index, folder: Path) -> None:
        self._index = index
        self._folder = folder

    def of(self, package: str, release: str, python: str) -> Sources:
        """Return the sources of a release's wheel for an interpreter.

        Args:
            package: its name.
            release: its version.
            python: the interpreter's minor, such as "3.10".

        Raises:
            NotInstallable: the index has no such wheel.
            IndexUnreachable: the index does not answer.
        """
        file = self._listed(package, release, python)
        digest = file.digests.get("sha256", "")
        if not digest:
            raise NotInstallable(f"the index {self._index.url} gives no sha256 of {file.filename}.")
        path = self._folder / f"{digest[:32]}.zip"
        if not path.exists():
            self._keep(file, path)
        return Sources(path, package, release, digest)

    def _listed(self, package: str, release: str, python: str) -> DistributionPackage:
        try:
            wanted = Version(release)
        except InvalidVersion as error:
            raise NotInstallable(f"{release!r} is no version of {package}.") from error
        for file, version, tags in linux_wheels(self._index.files(canonicalize_name(package))):
            if version == wanted and any(serves(tag, python) for tag in tags):
                return file
        raise NotInstallable(f"the index has no wheel of {package} {release} for Python {python}.")

    def _keep(self, file: DistributionPackage, path: Path) -> None:
        """Write the Python files of a wheel to an archive of their own; half a one is never seen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as target:
            try:
                with self._index.session() as session:
                    copy_python(RemoteFile(session, file.url), target.name)
                Path(target.name).replace(path)
            except zipfile.BadZipFile as error:
                raise NotInstallable(f"{file.filename} is no wheel that can be read: {error}.") from error
            except requests.RequestException as error:
                raise IndexUnreachable(f"{file.url} cannot be read: {error}; check the network.") from error
            finally:
                Path(target.name).unlink(missing_ok=True)


def imported_path(name: str) -> str:
    """Return a member's path below site-packages; some wheels have their modules in a folder of data.

    >>> imported_path("tensorflow-1.14.0.data/purelib/tensorflow/__init__.py")
    'tensorflow/__init__.py'
    """
    first, _, rest = name.partition("/")
    if first.endswith(".data") and rest.startswith(("purelib/", "platlib/")):
        return rest.partition("/")[2]
    return name


def copy_python(source: io.RawIOBase, target: str) -> None:
    """Copy the Python files of a wheel into an archive of their own."""
    left = LARGEST_TOTAL_BYTES
    with (
        zipfile.ZipFile(io.BufferedReader(source, 1 << 16)) as wheel,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as kept,
    ):
        # In the order of the file: each part is fetched once.
        for member in sorted(wheel.infolist(), key=lambda each: each.header_offset):
            if member.filename.endswith(".py") and member.file_size <= min(left, LARGEST_FILE_BYTES):
                left -= member.file_size
                kept.writestr(member.filename, wheel.read(member))


class RemoteFile(io.RawIOBase):
    """A file of the index that is read in parts; the last part is kept."""

    def __init__(self, session: requests.Session, url: str) -> None:
        """Ask how long it is.

        Raises:
            requests.RequestException: the index does not answer.
        """
        super().__init__()
        self._session, self._url, self._at = session, url, 0
        self._part: tuple[int, bytes] = (-1, b"")
        answer = self._get("bytes=0-0")
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
        self._whole = answer.content if answer.status_code == WHOLE else None
        self._bytes = len(self._whole) if self._whole is not None else int(total or 0)

    def _get(self, wanted: str) -> requests.Response:
        answer = self._session.get(self._url, headers={"Range": wanted}, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if self._at >= self._bytes:
            return 0
        number, start = divmod(self._at, PART_BYTES)
        found = self._read(number)[start : start + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _read(self, number: int) -> bytes:
        first = number * PART_BYTES
        if self._whole is not None:
            return self._whole[first : first + PART_BYTES]
        if self._part[0] != number:
            last = min(self._bytes, first + PART_BYTES) - 1
            self._part = number, self._get(f"bytes={first}-{last}").content
        return self._part[1]
