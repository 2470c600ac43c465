"""A script with files beside it, or a folder with a command, as the command line is given them."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.cli.projects import Asked, read_asked
from service.errors import BadInput
from service.projects.files import Bounds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("work/main.py", "work/data/x.csv", "work/own/a.py", "elsewhere/b.csv", "work/.env"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x = 1")
    return tmp_path


def names(asked: Asked) -> list[str]:
    return [] if asked.project is None else list(asked.project.files)


def test_a_file_below_the_scripts_folder_keeps_its_way_and_any_other_its_name(folder: Path) -> None:
    beside = [folder / "work/data/x.csv", folder / "elsewhere/b.csv", folder / "work/own"]
    asked = read_asked(str(folder / "work/main.py"), ["--epochs", "1"], beside, Bounds())
    assert (asked.snippet, asked.command, asked.arguments) == ("x = 1", (), ("--epochs", "1"))
    assert names(asked) == ["b.csv", "data/x.csv", "own/a.py"]


def test_everything_beside_the_script_without_its_secrets(folder: Path) -> None:
    asked = read_asked(str(folder / "work/main.py"), [], [folder / "work"], Bounds())
    assert names(asked) == ["data/x.csv", "main.py", "own/a.py"]
    assert asked.secrets == (".env",)


def test_a_secret_that_is_named_by_itself_is_taken(folder: Path) -> None:
    assert names(read_asked(str(folder / "work/main.py"), [], [folder / "work/.env"], Bounds())) == [".env"]


def test_a_folder_is_a_project_and_its_words_are_the_command(folder: Path) -> None:
    asked = read_asked(str(folder / "work"), ["python", "main.py"], [folder / "elsewhere"], Bounds())
    assert (asked.snippet, asked.command, asked.arguments) == ("", ("python", "main.py"), ())
    assert names(asked) == ["data/x.csv", "elsewhere/b.csv", "main.py", "own/a.py"]


def test_what_cannot_be_taken_is_refused(folder: Path) -> None:
    script = str(folder / "work/main.py")
    cases = [
        (str(folder / "work"), [], "say what to run in it"),
        (script, [folder / "nowhere"], "no such file or folder"),
        (script, [folder / "elsewhere/b.csv", folder / "elsewhere/b.csv"], "two files are named 'b.csv'"),
        (script, [Path("/dev/null")], "'/dev/null' is neither a file nor a folder"),
    ]
    for file, beside, words in cases:
        with pytest.raises(BadInput, match=words):
            read_asked(file, [], beside, Bounds())
