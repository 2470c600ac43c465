"""Finds every Keras that a snippet can reach, whatever the release calls it."""

import importlib
import re
import sys

STANDALONE = re.compile(r"^\s*(?:import\s+keras|from\s+keras)\b", re.MULTILINE)
SUBMODULES = (
    "activations",
    "applications",
    "backend",
    "callbacks",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "regularizers",
    "utils",
)
TRAINERS = ("engine.training", "engine.training_v1", "engine.training_eager", "engine.sequential")


def keras_modules(context):
    """Return the Keras API modules of this process: tf.keras (or what stands in for it), keras where it is used."""
    found = []
    if context.framework_name == "tensorflow":
        found.append(tensorflow_keras(context))
    if context.framework_name == "keras":
        found.append(context.framework)
    elif STANDALONE.search(context.snippet):
        try:
            found.append(importlib.import_module("keras"))
        except ImportError:
            pass  # The snippet will say so with its own line.
    if not found:
        raise context.Untestable("no Keras: this probe needs tensorflow or keras, not %r" % context.framework_name)
    return found


def tensorflow_keras(context):
    """Return tf.keras; before 1.4 tf.contrib.keras takes its name, and the report says so."""
    tensorflow = context.framework
    keras = getattr(tensorflow, "keras", None)
    if keras is None:
        keras = getattr(getattr(tensorflow, "contrib", None), "keras", None)
        if keras is None:
            raise context.Untestable("tensorflow %s has no Keras" % context.version)
        tensorflow.keras = keras
        context.note("tf.keras is tf.contrib.keras: tensorflow %s has it under that name only" % context.version)
    try:
        importlib.import_module("tensorflow.keras.layers")
    except ImportError:
        name_modules(keras)
    return keras


def name_modules(keras):
    """Let `from tensorflow.keras.layers import ...` find what is there as an attribute."""
    sys.modules["tensorflow.keras"] = keras
    for name in SUBMODULES:
        module = getattr(keras, name, None)
        if module is not None:
            sys.modules["tensorflow.keras." + name] = module


def model_classes(modules):
    """Return the classes in which a model's methods are defined, most basic last."""
    roots = [getattr(module.models, name) for module in modules for name in ("Model", "Sequential")]
    for name, module in list(sys.modules.items()):
        if module is not None and name.endswith(TRAINERS) and isinstance(getattr(module, "Model", None), type):
            # With eager execution off, TensorFlow 2 swaps in another Model behind the public one.
            roots.append(module.Model)
    classes = []
    for root in roots:
        classes.extend(klass for klass in root.__mro__ if klass is not object and klass not in classes)
    return classes


def eager():
    """Say whether the framework computes eagerly in this process."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return True
    for holder in (tensorflow, getattr(tensorflow, "compat", None) and getattr(tensorflow.compat, "v1", None)):
        ask = getattr(holder, "executing_eagerly", None)
        if ask is not None:
            return bool(ask())
    return False


def eagerly(model_class):
    """Say whether the steps of such models compute eagerly where they are not compiled."""
    # Keras 2.3, which is a package of its own, builds graphs even where TensorFlow 2 would not.
    standalone = any(klass.__module__.startswith("keras.") for klass in model_class.__mro__)
    return eager() and (hasattr(model_class, "run_eagerly") or not standalone)
