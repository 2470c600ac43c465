"""Random numbers are seeded as a script imports their sources, without being in the way of an import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SHARED = Path(__file__).parents[2] / "probes" / "shared"
# As NumPy 2 does, this module imports something to answer for an attribute that it does not have yet.
NUMPY = """
def __getattr__(name):
    import warnings
    raise AttributeError(name)

import json

class random:
    drawn = []

    @classmethod
    def seed(cls, seed):
        cls.drawn.append(seed)
"""
SCRIPT = """
from tfbisect_seeds import Seeded

with Seeded(7):
    import numpy
    import string
print(numpy.random.drawn)
"""


def test_a_module_that_imports_to_answer_for_an_attribute_is_seeded_once(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(NUMPY)
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(SHARED)!r}]\n{SCRIPT}"
    ended = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout.strip(), ended.stderr) == ("[7]", "")
