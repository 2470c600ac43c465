"""A project: files by their path, checked before anything is kept, and addressed by their content."""

from __future__ import annotations

import base64
import hashlib
import io
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from service.bisection.words import counted
from service.errors import ProjectError
from service.json_text import digest_of

MIB = 1024**2
PATH_BYTES = 400
NAME_BYTES = 200
SHOWN_CHARACTERS = 80
# Every packed project of the same files is the same bytes.
PACKED_AT = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bounds:
    """How much one project may hold."""

    most_bytes: int = 16 * MIB
    most_files: int = 2000

    def allow(self, files: int, size_bytes: int) -> bool:
        """Say whether so much is within them."""
        return files <= self.most_files and size_bytes <= self.most_bytes

    def check(self, files: int, size_bytes: int, *, more: str = "") -> None:
        """Refuse more than that.

        Args:
            files: how many there are, or are so far.
            size_bytes: of all of them together.
            more: what to say of them.

        Raises:
            ProjectError: too many, or too large.
        """
        if files > self.most_files:
            raise ProjectError(
                f"more than {counted(self.most_files, 'file')}{more}; leave some out by a .gitignore, or raise "
                "TFBISECT_PROJECT_FILES."
            )
        if size_bytes > self.most_bytes:
            raise ProjectError(
                f"the files have more than {self.most_bytes / MIB:g} MiB{more}; leave some out by a .gitignore, or "
                "raise TFBISECT_PROJECT_BYTES."
            )


@dataclass(frozen=True)
class Project:
    """Files by path, with the digest that stands for them."""

    files: Mapping[str, bytes]
    """Sorted by path; "/" separates folders."""

    @cached_property
    def digest(self) -> str:
        """Return the digest of all paths and contents: "sha256:…"."""
        return digest_of([[path, hashlib.sha256(content).hexdigest()] for path, content in self.files.items()])

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.files.values()))

    @cached_property
    def packed(self) -> bytes:
        """Return it as a zip archive, to be stored."""
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in self.files.items():
                archive.writestr(zipfile.ZipInfo(path, PACKED_AT), content, zipfile.ZIP_DEFLATED)
        return written.getvalue()

    @cached_property
    def sent(self) -> Mapping[str, str]:
        """Return each file as a run gets it: compressed, in Base64."""
        return {path: base64.b64encode(zlib.compress(content)).decode() for path, content in self.files.items()}

    def listing(self) -> list[dict[str, Any]]:
        """Return paths and sizes, as JSON."""
        return [{"path": path, "bytes": len(content)} for path, content in self.files.items()]


def unpacked(packed: bytes) -> Project:
    """Return what `Project.packed` made."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return Project({name: archive.read(name) for name in archive.namelist()})


def project_of(files: Iterable[tuple[str, bytes]], bounds: Bounds) -> Project:
    """Return a project of files that are all fit to be laid out in one folder.

    Raises:
        ProjectError: a path that leads out of the folder or is otherwise unusable, the same path twice, a file in the
            place of a folder, no files, or too much.
    """
    found: dict[str, bytes] = {}
    size_bytes = 0
    for given, content in files:
        path = checked_path(given)
        if path in found:
            raise ProjectError(f"two files are named {shown_path(path)}; rename one.")
        found[path] = content
        size_bytes += len(content)
        bounds.check(len(found), size_bytes)
    if not found:
        raise ProjectError("there are no files; name at least one.")
    for path in found:
        for folder in _folders_of(path):
            if folder in found:
                raise ProjectError(f"{shown_path(folder)} is both a file and a folder; rename one.")
    return Project(dict(sorted(found.items())))


def checked_path(path: str) -> str:
    """Return a path within a project in its normal form.

    Raises:
        ProjectError: absolute, with "..", with control characters, too long, or not text.
    """
    parts = path.split("/")
    if path.startswith(("/", "\\")) or (len(path) > 1 and path[1] == ":"):
        raise ProjectError(f"the path {shown_path(path)} is absolute; paths must begin in the project's folder.")
    if ".." in parts or "\\" in path:
        raise ProjectError(
            f"the path {shown_path(path)} may lead out of the project's folder; write it without `..` or `\\`."
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in path):
        raise ProjectError(
            f"the name {shown_path(path)} has control characters, or is not text in UTF-8; rename the file."
        )
    parts = [part for part in parts if part not in ("", ".")]
    if not parts:
        raise ProjectError(f"the path {shown_path(path)} is empty.")
    if len(path.encode()) > PATH_BYTES or any(len(part.encode()) > NAME_BYTES for part in parts):
        raise ProjectError(
            f"the path {shown_path(path)} is longer than {PATH_BYTES} bytes, or a name than {NAME_BYTES}."
        )
    return "/".join(parts)


def shown_path(path: str) -> str:
    """Return a path as a message shows it: short, and without anything that steers a terminal."""
    return repr(path if len(path) <= SHOWN_CHARACTERS else f"{path[:SHOWN_CHARACTERS]}…")


def _folders_of(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
