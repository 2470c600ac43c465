"""The second engine of the tests: nothing of it stays, whatever became of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.engines import clear_away


def test_an_engine_that_was_killed_leaves_neither_mounts_nor_processes(tmp_path: Path) -> None:
    folder = tmp_path / "tfb-engine-test"
    inner = folder / "data" / "overlay"
    inner.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "tfbisect-test", str(inner)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount, and not everywhere")
    program = inner / "containerd-shim"
    program.symlink_to("/bin/sh")
    keeper = [str(program), "-c", "trap '' TERM; while :; do sleep 1; done", str(folder)]
    with subprocess.Popen(keeper, cwd=inner) as left:
        clear_away(folder)
        assert left.wait(5) != 0
    assert not folder.exists()
    assert str(folder) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")
