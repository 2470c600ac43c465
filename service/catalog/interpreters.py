"""Python interpreters of this machine: on PATH, under pyenv, under uv."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); print(getattr(sys, 'base_prefix', sys.prefix))"
PROBE_TIMEOUT_SECONDS = 20


MINORS = tuple(f"3.{minor}" for minor in range(5, 14))
"""Every minor that some TensorFlow wheel supports, oldest first."""


def installed_interpreters() -> list[str]:
    """Return the minors installed on this machine, oldest first."""
    return [python for python in MINORS if find_interpreter(python) is not None]


@cache
def find_interpreter(python: str) -> Path | None:
    """Return the executable of an interpreter such as "3.6" outside of any virtual environment, or None."""
    for candidate in _candidates(python):
        prefix = _prefix_of(candidate, python)
        if prefix is not None:
            return prefix / "bin" / f"python{python}"
    return None


@cache
def loader_variables(interpreter: Path) -> dict[str, str]:
    """Return the variables that a moved interpreter needs to find its library."""
    prefix = interpreter.parent.parent
    found = _prefix_of(interpreter, ".".join(map(str, _numbers(interpreter.name)[:2])))
    return {"LD_LIBRARY_PATH": str(prefix / "lib")} if found is None else {}


def _candidates(python: str) -> Iterator[Path]:
    """Yield candidates for an interpreter, the likeliest first."""
    if python == f"{sys.version_info[0]}.{sys.version_info[1]}":
        yield Path(sys.executable)
    name = f"python{python}"
    for folder in _homes():
        # The newest patch first; pyenv names a folder 3.6.15, uv cpython-3.6.15-linux-x86_64-gnu.
        found = folder.glob(f"*{python}.*/bin/{name}")
        yield from sorted(found, key=lambda path: _numbers(path.parts[-3]), reverse=True)
    for part in os.environ.get("PATH", "").split(os.pathsep):
        yield Path(part or ".") / name


def _homes() -> list[Path]:
    """Return the folders where pyenv and uv keep their interpreters."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    return [pyenv, Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")]


def _numbers(name: str) -> list[int]:
    """Return the numbers in a folder's name, so that 3.6.9 sorts before 3.6.15."""
    return [int(number) for number in re.findall(r"\d+", name)]


def _prefix_of(candidate: Path, python: str) -> Path | None:
    """Return the real path of a candidate; None if it does not run (a shim) or has another version."""
    if not os.access(candidate, os.X_OK):
        return None
    try:
        command = [str(candidate), "-I", "-c", PROBE]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    version, _, prefix = answer.stdout.strip().partition("\n")
    return Path(prefix) if version == python and (Path(prefix) / "bin" / f"python{python}").exists() else None
