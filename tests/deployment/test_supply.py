"""What the service is made of, and what is known of that."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ZEROS, ONES = "0" * 64, "1" * 64
LOCK = f"tiny==1.0 --hash=sha256:{ZEROS}\nother==2.0 ; sys_platform == 'win32' --hash=sha256:{ONES}\n"


def run(script: str, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, check=False)


@contextmanager
def database(vulnerable: str = "") -> Iterator[str]:
    """Serve the interface of OSV: one package has a vulnerability."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = {"id": "PYSEC-2026-1", "summary": "bad", "affected": [], "modified": "2026-01-01T00:00:00Z"}
            said = {"vulns": [known]} if asked["package"]["name"] == vulnerable else {}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        # Named so by http.server.
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def test_the_bill_names_every_package_of_the_lock_with_its_digests(tmp_path: Path) -> None:
    made = run("sbom.py", ROOT / "requirements.lock", tmp_path / "sbom.json")
    assert made.returncode == 0, made.stderr
    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {each["name"]: each["version"] for each in bill["components"]} == locked
    assert all(each["hashes"] for each in bill["components"])


def test_a_known_vulnerability_fails_the_audit(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(LOCK)
    with database("tiny") as url:
        found = run("audit.py", tmp_path / "lock", OSV_URL=url)
    assert found.returncode == 1, found.stderr
    assert "PYSEC-2026-1" in found.stdout


def test_a_lock_without_a_known_vulnerability_passes(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(LOCK)
    with database() as url:
        assert run("audit.py", tmp_path / "lock", OSV_URL=url).returncode == 0


def test_a_lock_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("tiny==1.0\n")
    with database() as url:
        assert run("audit.py", tmp_path / "lock", OSV_URL=url).returncode == 1


def test_where_nobody_can_be_asked_the_audit_says_so_and_passes(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(LOCK)
    asked = run("audit.py", tmp_path / "lock", OSV_URL="http://127.0.0.1:9/v1/query")
    assert asked.returncode == 0
    assert "cannot ask" in asked.stdout
    assert "nothing was checked" in asked.stdout
