"""Which program rendered an answer: a digest of all code that rendering can reach by imports."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

OWN = "service"
"""The package whose modules are followed; others are fixed by requirements.lock."""
IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<module>[\w.]+)[ \t]+)?import[ \t]*(?P<names>\([^)]*\)|[^\n]*)", re.MULTILINE
)
COMMENT = re.compile(r"#[^\n]*")


def program_of(*entrances: ModuleType) -> str:
    """Return a digest of modules and of every module of ours that they import, directly or not: "sha256:…".

    Another digest, and a stored answer is rendered anew; so a module too many costs a rendering, and one too few would
    leave answers standing that this program does not give.
    """
    files = {_file_of(entrance) for entrance in entrances}
    reached = {path for file in files for path in modules_reached(file)}
    whole = hashlib.sha256()
    # By content only: the same program in another folder is the same program.
    for digest in sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files | reached):
        whole.update(digest.encode())
    return f"sha256:{whole.hexdigest()}"


def _file_of(module: ModuleType) -> Path:
    if module.__file__ is None:
        raise ValueError(f"{module.__name__} has no file")
    return Path(module.__file__)


def modules_reached(file: Path) -> set[Path]:
    """Return the files of all modules of ours that a file imports, directly or not."""
    reached: set[Path] = set()
    waiting = [file]
    while waiting:
        fresh = set(imported_by(waiting.pop())) - reached
        reached |= fresh
        waiting += fresh
    return reached


@cache
def imported_by(file: Path) -> tuple[Path, ...]:
    """Return the files of the modules of ours that a file imports anywhere."""
    names = set(imported_names(file.read_text(encoding="utf-8")))
    return tuple(path for name in sorted(names) if (path := _place_of(name)) is not None)


def imported_names(source: str) -> Iterator[str]:
    """Yield what the imports of a source may be of; `from a import b` may mean the module a.b.

    Lines that only look like an import, in a text for instance, are taken for one: to take the whole source apart took
    the half second after the first verdict of every command.
    """
    for found in IMPORT.finditer(source):
        module, names = found["module"], COMMENT.sub("", found["names"]).strip("()").split(",")
        first_words = [name.split()[0] for name in names if name.split()]
        if not module:
            yield from (name for name in first_words if name.split(".")[0] == OWN)
        elif module.split(".")[0] == OWN:
            yield module
            yield from (f"{module}.{name}" for name in first_words)


@cache
def _place_of(name: str) -> Path | None:
    """Return the file of a module; None if the name is not a module."""
    known = sys.modules.get(name)
    if known is not None:
        return _file_of(known)
    parent = sys.modules.get(name.rpartition(".")[0])
    if parent is not None and not hasattr(parent, "__path__"):
        return None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None
