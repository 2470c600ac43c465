import io
import os
import tarfile
import threading
from pathlib import Path

import pytest

from service.errors import Unavailable
from service.images.archives import Packed, context_of, empty_archive
from service.images.builder import FINISHING
from service.resources import resource_dir


def opened(chunks: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(chunks))


def test_a_context_holds_files_and_archives_made_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"1")
    (tmp_path / "a" / "left").write_bytes(b"2")
    content = b"".join(context_of({"Dockerfile": b"FROM x", "p.tar": Packed(tmp_path, ("a",), ("a/left",))}))
    with opened(content) as outer:
        assert outer.getnames() == ["Dockerfile", "p.tar"]
        inner = outer.extractfile("p.tar")
        assert inner is not None
        with tarfile.open(fileobj=inner) as packed:
            assert packed.getnames() == ["a", "a/b"]
            assert {(entry.uid, entry.mtime) for entry in packed} == {(0, 315532800)}


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in sorted("zyx", reverse=name == "two"):
            (tmp_path / name / file).write_bytes(b"same")
        archives.append(b"".join(Packed(tmp_path / name, (".",)).chunks()))
    assert archives[0] == archives[1]


def test_files_that_another_build_links_meanwhile_are_packed(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "large").write_bytes(os.urandom(64 << 20))
    stop = threading.Event()

    def link() -> None:
        while not stop.is_set():
            (tmp_path / "other").hardlink_to(tmp_path / "p" / "large")
            (tmp_path / "other").unlink()

    beside = threading.Thread(target=link)
    beside.start()
    try:
        packed = Packed(tmp_path / "p", (".",))
        assert sum(len(chunk) for chunk in packed.chunks()) == packed.size_bytes()
    finally:
        stop.set()
        beside.join()


def test_a_missing_member_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"packing .* failed: .*absent"):
        Packed(tmp_path, ("absent",)).size_bytes()


def test_an_empty_archive_is_an_archive() -> None:
    with opened(empty_archive()) as archive:
        assert archive.getnames() == []


def test_a_folder_with_nothing_to_give_is_an_empty_archive(tmp_path: Path) -> None:
    nothing = Packed(tmp_path, ())
    content = b"".join(nothing.chunks())
    assert len(content) == nothing.size_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == []


@pytest.mark.parametrize("name", FINISHING)
def test_what_is_handed_to_an_old_python_by_its_command_line_is_ascii(name: str) -> None:
    # Python 3.6 without a locale reads any other letter of its arguments as half of a character.
    assert (resource_dir("images") / name).read_text(encoding="utf-8").isascii()
