"""What a custom layer is told about the phase, in three ways of asking, in models of three kinds.

The layer turns its answers into its output, 4 * in_train_phase + 2 * learning_phase + training, and a Dense layer
behind it passes the sum on; the model's loss is that sum, so that fit and evaluate hand it over themselves.
"""

import numpy
from tfbisect_clock import Clock
from tfbisect_keras import keras_modules
from tfbisect_losses import Batch, compile_still

SAMPLES = 8
NOT_TOLD = 0.5
KINDS = ("deferred", "static", "functional")


def run(context):
    keras = keras_modules(context)[0]
    ones = numpy.ones((SAMPLES, 1), "float32")
    batch = Batch(ones, ones, None)
    asks = [name for name in ("in_train_phase", "learning_phase") if hasattr(keras.backend, name)] + ["training"]
    seen, clock = {}, Clock()
    for kind in KINDS:
        try:
            with clock.step("model"):
                seen[kind] = phases(context, keras, batch, kind, asks)
        except Exception as error:
            if kind != "deferred":
                raise context.Raised(context.exc_info())
            # Before 1.8 there were no models without an input shape.
            seen[kind] = {"raised": "%s: %s" % (type(error).__name__, str(error)[:200])}
    return {"asks": asks, "kinds": seen, "seconds": clock.seconds, "cpu_seconds": clock.cpu_seconds}


def phases(context, keras, batch, kind, asks):
    """Return what the layer saw in fit, evaluate and predict, by way of asking."""
    model = model_of(context, keras, kind, asks)
    compile_still(model, keras, lambda _, sums: sums, None)
    sums = {"fit": batch.fitted(model, 2)[-1]}
    sums["evaluate"] = batch.evaluated(model, 1)[0]
    sums["predict"] = float(numpy.mean(model.predict(batch.x)))
    return {call: answers(value, asks) for call, value in sums.items()}


def answers(value, asks):
    """Take the sum apart."""
    told = {}
    for name, weight in (("in_train_phase", 4.0), ("learning_phase", 2.0)):
        if name in asks:
            told[name] = 1 if value >= weight - 0.01 else 0
            value -= weight * told[name]
    told["training"] = round(value, 3)
    return told


def model_of(context, keras, kind, asks):
    layer = spy(context, keras, asks)
    last = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)
    if kind == "functional":
        inputs = keras.layers.Input(shape=(1,))
        return keras.models.Model(inputs, last(layer()(inputs)))
    return keras.models.Sequential([layer(input_shape=(1,)) if kind == "static" else layer(), last])


def spy(context, keras, asks):
    """Return the layer class that asks."""
    tensorflow = context.framework if context.framework_name == "tensorflow" else __import__("tensorflow")
    backend = keras.backend

    def number(phase):
        if phase is None:
            return NOT_TOLD
        return tensorflow.cast(phase, tensorflow.float32)

    class Spy(keras.layers.Layer):
        def call(self, inputs, training=None):
            ones = inputs * 0.0 + 1.0
            total = ones * number(training)
            if "learning_phase" in asks:
                total = total + 2.0 * ones * number(backend.learning_phase())
            if "in_train_phase" in asks:
                total = total + 4.0 * backend.in_train_phase(ones, 0.0 * ones)
            if hasattr(total, "set_shape"):
                total.set_shape(inputs.shape)  # Old releases forget it in in_train_phase.
            try:
                # Keras of TensorFlow 1 asks tensors whether they depend on the phase, and sums forget it.
                total._uses_learning_phase = True
            except AttributeError:
                pass  # Eager tensors have no such attribute, and need none.
            return total

        def compute_output_shape(self, input_shape):
            return input_shape

    return Spy
