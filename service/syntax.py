"""Python's source as a tree, read by one thread at a time."""

from __future__ import annotations

import ast
import threading

_reading = threading.Lock()


def syntax_tree_of(source: str | bytes) -> ast.Module:
    """Return the syntax tree of Python's source; raises what `ast.parse` does.

    Python 3.11 counts how deep a tree is in one place for all threads. Where the garbage collector lets another thread
    in, both count wrong, and good source ends in a SystemError.
    """
    with _reading:
        return ast.parse(source)
