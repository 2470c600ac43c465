"""Watches what a script does with Keras: every fit, evaluate and predict of its own, training made shorter."""

import functools
import math
import sys

from tfbisect_keras import model_classes
from tfbisect_layers import names_of
from tfbisect_told import MOST_ITEMS, array_told, number, shape_of, whole_value

# So many that a loss shows where it goes, and so few that two runs take no longer than twice the probe dropout.
EPOCHS = 3
BATCHES = 16
BATCH = 32
MOST_CALLS = 40
MOST_EPOCHS = 200
MOST_MODELS = 3
SAMPLES = 8
ORDER = {
    "fit": (
        "x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_split", "validation_data", "shuffle",
        "class_weight", "sample_weight", "initial_epoch", "steps_per_epoch", "validation_steps",
    ),
    "fit_generator": (
        "generator", "steps_per_epoch", "epochs", "verbose", "callbacks", "validation_data", "validation_steps",
        "class_weight", "max_queue_size", "workers", "use_multiprocessing", "shuffle", "initial_epoch",
    ),
    "train_on_batch": ("x", "y", "sample_weight", "class_weight"),
    "evaluate": ("x", "y", "batch_size", "verbose", "sample_weight", "steps"),
    "evaluate_generator": ("generator", "steps"),
    "predict": ("x", "batch_size", "verbose", "steps"),
    "predict_generator": ("generator", "steps"),
}  # fmt: skip
TRAINING = ("fit", "fit_generator", "train_on_batch")
EVALUATION = ("evaluate", "evaluate_generator")
GENERATED = {"fit_generator": "fit", "evaluate_generator": "evaluate", "predict_generator": "predict"}


class ModelSeen(object):
    """A model that a script trained or asked, as it was before."""

    def __init__(self, model, example):
        self.model, self.example = model, example
        self.declared = declares_inputs(model)
        """Whether the script says the shape of the inputs, so that the layers have theirs in every release."""
        self.weights = initial_weights(model)
        self.configuration = configuration(model)


def declares_inputs(model):
    """Say whether a script gives the shape of the inputs; an Embedding gave one of old, with no size in it."""
    found = known_inputs(model)
    if "Sequential" not in names_of(model):
        return bool(found)
    try:
        return any(size is not None for each in found for size in shape_of(each)[1:])
    except Exception:
        return bool(found)


def known_inputs(model):
    try:
        return list(model.inputs or [])
    except Exception:
        return []


def configuration(model):
    """Return what makes a twin of a model, read before its first call; None where there is none."""
    try:
        return model.get_config()
    except Exception:
        return None


def initial_weights(model):
    """Return the weights of a model that has them already, layer by layer; None where it has none yet."""
    try:
        return [layer.get_weights() for layer in model.layers] if len(model.weights) else None
    except Exception:
        return None


class Watch(object):
    """While it lasts, the calls of a script are noted, and training takes no more than some epochs of some batches."""

    def __init__(self, context, modules, whole, clock):
        self.calls, self.models = [], []
        self._context, self._modules, self._whole, self._clock = context, modules, whole, clock
        self._former = []
        self._busy = False

    def __enter__(self):
        for klass in model_classes(self._modules):
            for name in ORDER:
                if name in klass.__dict__:
                    original = klass.__dict__[name]
                    self._former.append((klass, name, original))
                    setattr(klass, name, self._watched(name, original))
        return self

    def __exit__(self, *exc_info):
        for klass, name, original in self._former:
            setattr(klass, name, original)

    def _watched(self, name, original):
        def watched(model, *args, **kwargs):
            if self._busy:
                return original(model, *args, **kwargs)
            self._busy = True
            try:
                return self._call(name, original, model, args, kwargs)
            finally:
                self._busy = False

        try:
            return functools.wraps(original)(watched)
        except AttributeError:
            return watched  # Python 2 wraps nothing that lacks a name.

    def _call(self, name, original, model, args, kwargs):
        given = dict(zip(ORDER[name], args))
        given.update(kwargs)
        if len(args) > len(ORDER[name]):
            return original(model, *args, **kwargs)
        with self._clock.step("trains"):
            facts = {"call": GENERATED.get(name, name), "model": self._place(model, given)}
            asked = given.get("epochs")
            if not self._whole and name in ("fit", "fit_generator", "evaluate"):
                given = self._shortened(name, given)
        try:
            answered = original(model, **given)
        except Exception as error:
            facts["raised"] = type(error).__name__
            self._note(facts)
            raise
        with self._clock.step("trains"):
            try:
                facts.update(seen_in(name, model, answered))
            except Exception as error:
                facts["unseen"] = "%s: %s" % (type(error).__name__, error)
        self._note(facts)
        if name in ("fit", "fit_generator") and asked != given.get("epochs"):
            lengthen(answered, asked)
        return answered

    def _note(self, facts):
        if len(self.calls) < MOST_CALLS:
            self.calls.append(facts)

    def _place(self, model, given):
        """Return the number of a model among those seen; None beyond the first few."""
        for at, seen in enumerate(self.models):
            if seen.model is model:
                return at
        if len(self.models) == MOST_MODELS:
            return None
        self.models.append(ModelSeen(model, example_of(given.get("x"))))
        return len(self.models) - 1

    def _shortened(self, name, given):
        """Return the arguments of a call that takes so many epochs and batches at most."""
        shorter = dict(given)
        first = int(given.get("initial_epoch") or 0)
        if name != "evaluate" and int(given.get("epochs") or 1) > first + EPOCHS:
            shorter["epochs"] = first + EPOCHS
        steps = "steps" if name == "evaluate" else "steps_per_epoch"
        data = "generator" if name == "fit_generator" else "x"
        if given.get(steps):
            shorter[steps] = min(int(given[steps]), BATCHES)
        else:
            shorten_data(shorter, given, data, steps)
        checked = given.get("validation_data")
        if given.get("validation_steps"):
            shorter["validation_steps"] = min(int(given["validation_steps"]), BATCHES)
        elif isinstance(checked, (tuple, list)):
            shorter["validation_data"] = tuple(cut(part, most_samples(given)) for part in checked)
        elif is_dataset(checked):
            shorter["validation_data"] = checked.take(BATCHES)
        if any(shorter[key] is not given[key] for key in given):
            self._context.note(
                "training and evaluation are shortened to %d epochs of %d batches in every release" % (EPOCHS, BATCHES)
            )
        return shorter


def shorten_data(shorter, given, data, steps):
    """Cut the data of a call that does not say how many steps it takes."""
    found = given.get(data)
    if is_dataset(found):
        shorter[data] = found.take(BATCHES)
    elif {"Sequence", "PyDataset"} & set(names_of(found)):
        if len(found) > BATCHES:
            shorter[steps] = BATCHES
    else:
        most = most_samples(given)
        if given.get("validation_split"):
            most = int(math.ceil(most / (1.0 - float(given["validation_split"]))))
        for key in ("x", "y", "sample_weight"):
            if given.get(key) is not None:
                shorter[key] = cut(given[key], most)


def most_samples(given):
    return BATCHES * int(given.get("batch_size") or BATCH)


def is_dataset(value):
    return "Dataset" in " ".join(names_of(value)) and hasattr(value, "take")


def cut(part, samples):
    """Return the first samples of a part of the data; the very same where it has no more."""
    if isinstance(part, dict):
        found = {key: cut(item, samples) for key, item in part.items()}
        return found if any(found[key] is not part[key] for key in part) else part
    if isinstance(part, (list, tuple)) and any(hasattr(item, "shape") for item in part):
        found = [cut(item, samples) for item in part]
        return type(part)(found) if any(one is not other for one, other in zip(found, part)) else part
    if is_dataset(part) or not (hasattr(part, "__getitem__") and hasattr(part, "__len__")):
        return part
    try:
        return part if len(part) <= samples else part[:samples]
    except Exception:
        return part  # A tensor of a graph has no length.


def lengthen(history, epochs):
    """Let a script find as many epochs as it asked for: those left out repeat the last."""
    found = getattr(history, "history", None)
    if isinstance(found, dict):
        for name, values in found.items():
            if isinstance(values, list) and values:
                values.extend([values[-1]] * (int(epochs) - len(values)))
    listed = getattr(history, "epoch", None)
    if isinstance(listed, list) and listed:
        listed.extend(range(listed[-1] + 1, int(epochs)))


def seen_in(name, model, answered):
    """Return what a call showed."""
    if name == "predict" or name == "predict_generator":
        return {"outputs": [array_told(part) for part in parts_of(answered)[:MOST_ITEMS]]}
    if name in EVALUATION or name == "train_on_batch":
        return {"values": numbers_of(answered)}
    facts = {"history": history_of(answered)}
    facts.update(optimizer_of(model))
    return facts


def parts_of(outputs):
    """Return outputs as a list of arrays."""
    if isinstance(outputs, dict):
        return [outputs[name] for name in sorted(outputs)]
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def numbers_of(answered):
    """Return the numbers of an evaluation, the loss first."""
    if isinstance(answered, dict):
        names = sorted(answered, key=lambda name: (name != "loss", name))
        return [number(answered[name]) for name in names[:MOST_ITEMS]]
    if not hasattr(answered, "__len__") or getattr(answered, "shape", None) == ():
        answered = [answered]
    return [number(whole_value(each)) for each in list(answered)[:MOST_ITEMS]]


def history_of(answered):
    """Return the numbers of each epoch by name."""
    found = getattr(answered, "history", None) or {}
    names = sorted(found, key=str)[:MOST_ITEMS]
    return {str(name): [number(whole_value(each)) for each in list(found[name])[:MOST_EPOCHS]] for name in names}


def optimizer_of(model):
    """Return the name of a model's optimizer, its learning rate and how many steps it has made."""
    optimizer = getattr(model, "optimizer", None)
    inner = getattr(optimizer, "optimizer", optimizer)  # TensorFlow's own within Keras' of 1.x.
    facts = {"optimizer": type(inner).__name__}
    for name in ("learning_rate", "lr", "_learning_rate", "_lr"):
        rate = value_of(getattr(inner, name, None))
        if rate is not None:
            facts["learning_rate"] = rate
            break
    steps = value_of(getattr(optimizer, "iterations", None))
    if steps is not None:
        facts["steps"] = steps
    return facts


def value_of(variable):
    """Return the number in a variable; None where there is none."""
    if variable is None:
        return None
    try:
        return number(whole_value(variable))
    except Exception:
        pass
    try:
        return number(sys.modules["tensorflow"].keras.backend.get_value(variable))
    except Exception:
        return None


def example_of(x):
    """Return the first samples of what a script hands over, where looking does not use them up."""
    if x is None or is_dataset(x):
        return None
    if isinstance(x, dict) or hasattr(x, "shape") or isinstance(x, (list, tuple)):
        return cut(getattr(x, "values", x) if hasattr(x, "iloc") else x, SAMPLES)
    return None
