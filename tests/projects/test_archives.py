"""Archives that somebody sends: read without being unpacked on a disk, and refused where they are made to harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from service.errors import ProjectError
from service.projects.archives import gather_archive, is_archive
from service.projects.files import MIB, Bounds, project_of

SMALL = Bounds(most_bytes=MIB, most_files=20)


def zipped(
    *files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, mode: int = 0o100644, flags: int = 0
) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content, method)
    raw = bytearray(written.getvalue())
    if flags:
        for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            raw[raw.index(magic) + at] |= flags
    return bytes(raw)


def tarred(*files: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = kind, target, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def claiming(size_bytes: int) -> bytes:
    entry = tarfile.TarInfo("a")
    entry.size = size_bytes
    return entry.tobuf() + bytes(4096)


FILES = (("main.py", b"x = 1"), ("own/data.csv", b"1,2"))


@pytest.mark.parametrize(
    "archive",
    [
        zipped(*FILES),
        zipped(*FILES, method=zipfile.ZIP_BZIP2),
        tarred(*FILES),
        gzip.compress(tarred(*FILES)),
        bz2.compress(tarred(*FILES)),
        lzma.compress(tarred(*FILES)),
    ],
)
def test_zip_and_tar_are_read(archive: bytes) -> None:
    assert is_archive(archive)
    assert gather_archive(archive, SMALL).files == list(FILES)


def test_a_script_is_no_archive() -> None:
    assert not is_archive(b"import tensorflow\n" * 100)


def test_archives_leave_out_what_a_folder_leaves_out() -> None:
    more = ((".gitignore", b"out/\n"), ("out/big.bin", b"x"), (".env", b"x"), (".git/config", b"x"))
    gathered = gather_archive(zipped(*FILES, *more), SMALL)
    assert [path for path, _ in gathered.files] == ["main.py", "own/data.csv", ".gitignore"]
    assert gathered.secrets == [".env"]


BOMB = bytes(50 * MIB)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: zipped(("a", BOMB)), "more than 1 MiB"),
        (lambda: zipped(*[(f"{number}", b"") for number in range(21)]), "more than 20 files"),
        (lambda: gzip.compress(BOMB), "more than 1 MiB"),
        (lambda: bz2.compress(BOMB), "more than 1 MiB"),
        (lambda: lzma.compress(BOMB), "more than 1 MiB"),
        (lambda: tarred(*[(f"{number}", b"") for number in range(21)]), "more than 20 files"),
        (lambda: claiming(1 << 40), "more than 1 MiB"),
        (lambda: zipped(("../a", b"")), "may lead out"),
        (lambda: tarred(("../a", b"")), "may lead out"),
        (lambda: tarred(("/etc/cron.d/a", b"")), "is absolute"),
        (lambda: zipped(("/a", b"")), "is absolute"),
        (lambda: zipped(("a", b"/etc/passwd"), mode=0o120777), "is a link"),
        (lambda: zipped(("a", b""), mode=0o060666), "neither a file nor a folder"),
        (lambda: tarred(("a", b""), kind=tarfile.SYMTYPE, target="/etc/passwd"), "is a link"),
        (lambda: tarred(("a", b""), kind=tarfile.LNKTYPE, target="b"), "is a link"),
        (lambda: tarred(("a", b""), kind=tarfile.CHRTYPE), "neither a file nor a folder"),
        (lambda: tarred(("a", b""), kind=tarfile.FIFOTYPE), "neither a file nor a folder"),
        (lambda: zipped(("a", b"x"), flags=1), "is encrypted"),
        (lambda: zipped(("a", b"x"), method=zipfile.ZIP_LZMA), "another method"),
        (lambda: zipped(("a\x1b[2J", b"")), "control characters"),
        (lambda: zipped(*FILES)[:-30], "cannot be read"),
        (lambda: gzip.compress(tarred(*FILES))[:-20], "cannot be read"),
        (lambda: b"PK\x03\x04" + b"x" * 100, "cannot be read"),
    ],
)
def test_an_archive_that_harms_or_is_damaged_is_refused(make: Callable[[], bytes], words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        gather_archive(make(), SMALL)


def test_the_same_name_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(("a", b"1"), ("a", b"2"))
    with pytest.raises(ProjectError, match="two files are named 'a'"):
        project_of(gather_archive(archive, SMALL).files, SMALL)
