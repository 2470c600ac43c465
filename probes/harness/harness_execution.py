"""How the framework computes: eagerly or by graph, from which seed, on which device, in which versions."""

import gc
import importlib
import os
import random
import sys

from harness_faults import WORD_CHARACTERS, Untestable
from harness_values import TEXT

ACCELERATORS = ("/dev/nvidia0", "/dev/dxg", "/dev/kfd")
OPENED = ("/dev/nvidia", "/dev/dxg", "/dev/kfd", "/dev/dri/")
VERSIONED = ("tensorflow", "keras", "torch", "numpy", "tf_keras", "h5py")


def imported(name):
    """Import the framework, its Keras included, as a snippet's first lines would."""
    # An import makes hundreds of thousands of objects that stay: looking through them again and again for what can go
    # takes a tenth of its time, and in a child it would copy every page that it looks at.
    sets_aside = hasattr(gc, "freeze")
    if sets_aside:
        gc.disable()
    try:
        module = importlib.import_module(name)
        if name == "tensorflow":
            # From 2.16 on Keras is loaded at the first touch: it belongs to the import, not to the probe.
            getattr(getattr(module, "keras", None), "layers", None)
        return module
    finally:
        if sets_aside:
            gc.freeze()
            gc.enable()


def version_of(module):
    """Return a module's version, or an empty text."""
    found = getattr(module, "__version__", "")
    return found[:WORD_CHARACTERS] if isinstance(found, (str, TEXT)) else ""


def versions():
    """Return the versions of what is loaded and matters."""
    found = {name: version_of(sys.modules.get(name)) for name in VERSIONED}
    return {name: version for name, version in found.items() if version}


def has_accelerator():
    """Say whether this process can reach an accelerator."""
    return any(os.path.exists(path) for path in ACCELERATORS)


def has_opened_accelerator():
    """Say whether this process has opened one: no child of it could use it then."""
    if not has_accelerator():
        return False
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name).startswith(OPENED):
                return True
        except OSError:
            pass  # what listed the folder is closed again
    return False


def device_of(name, module):
    """Return what the framework computes on: "cpu" or the accelerator's name. To ask opens the accelerator."""
    if not name or not has_accelerator():
        return "cpu"
    try:
        if name == "torch":
            return module.cuda.get_device_name(0) if module.cuda.is_available() else "cpu"
        found = module.test.gpu_device_name() if name == "tensorflow" else ""
        return (found or "cpu")[:WORD_CHARACTERS]
    except Exception:
        return "cpu"


def set_execution(context, wanted):
    """Let TensorFlow compute eagerly or by graph, before anything else is done with it."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        raise Untestable(
            "%s runs without TensorFlow, so there is no %s execution to choose"
            % (context.framework_name or "this probe", wanted)
        )
    one = getattr(getattr(tensorflow, "compat", None), "v1", tensorflow)
    if wanted == "graph":
        use_graph(tensorflow, one)
        return
    switch = getattr(one, "enable_eager_execution", None) or getattr(tensorflow, "enable_eager_execution", None)
    if switch is None:
        raise Untestable("TensorFlow %s has no eager execution" % version_of(tensorflow))
    switch()
    if "optimizer_v2" not in str(getattr(tensorflow.keras.optimizers.SGD, "__module__", "")) and hasattr(one, "train"):
        take_native_optimizers(context, tensorflow, one.train)


def use_graph(tensorflow, one):
    """Switch eager execution off where it is on."""
    if not getattr(tensorflow, "executing_eagerly", bool)():
        return
    if not hasattr(tensorflow.keras.backend, "set_learning_phase"):
        raise Untestable("Keras 3 has no graph execution")
    one.disable_eager_execution()


def take_native_optimizers(context, tensorflow, train):
    """Let compile take Keras' own optimizers: under eager execution TensorFlow up to 1.13 wants those of tf.train."""
    keras = tensorflow.keras
    native = {
        "SGD": "GradientDescentOptimizer",
        "Adam": "AdamOptimizer",
        "RMSprop": "RMSPropOptimizer",
        "Adagrad": "AdagradOptimizer",
        "Adadelta": "AdadeltaOptimizer",
    }
    original = keras.Model.compile

    def compile(model, optimizer, *args, **kwargs):
        own = optimizer
        if isinstance(own, (str, TEXT)):
            own = keras.optimizers.get(own)
        name = native.get(type(own).__name__)
        if name is not None and hasattr(own, "lr"):
            optimizer = getattr(train, name)(float(keras.backend.get_value(own.lr)))
            context.note("eager execution: tf.train.%s stands in for Keras' own optimizer" % name)
        return original(model, optimizer, *args, **kwargs)

    keras.Model.compile = compile


def set_seed(context, seed):
    """Seed every source of random numbers that the framework has."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    framework = context.framework
    for path in ("random.set_seed", "set_random_seed", "manual_seed"):
        found = framework
        for name in path.split("."):
            found = getattr(found, name, None)
        if found is not None:
            found(seed)
            return
