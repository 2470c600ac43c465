"""Seeds every source of random numbers, those that the script itself imports too."""

import random
import sys

try:
    import builtins
except ImportError:
    import __builtin__ as builtins

SEEDED = ("numpy", "tensorflow", "torch")


class Seeded(object):
    """While it lasts, whatever draws random numbers begins at one seed, from its import on."""

    def __init__(self, seed):
        self._seed = seed
        self._done = set()
        self._looking = False

    def __enter__(self):
        random.seed(self._seed)
        self._import = builtins.__import__
        self._new()

        def importing(*args, **kwargs):
            module = self._import(*args, **kwargs)
            if len(self._done) < len(SEEDED):
                self._new()
            return module

        builtins.__import__ = importing
        return self

    def __exit__(self, *exc_info):
        builtins.__import__ = self._import

    def _new(self):
        """Seed what has been imported meanwhile."""
        if self._looking:
            return  # a module that is asked for an attribute may import for the answer, as NumPy 2 does
        self._looking = True
        try:
            for name in SEEDED:
                module = sys.modules.get(name)
                if name not in self._done and module is not None and seed_module(name, module, self._seed):
                    self._done.add(name)
        finally:
            self._looking = False


def seed_module(name, module, seed):
    """Seed one module; False while it is still being imported."""
    if name == "numpy":
        draw = getattr(getattr(module, "random", None), "seed", None)
    elif name == "torch":
        draw = getattr(module, "manual_seed", None)
    else:
        draw = getattr(getattr(module, "random", None), "set_seed", None) or getattr(module, "set_random_seed", None)
        if draw is not None and not hasattr(getattr(module, "random", None), "set_seed"):
            seed_graphs(seed)
    if draw is None:
        return False
    draw(seed)
    return True


def seed_graphs(seed):
    """Let every graph that TensorFlow 1 makes from here on begin at the seed: each has one of its own."""
    ops = sys.modules.get("tensorflow.python.framework.ops")
    if ops is None:
        return
    original = ops.Graph.__init__

    def __init__(graph, *args, **kwargs):
        original(graph, *args, **kwargs)
        if getattr(graph, "seed", None) is None:
            graph.seed = seed

    ops.Graph.__init__ = __init__
