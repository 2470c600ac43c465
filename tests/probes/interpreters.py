"""The interpreters of this machine, by version."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

VERSIONS = ("2.7", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


@cache
def interpreters() -> dict[str, str]:
    """Return a working interpreter for each version that is here."""
    return {version: found for version in VERSIONS if (found := _find(version))}


def _find(version: str) -> str | None:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [str(path) for path in sorted(root.glob(f"versions/{version}.*/bin/python"))]
    candidates += [found] if (found := shutil.which(f"python{version}")) else []
    return next((path for path in candidates if _works(path, version)), None)


def _works(path: str, version: str) -> bool:
    """A shim of pyenv is there for versions that are not."""
    said = subprocess.run(
        [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=False
    )
    return said.stdout.strip() == version
