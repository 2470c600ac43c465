"""The command line as a user has it, in processes of its own, with a data folder that the whole session shares."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.errors import NoRunner
from service.execution.docker_engine import connect

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def verdict(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


Tfbisect = Callable[..., Ended]


def call(data_dir: Path, *words: str, given: str | None = None, **variables: str) -> Ended:
    ended = subprocess.run(
        [sys.executable, "-m", "service", *words],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env={**os.environ, "TFBISECT_DATA_DIR": str(data_dir), "COLUMNS": "200", **variables},
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Resolved environments and downloads, kept for all tests of this group."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def tfbisect(shared_folder: Path) -> Tfbisect:
    def run(*words: str, **more: Any) -> Ended:
        # Two answers beside a change instead of four: what needs more is asked for in test_true_verdict.py.
        return call(shared_folder, *words, **{"TFBISECT_CONFIRMATIONS": "2", **more})

    return run


@pytest.fixture(scope="session")
def engine() -> None:
    try:
        connect().close()
    except NoRunner as error:
        pytest.skip(error.message)
