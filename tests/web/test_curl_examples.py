"""Every curl example of README and docs is run as it stands, against a service of our own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.web.conftest import Served
from tests.web.world import TUTORIAL

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """Return every shell block with a curl in it, with the file that it is from."""
    files = [ROOT / "README.md", ROOT / "docs" / "web.md"]
    return [(path.name, block) for path in files for block in BLOCK.findall(path.read_text()) if "curl" in block]


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("jq") is None, reason="curl or jq is not installed")
def test_the_examples_work_as_they_stand_in_order(service: Served) -> None:
    service.bisected(TUTORIAL)
    for name, block in blocks():
        script = block.replace("http://127.0.0.1:8000", service.url).replace("curl ", "curl --fail-with-body ")
        words = ["bash", "-euo", "pipefail", "-c", script]
        ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 0, f"{name}:\n{block}\n{ended.stdout}\n{ended.stderr}"
        service.world.work_off()


def test_readme_shows_how_to_submit_follow_read_and_report() -> None:
    shown = "".join(block for name, block in blocks() if name == "README.md")
    for part in ("/api/v1/bisections \\", "Idempotency-Key", "/events", '/bisections/$ID"', "/b/$ID.md", "changed_in="):
        assert part in shown
    assert len(blocks()) >= 5
