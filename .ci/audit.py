"""Known vulnerabilities of requirements.lock, by pip-audit from the database of OSV.

    python .ci/audit.py requirements.lock

Exit 0: none is known, or nobody can be asked, which is said; 1: one is known, or the lock cannot be read. A machine
without a network cannot ask, and that is no fault of the lock: OSV_URL names a copy of the database's interface.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx

PUBLIC = "https://api.osv.dev/v1/query"
TIMEOUT_SECONDS = 10.0


def why_nobody_answers(url: str) -> str:
    """Return why the database cannot be asked; empty where it answers."""
    question = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "26.3"}
    try:
        answer = httpx.post(url, json=question, timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    is_database = answer.is_success and answer.headers.get("content-type", "").startswith("application/json")
    return "" if is_database else f"answered {answer.status_code} {answer.reason_phrase}"


def audit(lock: str, url: str) -> int:
    """Ask about every package of a lock; return the exit code."""
    if reason := why_nobody_answers(url):
        print(f"audit: cannot ask: no database of vulnerabilities answers at {url} ({reason}); nothing was checked.")
        return 0
    tool = Path(sys.executable).parent / "pip-audit"
    command = [str(tool), "--requirement", lock, "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    return subprocess.run([*command, "--vulnerability-service", "osv", "--osv-url", url], check=False).returncode


if __name__ == "__main__":
    sys.exit(audit(sys.argv[1], os.environ.get("OSV_URL") or PUBLIC))
