"""What a report prints is run as it is printed, and the evidence by the one command that it takes."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bootstrap import House
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.settings import Settings

pytestmark = [pytest.mark.local, pytest.mark.index]

SOURCE = "import packaging\n\nprint('packaging', packaging.__version__)\n"
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
CODE = re.compile(r"^(\S+\.txt):\n\n```text\n(.*?)```", re.MULTILINE | re.DOTALL)


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line as a user would who has uv on the path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        shell=True,
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PATH": path},
    )


@pytest.fixture
def house(shared_folder: Path) -> Iterator[House]:
    opened = House(Settings(data_dir=shared_folder, runner="local", confirmations=2))
    yield opened
    opened.close()


def test_a_stranger_sees_both_sides_with_uv_as_the_report_says(house: House, tmp_path: Path) -> None:
    request = BisectionRequest(snippet=SOURCE, package="packaging", releases="24.0,24.1", python=HERE, why=False)
    found = house.submission.run(request, Silent(), ready=lambda: None).verdict
    assert found is not None
    report = house.markdown(found["id"])
    (tmp_path / "snippet.py").write_text(SOURCE)
    locks = dict(CODE.findall(report))
    assert locks.keys() == {"packaging-24.0.txt", "packaging-24.1.txt"}
    for name, text in locks.items():
        (tmp_path / name).write_text(text)
    said = re.findall(r"^(uv run .*)\n#   or: .*\n# expected: prints: (.*)$", report, re.MULTILINE)
    assert [line for _, line in said] == ["packaging 24.0", "packaging 24.1"]
    for command, line in said:
        ran = shell(command, tmp_path)
        assert ran.stdout.splitlines() == [line], ran.stderr

    with zipfile.ZipFile(io.BytesIO(b"".join(house.evidence(found["id"])))) as archive:
        archive.extractall(tmp_path)
    assert "--hash=sha256:" in (tmp_path / "evidence/locks/packaging-24.1.txt").read_text()
    ran = shell("uv run reproduce.py", tmp_path / "evidence")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("as recorded") == 2
    bundle = tmp_path / "evidence/bundle.json"
    bundle.write_text(bundle.read_text().replace("packaging-24.0.txt", "packaging-24.1.txt"))
    ran = shell("uv run reproduce.py", tmp_path / "evidence")
    assert ran.returncode == 1, "another release shows something else"
    assert "recorded was 24" in ran.stdout
