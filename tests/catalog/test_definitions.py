"""Functions and methods in sources, and which differ between two releases."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from textwrap import dedent

from service.catalog.definitions import (
    changed_definitions,
    definitions_in,
    is_candidate,
    matched_files,
    statements_that_differ,
)


@dataclass(frozen=True)
class Tree:
    """Sources held in memory."""

    files: dict[str, str] = field(default_factory=dict)

    @property
    def digests(self) -> dict[str, str]:
        return {path: hashlib.sha256(text.encode()).hexdigest() for path, text in self.files.items()}

    def text(self, path: str) -> str:
        return self.files[path]


SOURCE = dedent(
    '''
    import os

    def free(a, b=1):
        """Say."""
        def inner():
            return a
        return inner

    class Model:
        @property
        def name(self):
            return 1

        @staticmethod
        def make(*, size=(1, 2)):
            return size

    if os.name == "posix":
        def guarded():
            return 2
    '''
)


def test_functions_and_methods_have_the_line_that_python_gives_their_code() -> None:
    found = {each.name: each.line for each in definitions_in(SOURCE, "p/m.py")}
    namespace: dict[str, object] = {}
    exec(compile(SOURCE, "m.py", "exec"), namespace)
    model = namespace["Model"]
    codes = {
        "free": namespace["free"].__code__,  # type: ignore[attr-defined]
        "Model.name": model.__dict__["name"].fget.__code__,
        "Model.make": model.make.__code__,  # type: ignore[attr-defined]
        "guarded": namespace["guarded"].__code__,  # type: ignore[attr-defined]
    }
    assert found == {name: code.co_firstlineno for name, code in codes.items()}


def test_docstrings_comments_and_layout_are_no_change_and_a_default_is() -> None:
    (one,) = definitions_in('def f(a, b=1):\n    """Say."""\n    return a\n', "m.py")
    (other,) = definitions_in('def f(a,\n      b=1):\n    """Tell."""\n    # why\n    return (a)\n', "m.py")
    (third,) = definitions_in("def f(a, b=2):\n    return a\n", "m.py")
    assert one.digest == other.digest != third.digest
    assert one.defaults == other.defaults != third.defaults


def test_modules_that_moved_are_matched_by_the_end_of_their_path_and_only_where_it_is_clear() -> None:
    before = {"tensorflow/python/keras/engine/training.py", "keras/a/util.py", "keras/b/util.py", "same.py"}
    after = {"keras/src/engine/training.py", "keras/src/a/util.py", "other/src/a/util.py", "same.py"}
    assert matched_files(before, after) == {
        "keras/src/engine/training.py": "tensorflow/python/keras/engine/training.py",
        "keras/src/a/util.py": "keras/a/util.py",
        "same.py": "same.py",
    }


def test_what_a_build_wrote_is_never_a_candidate() -> None:
    written = [
        "tensorflow/python/ops/gen_math_ops.py",
        "tensorflow/core/x_pb2.py",
        "tensorflow/python/pywrap_tensorflow.py",
        "tensorflow/_api/v1/keras/__init__.py",
        "tensorflow/python/keras/layers/core_test.py",
    ]
    assert not any(map(is_candidate, written))
    assert is_candidate("tensorflow/python/keras/layers/core.py")


OLD = "class A:\n    def f(self): return 1\n    def old(self): return 0\ndef g(): return 1\ndef h(): return 1\n"
NEW = "class A:\n    def f(self): return 2\n    def new(self): return 0\ndef g(): return 2\ndef h(): return 2\n"


def test_only_what_differs_and_was_executed_on_either_side_is_a_candidate() -> None:
    found = changed_definitions(Tree({"m.py": OLD}), Tree({"m.py": NEW}), {"m.py": {3, 4}}, {"m.py": {2, 3}})
    assert [(each.kind, each.name) for each in found] == [
        ("text", "A.f"),
        ("removed", "A.new"),
        ("text", "g"),
        ("added", "A.old"),
    ]
    assert len({each.id for each in found}) == 4


def test_equal_files_and_files_that_no_python_3_reads_hold_no_candidate() -> None:
    everything = {"m.py": range(9), "n.py": range(9)}
    trees = Tree({"m.py": OLD, "n.py": "print 1"}), Tree({"m.py": OLD, "n.py": "print 2"})
    assert changed_definitions(*trees, everything, everything) == ()


def test_what_differs_outside_functions_is_counted() -> None:
    before = Tree({"m.py": "LIMIT = 1\nclass A(B):\n    x = 1\n    def f(self): pass\n"})
    after = Tree({"m.py": '"""Text."""\nimport os\nLIMIT = 2\nclass A(C):\n    x = 1\n    def f(self): return 1\n'})
    assert statements_that_differ(before, after, {"m.py"}) == 2
    assert statements_that_differ(before, after, set()) == 0
