"""The shipped data sets: mapped into memory, and every reader's own to change."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

import pytest

from service.resources import resource_dir
from tests.probes.environments import cache_folder, environment
from tests.probes.protocol import PROBES, ask

COUNT, SIDE = 6, 2
PROGRAM = """
import json, sys, types
sys.path.insert(0, sys.argv[1])
import numpy
import tfbisect_datasets
notes = []
load = tfbisect_datasets.loader(types.SimpleNamespace(note=notes.append), "mnist")
(x, y), (tested, _) = load()
x[0] = 255
y += 1
(again, labels), _ = load()
print(json.dumps({
    "kind": type(x) is numpy.ndarray, "copied": bool(x.flags.owndata), "dtype": str(x.dtype),
    "shapes": [x.shape, y.shape, tested.shape],
    "written": x[0].tolist(), "again": again.tolist(), "labels": labels.tolist(), "scaled": (again / 2.0)[-1, -1, -1],
    "notes": notes,
}))
"""


def digits(folder: Path) -> dict[Path, bytes]:
    """Write four small IDX files; return what they hold."""
    written = {}
    folder.mkdir()
    for part in ("train", "t10k"):
        pixels = struct.pack(">4i", 2051, COUNT, SIDE, SIDE) + bytes(range(COUNT * SIDE * SIDE))
        labels = struct.pack(">2i", 2049, COUNT) + bytes(range(COUNT))
        written[folder / f"{part}-images-idx3-ubyte"] = pixels
        written[folder / f"{part}-labels-idx1-ubyte"] = labels
    for path, words in written.items():
        path.write_bytes(words)
    return written


def test_a_script_may_change_the_digits_and_nobody_else_sees_it(tmp_path: Path) -> None:
    files = digits(tmp_path / "mnist")
    python = environment(cache_folder(tmp_path / "environments"), "numpy", "1.14.5", "3.6")
    said = subprocess.run(
        [python, "-c", PROGRAM, str(resource_dir("probes") / "shared")],
        env={"TFBISECT_DATASETS": str(tmp_path)},
        capture_output=True,
        check=True,
    ).stdout
    found = json.loads(said)
    assert found["kind"]
    assert not found["copied"]
    assert found["dtype"] == "uint8"
    assert found["shapes"] == [[COUNT, SIDE, SIDE], [COUNT], [COUNT, SIDE, SIDE]]
    assert found["written"] == [[255, 255], [255, 255]]
    assert found["again"][0] == [[0, 1], [2, 3]]
    assert found["labels"] == list(range(COUNT))
    assert found["scaled"] == (COUNT * SIDE * SIDE - 1) / 2
    assert found["notes"][0] == f"data set mnist: the real one, {COUNT} + {COUNT}"
    assert {path: path.read_bytes() for path in files} == files


FAKE = """
import os, sys
for folder, text in (
    ("fakekeras", ""),
    ("fakekeras/datasets", ""),
):
    os.makedirs(folder)
    open(folder + "/__init__.py", "w").write(text)
for name in NAMES:
    open("fakekeras/datasets/%s.py" % name, "w").write(
        "def load_data(*a, **k):\\n    raise OSError('URL fetch failure')\\n"
        "def get_word_index():\\n    raise OSError('URL fetch failure')\\n"
    )
sys.path.insert(0, os.getcwd())
import importlib
for name in NAMES:
    module = importlib.import_module("fakekeras.datasets." + name)
    (x, y), (tx, ty) = module.load_data(num_words=1000)
    tfbisect_report(name, [x.dtype.kind, len(x), list(x.shape[1:]), list(y.shape[1:]), len(tx)])
from fakekeras.datasets.imdb import get_word_index
tfbisect_report("words", len(get_word_index()))
from fakekeras.datasets.imdb import load_data
tfbisect_report("words of a text", max(max(words) for words in load_data(num_words=1000)[0][0][:50]) < 1000)
"""
SHAPES = {
    "mnist": ["u", 60000, [28, 28], [], 10000],
    "fashion_mnist": ["u", 60000, [28, 28], [], 10000],
    "cifar10": ["u", 50000, [32, 32, 3], [1], 10000],
    "cifar100": ["u", 50000, [32, 32, 3], [1], 10000],
    "imdb": ["O", 25000, [], [], 25000],
    "reuters": ["O", 8982, [], [], 2246],
    "boston_housing": ["f", 404, [13], [], 102],
    "california_housing": ["f", 16512, [8], [], 4128],
}


def test_the_probe_script_has_the_data_sets_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    python = environment(cache_folder(tmp_path / "environments"), "numpy", "1.14.5", "3.6")
    answered = ask(python, PROBES["script"], f"NAMES = {list(SHAPES)!r}\n{FAKE}")
    found = dict(answered.measurements["reported"])
    assert {name: found[name] for name in SHAPES} == SHAPES
    assert found["words"] == 88583
    assert found["words of a text"]
    assert "data set imdb: synthetic, 25000 + 25000 texts, 2000 of them different" in answered.measurements["notes"]
