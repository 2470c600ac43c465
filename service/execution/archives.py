"""Archives for builds: the same content gives the same bytes, so that the engine knows a layer again."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from service.errors import Unavailable

EPOCH = 315532800  # 1980: what zip archives, and so some wheels, take for the beginning of time


def pack(archive: Path, root: Path, members: Iterable[str], leave_out: Iterable[str] = ()) -> None:
    """Write members of a folder to a tar archive, owned by root, in order of their names.

    Args:
        archive: the file to write.
        root: folder that the members are named from.
        members: files and folders below it; one that is missing is an error.
        leave_out: patterns of paths to go without, `*` crosses folders.

    Raises:
        Unavailable: tar failed, for instance on a full disk.
    """
    # GNU tar takes a second where Python's own takes ten.
    command = ["tar", "--create", "--file", str(archive), "--directory", str(root), "--sort=name", "--format=gnu"]
    command += ["--owner=0", "--group=0", "--numeric-owner", f"--mtime=@{EPOCH}", "--mode=u+rw,go+rX,go-w"]
    command += [f"--exclude={pattern}" for pattern in leave_out]
    done = subprocess.run([*command, "--", *members], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"packing {root} failed: {done.stderr.strip()[-300:]}")


def write_context(context: Path, files: Mapping[str, Path | bytes]) -> None:
    """Write a build context: a tar archive of files by name, from paths or bytes."""
    with tarfile.open(context, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, source in files.items():
            content = source if isinstance(source, bytes) else None
            entry = tarfile.TarInfo(name)
            entry.mtime = EPOCH
            entry.size = len(content) if content is not None else Path(str(source)).stat().st_size
            with io.BytesIO(content) if content is not None else Path(str(source)).open("rb") as stream:
                archive.addfile(entry, stream)
