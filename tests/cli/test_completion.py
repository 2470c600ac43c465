"""Completion in real shells, by the scripts that `--show-completion` prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).parent / "tfbisect"
CASES = {
    "tfbisect watch ''": {"add", "list", "remove"},
    "tfbisect run x.py --branches t": {"tips"},
}
BASH = """
eval "$(_TFBISECT_COMPLETE=source_bash tfbisect)"
offered() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  _tfbisect_completion tfbisect
  echo "${COMPREPLY[@]}"
}
"""
# What a user types goes to a shell of its own.
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; autoload -Uz compinit; compinit -u -D'
zpty -w shell 'eval "$(_TFBISECT_COMPLETE=source_zsh tfbisect)"; echo rea""dy'
zpty -r shell seen '*ready*'
zpty -w -n shell 'tfbisect expo'$'\t'
zpty -r shell seen '*export*'
print -rn -- "$seen"
zpty -d shell
"""


def in_shell(name: str, script: str) -> str:
    """Run a script in a shell that finds the program."""
    if shutil.which(name) is None or not PROGRAM.exists():
        pytest.skip(f"no {name} here")
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        [name, "-c", script],
        env={**os.environ, "PATH": path, "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_bash_completes() -> None:
    lines = in_shell("bash", BASH + "\n".join(f"offered {words}" for words in CASES)).splitlines()
    assert {words: set(line.split()) for words, line in zip(CASES, lines, strict=True)} == CASES


def test_zsh_completes() -> None:
    assert "export" in in_shell("zsh", ZSH)
