"""Seeds every source of random numbers, those that the script itself imports too."""

import functools
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
        draw = getattr(getattr(module, "random", None), "set_seed", None)
        if draw is None and hasattr(module, "set_random_seed"):
            return seed_first_version(module, seed)
    if draw is None:
        return False
    draw(seed)
    return True


def seed_first_version(module, seed):
    """Seed TensorFlow 1 without making its default graph: a script may still turn eager execution on."""
    ops = sys.modules.get("tensorflow.python.framework.ops")
    if ops is None or not hasattr(getattr(ops, "_default_graph_stack", None), "_global_default_graph"):
        module.set_random_seed(seed)
        return True
    seed_graphs(ops, seed)
    made = ops._default_graph_stack._global_default_graph
    if made is not None and not made.get_operations():
        # Seeding by the harness made it. Without one the next is made when the script needs it.
        ops._default_graph_stack._global_default_graph = None
        forget_context()
    elif made is not None:
        module.set_random_seed(seed)
    first = getattr(getattr(module, "compat", None), "v1", None)
    for place in (ops, module, first):
        if hasattr(place, "enable_eager_execution"):
            place.enable_eager_execution = seeding(place.enable_eager_execution, module, seed)
    return True


def forget_context():
    """Drop the context that asking for the mode has made, before 1.13: with it, eager execution is refused."""
    eager = sys.modules.get("tensorflow.python.eager.context")
    made = getattr(eager, "_context", None)
    if made is not None and getattr(made, "_context_handle", made) is None and not made.executing_eagerly():
        eager._context = None


def seeding(enable, module, seed):
    """Return what turns eager execution on, and then seeds it."""

    @functools.wraps(enable)
    def enable_eager_execution(*args, **kwargs):
        answer = enable(*args, **kwargs)
        module.set_random_seed(seed)
        return answer

    return enable_eager_execution


def seed_graphs(ops, seed):
    """Let every graph that TensorFlow 1 makes from here on begin at the seed: each has one of its own."""
    original = ops.Graph.__init__

    def __init__(graph, *args, **kwargs):
        original(graph, *args, **kwargs)
        if getattr(graph, "seed", None) is None:
            graph.seed = seed

    ops.Graph.__init__ = __init__
