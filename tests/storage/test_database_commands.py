"""`tfbisect db upgrade/export/import`, as a user has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.storage.exchange import export_lines
from service.storage.schema import downgrade
from tests.storage.test_exchange import fill


def tfbisect(url: str, folder: Path, *words: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    variables = {**os.environ, "TFBISECT_DATABASE_URL": url, "TFBISECT_DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "service", "db", *words]
    return subprocess.run(command, env=variables, input=given, capture_output=True, check=False)


@pytest.mark.postgres
def test_everything_moves_from_sqlite_to_postgresql_and_back_by_commands(
    postgres_server: str, empty_postgres_url: str, tmp_path: Path
) -> None:
    here, back = (f"sqlite:///{tmp_path / name}.sqlite3" for name in ("here", "back"))
    fill(here)
    exported = tfbisect(here, tmp_path, "export")
    assert exported.returncode == 0, exported.stderr
    imported = tfbisect(empty_postgres_url, tmp_path, "import", given=exported.stdout)
    assert b"1 bisections" in imported.stderr
    returned = tfbisect(empty_postgres_url, tmp_path, "export")
    assert returned.stdout == exported.stdout
    assert tfbisect(back, tmp_path, "import", given=returned.stdout).returncode == 0
    assert "\n".join(export_lines(back)).encode() == exported.stdout.strip()


def test_an_upgrade_makes_the_tables_and_says_so_and_a_second_one_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fresh.sqlite3'}"
    for _ in range(2):
        ended = tfbisect(url, tmp_path, "upgrade")
        assert (ended.returncode, ended.stdout) == (0, b"")
        assert b"up to date" in ended.stderr
    assert len(list(export_lines(url))) == 2


def test_an_old_database_is_not_used_until_it_is_upgraded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    fill(url)
    downgrade(url, "0001")
    refused = tfbisect(url, tmp_path, "export")
    assert (refused.returncode, refused.stdout) == (3, b"")
    assert b"tfbisect db upgrade" in refused.stderr
    assert tfbisect(url, tmp_path, "upgrade").returncode == 0
    assert tfbisect(url, tmp_path, "export").returncode == 0


def test_a_file_that_was_cut_imports_nothing(tmp_path: Path) -> None:
    here, there = (f"sqlite:///{tmp_path / name}.sqlite3" for name in ("here", "there"))
    fill(here)
    whole = tfbisect(here, tmp_path, "export").stdout
    cut = tfbisect(there, tmp_path, "import", given=whole[: len(whole) // 2])
    assert cut.returncode == 2
    assert b"nothing was imported" in cut.stderr or b"not JSON" in cut.stderr
    assert tfbisect(there, tmp_path, "import", given=whole).returncode == 0
