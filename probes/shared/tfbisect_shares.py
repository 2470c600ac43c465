"""The share that a dropout layer really drops in training, and how it scales what it keeps.

As in the Keras author's check, a Dense layer with kernel zeros and bias ones turns any input into ones: what is no
longer positive behind the layer under test is the share that was dropped, and the mean is still 1 where what was kept
was scaled rightly. For layers that add noise the variance around 1 counts instead. The layer is told from outside that
this is training: whether the model tells it is what the losses show.
"""

import numpy
from tfbisect_batches import dimensions
from tfbisect_controls import tell_training
from tfbisect_keras import eagerly
from tfbisect_layers import names_of, strength_name

SAMPLES = 256
UNITS = 64
# Dimensions between samples and channels that a layer drops as one.
TOGETHER = {"SpatialDropout1D": (2,), "SpatialDropout2D": (2, 2), "SpatialDropout3D": (2, 2, 2)}
NOISE = {"GaussianNoise", "GaussianDropout"}
MOST_LAYERS = 3


def shares(modules, layers):
    """Return what each different dropout layer does to ones in training: declared rate, share, mean, trials."""
    found, seen = [], []
    for layer in layers:
        attribute = strength_name(layer)
        declared = getattr(layer, attribute) if attribute else None
        if attribute and (type(layer), declared) not in seen and len(seen) < MOST_LAYERS:
            seen.append((type(layer), declared))
            found.append(share(modules, layer, attribute, float(declared)))
    return found


def share(modules, layer, attribute, declared):
    """Return what one layer does to ones."""
    facts = {"layer": layer.name, "class": type(layer).__name__, "declared": declared, "attribute": attribute}
    facts["measures"] = "variance" if NOISE & set(names_of(layer)) else "share"
    try:
        outputs = outputs_in_training(modules, layer)
    except Exception as error:  # A noise shape that only fits the user's own data, a layer that has no configuration.
        facts["failed"] = "%s: %s" % (type(error).__name__, error)
        return facts
    facts["trials"] = SAMPLES * UNITS
    if "AlphaDropout" not in names_of(layer):  # Which keeps the mean of other inputs than ones.
        facts["mean"] = float(outputs.mean())
    measured = (outputs - 1.0) ** 2 if facts["measures"] == "variance" else outputs <= 0.0
    facts["losses"] = [float(measured.mean())]
    return facts


def outputs_in_training(modules, layer):
    """Return what a layer makes of ones when it is told that it is training."""
    keras = modules[0]
    if not eagerly(keras.models.Model):
        tell_training(modules)
    model = constant_model(keras, layer)
    zeros = numpy.zeros((SAMPLES,) + tuple(int(size) for size in dimensions(model.inputs[0])[1:]), "float32")
    return numpy.asarray(model(zeros, training=True) if eagerly(type(model)) else model.predict(zeros))


def constant_model(keras, layer):
    """Return a functional model in which a layer of the same configuration sees nothing but ones."""
    between = [shape for name, shape in TOGETHER.items() if name in names_of(layer)]
    inputs = keras.layers.Input(shape=(between[0] if between else ()) + (2,))
    ones = keras.layers.Dense(UNITS, kernel_initializer="zeros", bias_initializer="ones")(inputs)
    configuration = dict(layer.get_config(), name="under_test")
    return keras.models.Model(inputs, type(layer).from_config(configuration)(ones))
