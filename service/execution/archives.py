"""Archives for builds, made while they are sent: the same content gives the same bytes, so that layers are known again.

A layer holds a whole framework. Writing it to disk first would cost more than the installation.
"""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.errors import Unavailable

EPOCH = 315532800  # 1980: what zip archives, and so some wheels, take for the beginning of time
CHUNK_BYTES = 1 << 20
# 1 says "changed as we read it": the files are links into the shared cache, and a build beside this one that links them
# too changes their link count, never their content.
HARMLESS = (0, 1)


@dataclass(frozen=True)
class Packed:
    """Members of a folder as a tar archive, owned by root, in order of their names."""

    root: Path
    members: tuple[str, ...]
    """Files and folders below the root; one that is missing is an error."""
    leave_out: tuple[str, ...] = ()
    """Patterns of paths to go without, `*` crosses folders."""

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
        # Without a name tar takes it for a mistake, but a folder may have nothing to give: data sets, where none came.
        members = ("--", *self.members) if self.members else ("--files-from=/dev/null",)
        return [*command, *(f"--exclude={pattern}" for pattern in self.leave_out), *members]


def context_of(files: Mapping[str, bytes | Packed]) -> Iterator[bytes]:
    """Yield a build's context: a tar archive of files by name, some of them archives themselves."""
    for name, source in files.items():
        entry = tarfile.TarInfo(name)
        entry.mtime = EPOCH
        entry.size = len(source) if isinstance(source, bytes) else source.size_bytes()
        yield entry.tobuf(tarfile.GNU_FORMAT)
        sent = 0
        for chunk in (source,) if isinstance(source, bytes) else source.chunks():
            sent += len(chunk)
            yield chunk
        if sent != entry.size:
            raise Unavailable(f"packing {name} gave {sent} bytes instead of {entry.size}; try again.")
        yield b"\0" * (-entry.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def unpack_into(folder: Path, chunks: Iterable[bytes]) -> None:
    """Unpack an archive as it comes, its files owned by who unpacks.

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
    """Return an archive of nothing, for a step of a Dockerfile that has nothing to add."""
    return b"".join(context_of({}))
