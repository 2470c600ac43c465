"""Real local environments for real releases, as of each release's own day."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pypi_simple import PyPISimple
from uv import find_uv_bin

from tests.probes.interpreters import interpreters

MARGIN = timedelta(days=7)


def environment(folder: Path, package: str, release: str, python: str, *extra: str) -> str:
    """Return the interpreter of an environment that holds one release, made when it is not there.

    Skips the test where the interpreter is missing.
    """
    base = interpreters().get(python) or pytest.skip(f"no Python {python} here")
    place = folder / f"{package}-{release}-{python}"
    if not (place / "made").exists():
        uv = [find_uv_bin(), "--quiet"]
        subprocess.run([*uv, "venv", "--clear", "--python", base, str(place)], check=True)
        wanted = [f"{package}=={release}", *extra]
        target = ["--python", str(place / "bin" / "python"), *as_of(uploaded(package, release) + MARGIN)]
        subprocess.run([*uv, "pip", "install", *target, *wanted], check=True)
        (place / "made").touch()
    return str(place / "bin" / "python")


def as_of(day: datetime) -> list[str]:
    """Return uv's options for what was there on a day; build tools of today, for source packages of then."""
    exempt = [option for name in ("setuptools", "wheel") for option in ("--exclude-newer-package", f"{name}={NEVER}")]
    return ["--exclude-newer", day.isoformat(), *exempt]


NEVER = "2100-01-01"


def uploaded(package: str, release: str) -> datetime:
    """Return when the last wheel of a release was uploaded."""
    with PyPISimple() as index:
        page = index.get_project_page(package)
    times = [file.upload_time for file in page.packages if file.version == release and file.upload_time]
    return max(times)


def cache_folder(fallback: Path) -> Path:
    """Return where environments are kept: a folder of one's own outlives the run."""
    chosen = os.environ.get("TFBISECT_TEST_CACHE")
    return Path(chosen) if chosen else fallback
