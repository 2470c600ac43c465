"""Reads a project from an archive that somebody sent: nothing in it is trusted, or written to a disk."""

from __future__ import annotations

import bz2
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from service.errors import ProjectError
from service.projects.choosing import IGNORE_FILE, Ignored, is_secret
from service.projects.files import MIB, Bounds, checked_path, shown_path
from service.projects.folders import Gathered

# The others may ask for gigabytes of memory before they give a byte.
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2})
ENCRYPTED = 0x1
XZ_BYTES = 128 * MIB
"""Memory that unpacking may take; an archive can ask for gigabytes."""
COMPRESSED: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(memlimit=XZ_BYTES)),
)
TAR_BLOCK_BYTES = 512
HEADER_BLOCKS = 6
"""Blocks of one file beside its content: a header, an extended one with its content, the rest of the last block."""
READ_BYTES = 256 * 1024
UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    MemoryError,
)
"""What the standard library raises for archives that are damaged, or made to be."""


def is_archive(content: bytes) -> bool:
    """Say whether a file is a zip or tar archive, compressed or not, by its first bytes."""
    packed = any(content.startswith(magic) for magic, _ in COMPRESSED)
    return content.startswith((b"PK\x03\x04", b"PK\x05\x06")) or packed or content[257:262] == b"ustar"


def gather_archive(content: bytes, bounds: Bounds) -> Gathered:
    """Return the files of an archive as those of a folder: without what git ignores, and without secrets.

    Raises:
        ProjectError: it cannot be read, holds links, devices, unusable paths, or too much.
    """
    read = _of_zip if content.startswith(b"PK") else _of_tar
    try:
        files = list(read(content, bounds))
    except UNREADABLE as error:
        raise ProjectError(f"the archive cannot be read: {type(error).__name__}: {str(error)[:200]}") from None
    return chosen(files)


def chosen(files: Iterable[tuple[str, bytes]]) -> Gathered:
    """Leave out of sent files what git ignores, and secrets.

    Raises:
        ProjectError: an unusable path.
    """
    checked = [(checked_path(path), content) for path, content in files]
    ignored = Ignored()
    for path, content in checked:
        folder, _, name = path.rpartition("/")
        if name == IGNORE_FILE:
            ignored.add(folder, content)
    gathered = Gathered()
    for path, content in checked:
        if ignored.covers_within(path):
            continue
        if is_secret(path, content):
            gathered.secrets.append(path)
        else:
            gathered.files.append((path, content))
    return gathered


def _of_zip(content: bytes, bounds: Bounds) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        # What the entries claim, before any is unpacked; what they hold is counted, too.
        bounds.check(len(entries), sum(entry.file_size for entry in entries))
        size_bytes = 0
        for entry in entries:
            _check_zip_entry(entry)
            with archive.open(entry) as source:
                held = _read(source, bounds.most_bytes - size_bytes, bounds)
            size_bytes += len(held)
            yield entry.filename, held


def _check_zip_entry(entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if stat.S_ISLNK(kind):
        raise ProjectError(f"{shown_path(entry.filename)} in the archive is a link; pack the file itself.")
    if kind and not stat.S_ISREG(kind):
        raise ProjectError(f"{shown_path(entry.filename)} in the archive is neither a file nor a folder.")
    if entry.flag_bits & ENCRYPTED:
        raise ProjectError(f"{shown_path(entry.filename)} in the archive is encrypted; pack it without a password.")
    if entry.compress_type not in METHODS:
        raise ProjectError(
            f"{shown_path(entry.filename)} in the archive is packed by another method than deflate or bzip2."
        )


def _of_tar(content: bytes, bounds: Bounds) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(_plain(content, bounds)), mode="r:") as archive:
        files = size_bytes = 0
        for entry in archive:
            if entry.isdir():
                continue
            if entry.issym() or entry.islnk():
                raise ProjectError(f"{shown_path(entry.name)} in the archive is a link; pack the file itself.")
            if not entry.isreg() or entry.issparse():
                raise ProjectError(f"{shown_path(entry.name)} in the archive is neither a file nor a folder.")
            files, size_bytes = files + 1, size_bytes + entry.size
            bounds.check(files, size_bytes)
            source = archive.extractfile(entry)
            yield entry.name, source.read() if source is not None else b""


def _plain(content: bytes, bounds: Bounds) -> bytes:
    """Return the tar archive in a compressed one, up to what its bounds allow."""
    most_bytes = bounds.most_bytes + (bounds.most_files + 1) * HEADER_BLOCKS * TAR_BLOCK_BYTES
    for magic, begin in COMPRESSED:
        if content.startswith(magic):
            unpacking = begin()
            held: bytes = unpacking.decompress(content, most_bytes + 1)
            if len(held) > most_bytes:
                raise ProjectError(_too_large(bounds))
            if not unpacking.eof:
                raise EOFError("it is cut off")
            return held
    return content


def _read(source: IO[bytes], most_bytes: int, bounds: Bounds) -> bytes:
    """Return all that unpacks, unless it is more than allowed."""
    held = bytearray()
    while chunk := source.read(READ_BYTES):
        held += chunk
        if len(held) > most_bytes:
            raise ProjectError(_too_large(bounds))
    return bytes(held)


def _too_large(bounds: Bounds) -> str:
    return f"the archive unpacks to more than {bounds.most_bytes / MIB:g} MiB."
