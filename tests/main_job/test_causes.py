"""What changes come from, in real releases of other packages: the release itself, or what came along with it.

`make causes` runs all of them; a part that needs three small images is in every run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.main_job.conftest import Ended, Tfbisect

pytestmark = [pytest.mark.containers, pytest.mark.index]
ALL = pytest.mark.skipif(not os.environ.get("FULL"), reason="needs many images; FULL=1, or make causes")
WITH_NUMPY = "import numpy as np\nimport {module}\nprint(repr(np.float32(1.5)))\n"


def asked(tfbisect: Tfbisect, folder: Path, source: str, package: str, releases: str) -> Ended:
    file = folder / "snippet.py"
    file.write_text(source)
    words = ("--package", package, "--releases", releases, "--runner", "docker", "--json")
    ended = tfbisect("run", str(file), *words, TFBISECT_BRIDGES="true")
    assert ended.code == 0, ended.err
    return ended


def only_change(ended: Ended) -> dict[str, Any]:
    (change,) = ended.verdict["changes"]
    return dict(change)


def comes_with_numpy(ended: Ended) -> None:
    change = only_change(ended)
    cause = change["cause"]
    assert (cause["axis"], cause["package"]["name"]) == ("environment", "numpy")
    assert ended.verdict["summary"].startswith(f"With numpy {cause['package']['before']} to")
    assert f"In {change['after']}" not in ended.verdict["summary"]


def test_what_numpy_2_prints_is_not_the_doing_of_ml_dtypes(engine: None, tfbisect: Tfbisect, tmp_path: Path) -> None:
    source = WITH_NUMPY.format(module="ml_dtypes")
    comes_with_numpy(asked(tfbisect, tmp_path, source, "ml-dtypes", "0.4.0,0.4.1"))
    again = asked(tfbisect, tmp_path, source, "ml-dtypes", "0.4.0,0.4.1")
    assert again.verdict["runs"]["executed"] == 0
    comes_with_numpy(again)


@ALL
def test_nor_over_a_range_of_ml_dtypes(engine: None, tfbisect: Tfbisect, tmp_path: Path) -> None:
    comes_with_numpy(asked(tfbisect, tmp_path, WITH_NUMPY.format(module="ml_dtypes"), "ml-dtypes", "0.3..0.5"))


@ALL
def test_nor_the_doing_of_pandas(engine: None, tfbisect: Tfbisect, tmp_path: Path) -> None:
    comes_with_numpy(asked(tfbisect, tmp_path, WITH_NUMPY.format(module="pandas"), "pandas", "2.1..2.3"))


@ALL
def test_what_jax_changed_in_a_patch_release_is_introduced_there(
    engine: None, tfbisect: Tfbisect, tmp_path: Path
) -> None:
    source = "import jax\nprint(hasattr(jax.tree_util, 'tree_leaves_with_path'), jax.__version_info__ >= (0, 4, 36))\n"
    change = only_change(asked(tfbisect, tmp_path, source, "jax", "0.4.34..0.5"))
    assert (change["line"], change["before"], change["after"]) == ("mainline", "0.4.35", "0.4.36")
