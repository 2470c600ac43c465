"""Archives for builds, made while they are sent: equal content gives equal bytes, so that layers are recognised.

A layer holds a whole framework. Writing it to disk first would cost more than the installation.
"""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from service.errors import Unavailable

EPOCH = 315532800  # 1980, the earliest date of zip archives, and so of some wheels
CHUNK_BYTES = 1 << 20
END = b"\0" * (2 * tarfile.BLOCKSIZE)
"""What closes a tar archive."""
# 1 means "changed as we read it": the files are links into the shared cache, and a concurrent build that links them
# too changes their link count, never their content.
HARMLESS = (0, 1)


@dataclass(frozen=True)
class Packed:
    """Members of a folder as a tar archive, owned by root, in order of their names."""

    root: Path
    members: tuple[str, ...]
    """Files and folders below the root; they must exist."""
    leave_out: tuple[str, ...] = ()
    """Patterns of excluded paths; `*` crosses folders."""
    place: str = "."
    """Folder of the archive that replaces `.`."""

    def size_bytes(self) -> int:
        """Return the archive's size, without reading any file's content.

        Raises:
            Unavailable: a member cannot be read.
        """
        done = subprocess.run(self._command("/dev/null"), capture_output=True, text=True, check=False)
        found = re.search(r"(\d+) \(", done.stderr)
        if done.returncode not in HARMLESS or found is None:
            raise Unavailable(f"packing {self.root} failed: {done.stderr.strip()[-300:]}")
        return int(found.group(1))

    def chunks(self) -> Iterator[bytes]:
        """Yield the archive.

        Raises:
            Unavailable: a member cannot be read.
        """
        with subprocess.Popen(self._command("-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as packing:
            assert packing.stdout is not None  # noqa: S101  # asked for above
            while chunk := packing.stdout.read(CHUNK_BYTES):
                yield chunk
            _, complaint = packing.communicate()
        if packing.returncode not in HARMLESS:
            raise Unavailable(f"packing {self.root} failed: {complaint.decode(errors='replace').strip()[-300:]}")

    def _command(self, archive: str) -> list[str]:
        """Return the command: GNU tar takes a second where Python's own takes ten."""
        command = [
            "tar",
            "--create",
            "--totals",
            "--file",
            archive,
            "--directory",
            str(self.root),
            "--sort=name",
            "--format=gnu",
        ]
        command += ["--owner=0", "--group=0", "--numeric-owner", f"--mtime=@{EPOCH}", "--mode=u+rw,go+rX,go-w"]
        if self.place != ".":
            command.append(f"--transform=flags=rSh;s,^\\./,{self.place}/,")  # hard links too, symbolic ones not
        # tar refuses an empty list, but a folder may be empty, such as data sets that could not be downloaded.
        members = ("--", *self.members) if self.members else ("--files-from=/dev/null",)
        return [*command, *(f"--exclude={pattern}" for pattern in self.leave_out), *members]


@dataclass(frozen=True)
class Tree:
    """Files and a packed folder as a tar archive of a root file system, with the folders on the way."""

    files: Mapping[str, bytes]
    """Path, relative to the root -> content."""
    packed: Packed
    """Comes last, at its path."""

    def size_bytes(self) -> int:
        """Return the archive's size, as `Packed.size_bytes` does."""
        return len(self._head()) + self.packed.size_bytes()

    def chunks(self) -> Iterator[bytes]:
        """Yield the archive, as `Packed.chunks` does."""
        yield self._head()
        yield from self.packed.chunks()

    def _head(self) -> bytes:
        """Return what comes before the packed folder."""
        paths = [PurePosixPath(path) for path in (*self.files, f"{self.packed.place}/.")]
        # Folders without an entry get a mode from the engine that excludes other users.
        folders = {folder: None for path in paths for folder in reversed(path.parents) if folder.parts}
        parts = [_header(str(folder), tarfile.DIRTYPE, 0o755, 0) for folder in folders]
        parts += [b"".join(entry(path, len(content), iter((content,)))) for path, content in self.files.items()]
        return b"".join(parts)


def entry(name: str, size_bytes: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a file of a tar archive.

    Raises:
        Unavailable: its content is not as long as was said.
    """
    yield _header(name, tarfile.REGTYPE, 0o644, size_bytes)
    sent = 0
    for chunk in chunks:
        sent += len(chunk)
        yield chunk
    if sent != size_bytes:
        raise Unavailable(f"packing {name} gave {sent} bytes instead of {size_bytes}; try again.")
    yield b"\0" * (-size_bytes % tarfile.BLOCKSIZE)


def _header(name: str, kind: bytes, mode: int, size_bytes: int) -> bytes:
    """Return the header of a file or a folder in a tar archive."""
    header = tarfile.TarInfo(name)
    header.type, header.mode, header.mtime, header.size = kind, mode, EPOCH, size_bytes
    return header.tobuf(tarfile.GNU_FORMAT)


def context_of(files: Mapping[str, bytes | Packed]) -> Iterator[bytes]:
    """Yield a build context: a tar archive of files by name, some of which are archives."""
    for name, source in files.items():
        if isinstance(source, bytes):
            yield from entry(name, len(source), iter((source,)))
        else:
            yield from entry(name, source.size_bytes(), source.chunks())
    yield END


def unpack_into(folder: Path, chunks: Iterable[bytes]) -> None:
    """Unpack an archive from a stream, with the current user as owner.

    Raises:
        Unavailable: it is broken, or the folder cannot be written.
    """
    command = ["tar", "--extract", "--file", "-", "--directory", str(folder), "--no-same-owner"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as unpacking:
        assert unpacking.stdin is not None  # noqa: S101  # asked for above
        with suppress(BrokenPipeError):  # tar says why it ended
            for chunk in chunks:
                unpacking.stdin.write(chunk)
        _, complaint = unpacking.communicate()
    if unpacking.returncode != 0:
        raise Unavailable(f"unpacking into {folder} failed: {complaint.decode(errors='replace').strip()[-300:]}")


def empty_archive() -> bytes:
    """Return an empty archive, for a step of a Dockerfile that adds nothing."""
    return b"".join(context_of({}))
