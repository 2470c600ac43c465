"""The check that the Keras author posted in the thread: constant ones through Dropout in a functional model."""

import numpy
from tfbisect_clock import Clock
from tfbisect_keras import keras_modules
from tfbisect_losses import Batch, compile_still

SAMPLES = 256
UNITS = 32
RATE = 0.5
CALLS = 3


def run(context):
    keras = keras_modules(context)[0]
    clock = Clock()
    with clock.step("model"):
        seen = context.observe(measure, keras)
    seen["seconds"], seen["cpu_seconds"] = clock.seconds, clock.cpu_seconds
    return seen


def measure(keras):
    inputs = keras.layers.Input(shape=(UNITS,))
    ones = keras.layers.Dense(UNITS, kernel_initializer="zeros", bias_initializer="ones")(inputs)
    model = keras.models.Model(inputs, keras.layers.Dropout(RATE)(ones))
    compile_still(model, keras, "mse", None)
    ones = numpy.ones((SAMPLES, UNITS), "float32")
    batch = Batch(ones, ones, None)
    return {
        "rate": RATE,
        "train_losses": batch.fitted(model, CALLS),
        "batch_losses": batch.trained(model, CALLS),
        "evaluate_losses": batch.evaluated(model, CALLS),
    }
