"""What TensorFlow's own upgrade script knows of names and keywords, read from the tables in a wheel."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from service.catalog.interfaces import parsed_tree

FOLDER = "tools/compatibility/"
RENAMES = ("all_renames_v2.py", "renames_v2.py")
SCRIPT = "tf_upgrade_v2.py"


@dataclass(frozen=True)
class UpgradeTables:
    """Facts of the upgrade script, with `tensorflow` in place of `tf`."""

    names: Mapping[str, str]
    """Name in 1.x -> name in 2.x."""
    keywords: Mapping[str, Mapping[str, str | None]]
    """Function -> keyword in 1.x -> keyword in 2.x; None: it is gone."""


def upgrade_tables(texts: Iterable[tuple[str, str]]) -> UpgradeTables:
    """Read the tables from a wheel's files; empty where it has none.

    Args:
        texts: path and text of each file.
    """
    names: dict[str, str] = {}
    keywords: dict[str, dict[str, str | None]] = {}
    for path, text in texts:
        if FOLDER not in path or not path.endswith((*RENAMES, SCRIPT)):
            continue
        for key, value in _entries(text):
            match value:
                case str() if not path.endswith(SCRIPT):
                    names[_whole(key)] = _whole(value)
                case dict() if path.endswith(f"/{SCRIPT}"):
                    renamed = {old: new for old, new in value.items() if isinstance(new, str | None)}
                    if renamed and all(isinstance(old, str) for old in renamed):
                        keywords.setdefault(_whole(key), {}).update(renamed)
    return UpgradeTables(names, keywords)


def _entries(text: str) -> Iterator[tuple[str, object]]:
    """Yield the entries of a file's tables whose keys are names of TensorFlow."""
    tree = parsed_tree(text)
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.startswith("tf."):
                try:
                    yield key.value, ast.literal_eval(value)
                except (ValueError, TypeError):
                    continue


def _whole(name: str) -> str:
    return f"tensorflow.{name.removeprefix('tf.')}"
