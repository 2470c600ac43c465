"""The snippets that the form offers, and the stored answer that the first page shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from service.catalog.probes import DEFAULT_PROBE
from service.errors import NotFound

ANSWERED = "dropout_tutorial.json"
"""A verdict that real runs gave to the first example, as `tfbisect run --json` printed it."""


@dataclass(frozen=True)
class Example:
    """A snippet that the form offers."""

    file: str
    title: str
    shows: str = ""
    """What its answer tells; an example without has no card of its own."""
    releases: str = ""
    probe: str = DEFAULT_PROBE
    package: str = "tensorflow"


EXAMPLES = (
    Example(
        "dropout_tutorial.py",
        "The 2018 Dropout bug",
        "A tutorial script whose Dropout layer did nothing in training for half a year: no failure, no warning.",
        "1.9..1.14",
    ),
    Example(
        "dropout_tutorial_fixed.py",
        "The workaround",
        "One argument more, and the same script trains with dropout in every release: how to check that a fix holds.",
        "1.9..1.14",
    ),
    Example(
        "custom_script.py",
        "A custom script",
        "Not a model, but what code around it leans on: which names a release gives to accuracy and learning rate.",
        "1.13..2.3",
    ),
    Example(
        "legacy_version.py",
        "Another package",
        "Any package of the index can be bisected: since which release does packaging refuse this version?",
        package="packaging",
    ),
    Example("noise_layer.py", "A noise layer"),
    Example("dropout_keras.py", "Standalone Keras", package="keras"),
    Example("dropout_torch.py", "In PyTorch", package="torch"),
    Example("dropout_torch_training.py", "A PyTorch training", package="torch"),
)


def examples_in(folder: Path | None) -> list[Example]:
    """Return the existing examples, the known ones first."""
    if folder is None or not folder.is_dir():
        return []
    found = {path.name for path in folder.glob("*.py")}
    known = [example for example in EXAMPLES if example.file in found]
    others = sorted(found - {example.file for example in known})
    return known + [Example(file, file.removesuffix(".py").replace("_", " ")) for file in others]


def example_named(folder: Path | None, name: str) -> Example:
    """Return an example by its file.

    Raises:
        NotFound: there is none of this name.
    """
    found = next((example for example in examples_in(folder) if example.file == name), None)
    if found is None:
        raise NotFound(f"there is no example {name[:64]!r}.")
    return found


def example_text(folder: Path | None, name: str) -> str:
    """Return the source of an example.

    Raises:
        NotFound: there is none of this name.
    """
    example = example_named(folder, name)
    if folder is None:
        raise NotFound(f"there is no example {name[:64]!r}.")
    return (folder / example.file).read_text(encoding="utf-8")


@lru_cache(4)
def answered_in(folder: Path | None) -> Mapping[str, Any] | None:
    """Return the shipped verdict; None where the examples are not there."""
    path = folder / ANSWERED if folder is not None else None
    if path is None or not path.is_file():
        return None
    verdict: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return verdict
