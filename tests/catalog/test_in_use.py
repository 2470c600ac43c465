"""Which release a project uses, as its lock file or environment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.catalog.in_use import release_in_use

TOML = '[[{table}]]\nname = "numpy"\nversion = "1.26.4"\n\n[[{table}]]\nname = "Tensor_Flow"\nversion = "2.15.1"\n'


@pytest.mark.parametrize(
    ("file", "text", "version"),
    [
        ("uv.lock", TOML.format(table="package"), "2.15.1"),
        ("poetry.lock", TOML.format(table="package"), "2.15.1"),
        ("pylock.toml", TOML.format(table="packages"), "2.15.1"),
        ("requirements.txt", "numpy==1.26.4\ntensor.flow==2.15.1 \\\n    --hash=sha256:aa\n", "2.15.1"),
        ("requirements.txt", "tensor-flow[and-cuda]==2.15.1; python_version > '3'  # held\n", "2.15.1"),
        ("requirements.txt", "tensor-flow>=2.10\n-r other.txt\n--index-url x\n", None),
        ("requirements.txt", "tensor-flow==2.15.*\n", None),
        ("uv.lock", "[[package", None),
        ("uv.lock", "package = 3", None),
        ("requirements.txt", "\x00\x01\n", None),
    ],
)
def test_a_lock_file_says_which(tmp_path: Path, file: str, text: str, version: str | None) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / file).write_text(text)
    inner = tmp_path / "src" / "models"
    inner.mkdir(parents=True)
    found = release_in_use("tensor-flow", inner, {})
    assert (found.version if found else None) == version
    assert found is None or found.where == str(tmp_path / file)


def test_the_nearest_lock_file_is_asked_first_and_none_above_the_repository(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("nosuchpackage==1\n")
    top = tmp_path / "repository"
    (top / ".git").mkdir(parents=True)
    assert release_in_use("nosuchpackage", top, {}) is None
    (top / "requirements.txt").write_text("nosuchpackage==2\n")
    found = release_in_use("nosuchpackage", top, {})
    assert found is not None
    assert found.version == "2"


def test_the_active_environment_is_asked_then_the_one_that_runs_this(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    here = release_in_use("pytest", tmp_path, {})
    assert here is not None
    assert here.where == "this environment"
    info = tmp_path / "venv" / "lib" / "python3.10" / "site-packages" / "pytest-3.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: PyTest\nVersion: 3.0\n")
    active = release_in_use("pytest", tmp_path, {"VIRTUAL_ENV": str(tmp_path / "venv")})
    assert active is not None
    assert (active.version, active.where) == ("3.0", str(tmp_path / "venv"))
