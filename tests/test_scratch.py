"""Folders for a moment: whoever is killed leaves one, and the next process clears it away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

MAKES_ONE = "from service.scratch import make_scratch_folder; print(make_scratch_folder(), flush=True); "


def started(folder: Path, then: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", MAKES_ONE + then],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def made_by(process: subprocess.Popen[str]) -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def test_what_a_killed_process_left_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    with started(tmp_path, "input()") as killed:
        left = made_by(killed)
        killed.send_signal(signal.SIGKILL)
    assert left.is_dir()
    with started(tmp_path, "") as following:
        made_by(following)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_cleared_away_by_one_that_was_there_before(tmp_path: Path) -> None:
    with started(tmp_path, "input(); print(make_scratch_folder(), flush=True); input()") as living:
        made_by(living)
        with started(tmp_path, "input()") as killed:
            left = made_by(killed)
            killed.send_signal(signal.SIGKILL)
        assert left.is_dir()
        assert living.stdin is not None
        living.stdin.write("\n")
        living.stdin.flush()
        made_by(living)
        assert not left.exists()
        living.communicate("\n")


def test_what_a_living_process_holds_stays(tmp_path: Path) -> None:
    with started(tmp_path, "input()") as living:
        kept = made_by(living)
        with started(tmp_path, "") as other:
            made_by(other)
        assert kept.is_dir()
        living.communicate("\n")
    assert not list(tmp_path.iterdir())


def test_a_forked_child_that_ends_leaves_its_parents_folder(tmp_path: Path) -> None:
    fork = (
        "import os, sys; child = os.fork(); child or sys.exit(); os.waitpid(child, 0); print('', flush=True); input()"
    )
    with started(tmp_path, fork) as parent:
        kept = made_by(parent)
        made_by(parent)
        assert kept.is_dir()
        parent.communicate("\n")
