"""Gives the data sets of Keras their stand-ins as soon as a script imports them, in whichever Keras they are."""

import sys

NAMES = frozenset(
    ("mnist", "fashion_mnist", "cifar10", "cifar100", "imdb", "reuters", "boston_housing", "california_housing")
)


class DatasetFinder(object):
    """Stands first in sys.meta_path, and lets the real finders find; Python 2 has no such step and goes without."""

    def __init__(self, answer):
        """Make one.

        `answer(name, module)` puts the stand-in into a module that was imported.
        """
        self._answer = answer
        self._asked = set()

    def find_module(self, name, path=None):
        return None

    def find_spec(self, name, path=None, target=None):
        parts = name.split(".")
        if len(parts) < 3 or parts[-2] != "datasets" or parts[-1] not in NAMES or name in self._asked:
            return None
        self._asked.add(name)
        try:
            spec = self._found(name, path, target)
        finally:
            self._asked.discard(name)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = AnsweringLoader(spec.loader, parts[-1], self._answer)
        return spec

    def _found(self, name, path, target):
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                return spec
        return None


class AnsweringLoader(object):
    """Loads a module as its own loader does, then puts the stand-in into it."""

    def __init__(self, loader, name, answer):
        self._loader, self._name, self._answer = loader, name, answer

    def __getattr__(self, attribute):
        return getattr(self._loader, attribute)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        if hasattr(module, "load_data"):
            self._answer(self._name, module)
