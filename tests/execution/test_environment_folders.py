"""Virtual environments are whole or not there, whoever dies while making them, and made once."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from service.errors import NoInterpreter, NotInstallable
from service.execution.environment_folders import MARKER, EnvironmentFolders
from tests.execution.conftest import BareEnvironment, BareEnvironments, host_python

ENVIRONMENT = BareEnvironment("3", digest="sha256:" + "ab" * 32)


class Counting(BareEnvironments):
    """Counts installations, which take a while."""

    def __init__(self, *, failures: int = 0) -> None:
        super().__init__("3")
        object.__setattr__(self, "made", [])
        object.__setattr__(self, "failures", failures)

    def install(self, environment: Any, folder: Path, python: Path | None = None) -> None:
        made: list[Path] = self.made  # type: ignore[attr-defined]
        made.append(folder)
        time.sleep(0.2)  # long enough for the second caller to be there
        if len(made) <= self.failures:  # type: ignore[attr-defined]
            raise NotInstallable("its wheel is gone")


def test_an_environment_runs_and_is_made_only_once_for_several_callers(tmp_path: Path) -> None:
    counting = Counting()
    folders = EnvironmentFolders(tmp_path, counting, lambda _: host_python())
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(folders.ensure(ENVIRONMENT, "x 1"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counting.made) == 1  # type: ignore[attr-defined]
    assert len(set(found)) == 1
    subprocess.run([str(found[0] / "bin" / "python"), "-c", "pass"], check=True)


def test_what_a_failed_installation_left_is_not_taken_for_an_environment(tmp_path: Path) -> None:
    counting = Counting(failures=1)
    folders = EnvironmentFolders(tmp_path, counting, lambda _: host_python())
    with pytest.raises(NotInstallable):
        folders.ensure(ENVIRONMENT, "x 1")
    assert not list(tmp_path.glob(f"*/{MARKER}"))
    folder = folders.ensure(ENVIRONMENT, "x 1")
    assert (folder / MARKER).exists()
    assert len(counting.made) == 2  # type: ignore[attr-defined]


def test_a_folder_without_its_marker_is_made_anew(tmp_path: Path) -> None:
    folders = EnvironmentFolders(tmp_path, BareEnvironments("3"), lambda _: host_python())
    folder = folders.ensure(ENVIRONMENT, "x 1")
    (folder / MARKER).unlink()
    (folder / "half").touch()
    assert not (folders.ensure(ENVIRONMENT, "x 1") / "half").exists()


def test_a_missing_interpreter_is_named_with_the_release_and_what_to_do(tmp_path: Path) -> None:
    folders = EnvironmentFolders(tmp_path, BareEnvironments("3"), lambda _: None)
    with pytest.raises(NoInterpreter, match=r"tensorflow 1\.12\.0 needs Python 3 .*install one.*--runner docker"):
        folders.ensure(ENVIRONMENT, "tensorflow 1.12.0")
