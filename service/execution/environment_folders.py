"""Virtual environments of releases on this machine: one per environment digest, made once."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from service.catalog.uv import uv_command
from service.errors import NoInterpreter
from service.execution.sessions import EnvironmentSupply, ResolvedEnvironment
from service.locks import held

MARKER = "complete.json"
VENV_SECONDS = 120


class InstallableEnvironments(EnvironmentSupply, Protocol):
    """Resolves a release and installs it."""

    def install(self, environment: Any, folder: Path, python: Path | None = None) -> None:
        """Install into the virtual environment of an interpreter."""


class EnvironmentFolders:
    """A virtual environment per environment digest, each made once across threads and processes."""

    def __init__(
        self, folder: Path, environments: InstallableEnvironments, interpreter: Callable[[str], Path | None]
    ) -> None:
        self._folder = folder
        self._environments = environments
        self._interpreter = interpreter

    def ensure(self, environment: ResolvedEnvironment, release: str) -> Path:
        """Return the folder of an environment, installed if needed.

        Raises:
            NoInterpreter: no Python of its version is here.
            NotInstallable: its packages cannot be installed.
            Unavailable: the index does not answer.
        """
        interpreter = self._interpreter(environment.python)
        if interpreter is None:
            raise NoInterpreter(
                f"{release} needs Python {environment.python} and none was found; install one (pyenv, uv, or your "
                f"system's package), or start Docker and use --runner docker."
            )
        folder = self._folder / environment.digest.removeprefix("sha256:")[:24]
        if not (folder / MARKER).exists():
            with held(folder.with_suffix(".lock")):
                if not (folder / MARKER).exists():
                    self._make(environment, interpreter, folder)
        return folder

    def _make(self, environment: ResolvedEnvironment, interpreter: Path, folder: Path) -> None:
        """Install; the marker is written last, so that an interrupted installation never counts as an environment."""
        shutil.rmtree(folder, ignore_errors=True)
        make_venv(interpreter, folder)
        self._environments.install(environment, folder, folder / "bin" / "python")
        facts = {"python": environment.python, "packages": dict(environment.packages), "prefix": str(interpreter)}
        (folder / MARKER).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def make_venv(interpreter: Path, folder: Path) -> None:
    """Make an empty virtual environment.

    Raises:
        NoInterpreter: the interpreter makes none, with what uv says.
        Unavailable: uv is missing.
    """
    command = [uv_command(), "venv", "--quiet", "--no-config", "--no-project", "--python", str(interpreter)]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False, timeout=VENV_SECONDS)
    if done.returncode != 0:
        raise NoInterpreter(f"{interpreter} cannot create a virtual environment: {done.stderr.strip()[:400]}")
