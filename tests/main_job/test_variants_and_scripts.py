"""Variants and scripts on a few real TensorFlow releases; docs/reproduction.md and docs/probes/script.md have more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.main_job.conftest import EXAMPLES, Ended, Tfbisect

pytestmark = [pytest.mark.containers, pytest.mark.index]
FEW = ("--releases", "1.12.0,1.13.1,1.14.0", "--branches", "none", "--runner", "docker", "--json")


def changes(ended: Ended) -> list[tuple[str, str, str]]:
    assert ended.code == 0, ended.err
    return [(change["after"], change["old"], change["new"]) for change in ended.verdict["changes"]]


def variants(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.err
    return {variant["name"]: variant for variant in ended.verdict["variants"]}


def test_the_fault_is_in_deferred_mode_under_graph_execution(engine: None, tfbisect: Tfbisect) -> None:
    names = ("input-shape", "eager", "graph")
    asked = [word for name in names for word in ("--variant", name)]
    ended = tfbisect("run", str(EXAMPLES / "dropout_tutorial.py"), "--probe", "dropout", *FEW, *asked)
    found = variants(ended)
    assert {name: variant["effect"] for name, variant in found.items()} == {
        "input-shape": "cures",
        "eager": "cures",
        "graph": "same",
    }
    assert "models that fit builds" in found["input-shape"]["words"]


def test_a_layers_name_changed_in_one_release_and_back(engine: None, tfbisect: Tfbisect) -> None:
    script = str(EXAMPLES / "script" / "output.py")
    ended = tfbisect("run", script, "--probe", "script", "--judge-by", "output", *FEW)
    assert [after for after, _, _ in changes(ended)] == ["1.13.1", "1.14.0"]
    assert changes(ended)[0][1] == changes(ended)[1][2]


def test_a_notebook_is_bisected_and_the_place_of_its_mistake_is_named_by_cell(
    engine: None, tfbisect: Tfbisect, tmp_path: Path
) -> None:
    cells = ["%matplotlib inline\nimport tensorflow as tf", "print(tf.__version__)\nprint(model)\n"]
    file = tmp_path / "own.ipynb"
    file.write_text(json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": cell} for cell in cells]}))
    ended = tfbisect("run", str(file), "--probe", "script", "--releases", "1.12.0,1.14.0", *FEW[2:])
    assert ended.code == 2
    assert "left out of the notebook: cell 1, line 1: %matplotlib inline" in ended.err
    assert "name 'model' is not defined at cell 2, line 2" in ended.err
    assert 'File "snippet.py", line 7 (cell 2, line 2)' in ended.err


def test_a_script_gets_what_it_imports_beside_the_release(engine: None, tfbisect: Tfbisect) -> None:
    source = "import tensorflow as tf\nimport tqdm\nprint(tf.__version__, tqdm.__version__)\n"
    ended = tfbisect("run", "-", "--probe", "script", "--releases", "1.14.0", *FEW[2:], given=source)
    assert ended.code == 0, ended.err
    assert [segment["outcome"] for segment in ended.verdict["segments"]] == ["passes"]
    assert ended.verdict["additions"] == [{"requirement": "tqdm", "from": "import", "untestable": 0}]


def test_a_script_with_a_mistake_of_its_own_is_no_verdict(engine: None, tfbisect: Tfbisect) -> None:
    source = "import tensorflow as tf\nprint(tf.__version__)\nprint(model)\n"
    ended = tfbisect("run", "-", "--probe", "script", *FEW, given=source)
    assert ended.code == 2
    assert ended.verdict["error"]["line"] == 3
    assert "NameError: name 'model' is not defined" in ended.err
    assert ended.verdict["runs"]["executed"] == 3
