"""Bad input: a message that says what to do, exit 2, and nothing started."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.storage.store import Store
from tests.main_job.conftest import EXAMPLES, call
from tests.web.world import World

MODEL = (
    "import tensorflow as tf\nmodel = tf.keras.Sequential([tf.keras.layers.Dropout(0.5), tf.keras.layers.Dense(1)])\n"
)
DROPOUT = ("--probe", "dropout")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose catalog is known, so that no index is needed."""
    place = tmp_path_factory.mktemp("data")
    World(place).close()
    return place


def test_a_project_that_leads_out_of_its_folder_is_refused_and_nothing_is_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("x = 1\n")
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    ended = call(folder, "run", str(tmp_path), "--", "python", "main.py")
    assert (ended.code, ended.out) == (2, "")
    assert "Files not usable: 'passwd' is a link out of the folder" in ended.err
    with Store.open(f"sqlite:///{folder / 'tfbisect.sqlite3'}") as store:
        assert store.bisections().rows == ()


@pytest.mark.parametrize(
    ("snippet", "options", "says"),
    [
        ("", (), "the snippet is empty"),
        ("   \n", (), "the snippet is empty"),
        ("x = 1\n" * 20_000, (), "at most 65,536"),
        ("import tensorflow\nmodel = (\n", (), "line 2"),
        ("print 'x'\n", (), "line 1"),
        ("import tensorflow as tf\nx = tf.keras.layers.Dropout(0.5)\n", DROPOUT, "model"),
        ("import tensorflow as tf\nmodel = tf.keras.Sequential([tf.keras.layers.Dense(1)])\n", DROPOUT, "dropout"),
        (MODEL, ("--probe", "nonsense"), "there is no probe 'nonsense'; choose one of: behaviour, dropout"),
        (MODEL, (*DROPOUT, "--package", "numpy"), "not numpy"),
        (MODEL, ("--releases", "7.1..7.9"), "no release in '7.1..7.9'"),
        (MODEL, ("--releases", "1.14..1.9"), "1.14 is newer than 1.9; swap the ends"),
        (MODEL, ("--input-shape", "28x28"), "write it as 28,28"),
        (MODEL, ("--input-shape", "0"), "input_shape"),
        (MODEL, ("--resolution", "0"), "resolution"),
        (MODEL, ("--set", "speed=3"), "no parameter 'speed'"),
        (MODEL, ("--set", "speed"), "NAME=VALUE"),
    ],
)
def test_bad_input_says_what_to_do_and_starts_nothing(
    folder: Path, snippet: str, options: tuple[str, ...], says: str
) -> None:
    ended = call(folder, "run", "-", *options, given=snippet, TFBISECT_CATALOG_MAX_AGE_SECONDS="1e9")
    assert ended.code == 2, ended.err
    assert says in " ".join(ended.err.split())
    assert ended.out == ""
    with World(folder).store as store:
        assert store.open_counts() == {"queued": 0, "running": 0}


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    ended = call(folder, "run", str(folder / "missing.py"))
    assert ended.code == 2
    assert "cannot read" in ended.err


def test_a_file_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "picture.py").write_bytes(b"\x89PNG\xff\xfe")
    ended = call(folder, "run", str(folder / "picture.py"))
    assert ended.code == 2
    assert "not UTF-8 text" in ended.err


def test_an_index_that_does_not_answer_is_named(tmp_path: Path) -> None:
    ended = call(tmp_path, "run", str(EXAMPLES / "dropout_tutorial.py"), TFBISECT_INDEX_URL="http://127.0.0.1:9/simple")
    assert ended.code == 3
    assert "TFBISECT_INDEX_URL" in ended.err


def test_no_engine_is_said_with_what_to_do(folder: Path) -> None:
    ended = call(
        folder,
        "run",
        str(EXAMPLES / "dropout_tutorial.py"),
        "--runner",
        "docker",
        DOCKER_HOST="unix:///nowhere.sock",
        TFBISECT_CATALOG_MAX_AGE_SECONDS="1e9",
    )
    assert ended.code == 3
    assert "use --runner local" in ended.err


def test_an_unknown_bisection_is_said(folder: Path) -> None:
    ended = call(folder, "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert ended.code == 2
    assert "01ARZ3NDEKTSV4RRFFQ69G5FAV" in ended.err
