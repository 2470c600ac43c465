"""The share that a dropout layer really drops, read off a loss.

A Dense layer with kernel zeros and bias ones turns any input into ones; behind the layer under test, a loss that counts
what is no longer positive is the share that was dropped. For layers that add noise the loss is the variance instead.
"""

import sys

import numpy
from tfbisect_keras import eager
from tfbisect_layers import names_of, strength_name

CALLS = 4
SAMPLES = 64
UNITS = 64
# Dimensions between samples and channels that a layer drops as one.
TOGETHER = {"SpatialDropout1D": (2,), "SpatialDropout2D": (2, 2), "SpatialDropout3D": (2, 2, 2)}
MOST_LAYERS = 3


def shares(keras, layers):
    """Return what each different dropout layer does to ones: declared rate, losses, number of trials."""
    found, seen = [], []
    for layer in layers:
        attribute = strength_name(layer)
        declared = getattr(layer, attribute) if attribute else None
        if attribute and (type(layer), declared) not in seen and len(seen) < MOST_LAYERS:
            seen.append((type(layer), declared))
            found.append(share(keras, layer, attribute, float(declared)))
    return found


def share(keras, layer, attribute, declared):
    """Return what one layer does to ones."""
    facts = {"layer": layer.name, "class": type(layer).__name__, "declared": declared, "attribute": attribute}
    facts["measures"] = "variance" if {"GaussianNoise", "GaussianDropout"} & set(names_of(layer)) else "share"
    try:
        model = constant_model(keras, layer)
        batch = ones_for(model)
        model.compile(
            optimizer=keras.optimizers.SGD(0.0),
            loss=losses()[facts["measures"]],
            **({"run_eagerly": True} if eager() and hasattr(type(model), "run_eagerly") else {}),
        )
        facts["losses"] = [float(model.train_on_batch(*batch)) for _ in range(CALLS)]
    except Exception as error:  # A noise shape that only fits the user's own data, a layer that has no configuration.
        facts["failed"] = "%s: %s" % (type(error).__name__, error)
    facts["trials"] = CALLS * SAMPLES * UNITS
    return facts


def constant_model(keras, layer):
    """Return a functional model in which a layer of the same configuration sees nothing but ones."""
    between = [shape for name, shape in TOGETHER.items() if name in names_of(layer)]
    inputs = keras.layers.Input(shape=(between[0] if between else ()) + (2,))
    ones = keras.layers.Dense(UNITS, kernel_initializer="zeros", bias_initializer="ones")(inputs)
    configuration = dict(layer.get_config(), name="under_test")
    return keras.models.Model(inputs, type(layer).from_config(configuration)(ones))


def ones_for(model):
    """Return inputs and targets, of which only the number counts."""
    tensor = model.outputs[0]
    shape = tensor.shape.as_list() if hasattr(tensor.shape, "as_list") else list(tensor.shape)
    middle = tuple(int(size) for size in shape[1:-1])
    return (numpy.ones((SAMPLES,) + middle + (2,), "float32"), numpy.zeros((SAMPLES,) + middle + (UNITS,), "float32"))


def losses():
    """Return the loss functions, one number per sample."""
    tensorflow = sys.modules["tensorflow"]

    def per_sample(values):
        return tensorflow.reduce_mean(values, axis=list(range(1, len(values.shape))))

    def share_of_zeros(_, seen):
        return per_sample(tensorflow.cast(seen <= 0.0, tensorflow.float32) + 0.0 * seen)

    def variance(_, seen):
        return per_sample(tensorflow.square(seen - 1.0))

    return {"share": share_of_zeros, "variance": variance}
