"""A folder as a project: what is taken, what is left out, and what is refused before anything is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.errors import ProjectError
from service.projects.files import Bounds
from service.projects.folders import gather

KEY = b"# mine\n-----BEGIN OPENSSH " + b"PRIVATE KEY-----\nabc\n"


def make(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        write(folder, name, content)
    return folder


def write(folder: Path, path: str, content: str | bytes = "") -> None:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content if isinstance(content, bytes) else content.encode())


def taken(folder: Path, bounds: Bounds | None = None) -> list[str]:
    return [path for path, _ in gather(folder, bounds or Bounds()).files]


def test_what_git_ignores_is_left_out_as_git_does_it(tmp_path: Path) -> None:
    for path in ("a.py", "data/x.csv", "data/keep.csv", "out/b.py", "own/out/c.py", "own/d.log", "own/e.log"):
        write(tmp_path, path)
    write(tmp_path, ".gitignore", "# results\n/out/\n*.log\ndata/*.csv\n!data/keep.csv\n")
    write(tmp_path, "own/.gitignore", "!e.log\n")
    assert taken(tmp_path) == [".gitignore", "a.py", "data/keep.csv", "own/.gitignore", "own/e.log", "own/out/c.py"]


def test_the_repository_around_a_folder_has_its_say(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write(tmp_path, ".gitignore", "project/big.bin\n*.tmp\n")
    for path in ("project/a.py", "project/big.bin", "project/x.tmp"):
        write(tmp_path, path)
    assert taken(tmp_path / "project") == ["a.py"]


def test_what_tools_keep_for_themselves_is_left_out(tmp_path: Path) -> None:
    for path in (".git/config", "own/__pycache__/a.pyc", ".venv/x", "env/pyvenv.cfg", "env/lib/x.py", "own/a.py"):
        write(tmp_path, path)
    assert taken(tmp_path) == ["own/a.py"]


@pytest.mark.parametrize(
    "path",
    [".env", ".env.local", "prod.env", "server.pem", "tls.key", "own/id_rsa", "id_ed25519.pub", ".netrc", ".pypirc",
     "credentials.json", "credentials", "secrets.yaml", "service-account-prod.json", ".aws/config", "kaggle.json"],
)  # fmt: skip
def test_secrets_are_left_out_and_named(tmp_path: Path, path: str) -> None:
    write(tmp_path, path)
    write(tmp_path, "main.py")
    gathered = gather(tmp_path, Bounds())
    assert gathered.secrets == [path]
    assert [name for name, _ in gathered.files] == ["main.py"]


def test_a_private_key_is_known_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path, "notes.txt", KEY)
    assert gather(tmp_path, Bounds()).secrets == ["notes.txt"]


@pytest.mark.parametrize("path", [".env.example", "secrets.py", "credentials.py", "keys.csv", "tokenizer.json"])
def test_what_merely_sounds_like_a_secret_is_taken(tmp_path: Path, path: str) -> None:
    write(tmp_path, path)
    assert taken(tmp_path) == [path]


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_its_file(tmp_path: Path) -> None:
    folder = make(tmp_path / "project", **{"a.py": "x = 1"})
    (folder / "b.py").symlink_to("a.py")
    assert dict(gather(folder, Bounds()).files)["b.py"] == b"x = 1"
    for target in ("/etc/passwd", "../outside.py", "/nowhere"):
        link = folder / "c.py"
        link.symlink_to(target)
        with pytest.raises(ProjectError, match=r"'c\.py' is a link out of the folder"):
            gather(folder, Bounds())
        link.unlink()
    (folder / "again").symlink_to(".")
    with pytest.raises(ProjectError, match="'again' is a link to a folder"):
        gather(folder, Bounds())


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProjectError, match="'pipe' is neither a file nor a folder"):
        gather(tmp_path, Bounds())


def test_a_folder_that_is_too_large_is_refused_with_its_largest_files(tmp_path: Path) -> None:
    make(tmp_path, **{"a.py": "x", "data.csv": "x" * 2_000_000})
    with pytest.raises(ProjectError, match=r"more than 1 MiB \(the largest: 'data.csv' 1.9 MiB, 'a.py' 0.0 MiB\)"):
        gather(tmp_path, Bounds(most_bytes=1024**2))
    with pytest.raises(ProjectError, match="more than 1 file "):
        gather(tmp_path, Bounds(most_files=1))


def test_a_sparse_file_of_terabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as target:
        target.truncate(1 << 40)
    with pytest.raises(ProjectError, match="more than 16 MiB"):
        gather(tmp_path, Bounds())


@pytest.mark.parametrize("name", [b"a\x1b[2J.py", b"a\n.py", b"a\xff.py"])
def test_a_name_with_control_characters_is_refused(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).touch()
    with pytest.raises(ProjectError, match="control characters"):
        gather(tmp_path, Bounds())
