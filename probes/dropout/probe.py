"""Does dropout drop in training, and only there?

The optimizer's learning rate is 0, so that the weights never move: on one fixed batch the loss can then change for one
reason only. `fit` is the first call that the model under test ever sees.
"""

from tfbisect_batches import first_batch, made_inputs, made_targets, static_shapes
from tfbisect_keras import eager
from tfbisect_layers import NEAR_ONE, Strength, dropping, silent
from tfbisect_losses import Batch, compile_still
from tfbisect_takeover import TakeOver, twin_of

EPOCHS = 5
REPEATS = 3


def run(context):
    return TakeOver(context, measure).run()


def measure(context, subject, modules):
    layers = dropping(subject.model)
    if not layers:
        raise context.Refused(no_dropout(subject.model))
    x, y, weights, loss = data_of(context, subject)
    batch = Batch(x, y, weights)
    measurements = {
        "model": kind_of(subject.model),
        "taken_at": subject.taken_at,
        "samples": batch.size,
        "layers": [
            {"name": layer.name, "class": type(layer).__name__, "attribute": name, "rate": rate}
            for layer, name, rate in layers
        ],
    }
    context.observe(compile_still, subject.model, modules[0], loss, subject.compiled)
    measurements["train_losses"] = context.observe(batch.fitted, subject.model, EPOCHS)
    measurements["batch_losses"] = context.observe(batch.trained, subject.model, REPEATS)
    measurements["evaluate_losses"] = context.observe(batch.evaluated, subject.model, REPEATS)
    measurements.update(controls(context, subject, modules, batch, loss, [layer for layer, _, _ in layers]))
    return measurements


def no_dropout(model):
    if silent(model):
        return "every dropout layer of the model has rate 0: nothing can drop"
    return "the model has no dropout layer (%s): nothing to probe" % type(model).__name__


def kind_of(model):
    """Return how the model is made, as far as one can tell without calling it."""
    names = [klass.__name__ for klass in type(model).__mro__]
    known = bool(static_shapes(model))
    if names[0] == "Sequential":
        return "Sequential with input shape" if known else "Sequential without input shape"
    return "functional" if known else "subclassed"


def data_of(context, subject):
    """Return (x, y, weights, loss): the script's own, or made for a model that comes alone."""
    if subject.has_data:
        if subject.compiled is None:
            raise context.Refused("model.%s was called before model.compile" % subject.taken_at)
        x, y, weights = first_batch(context, subject.x, subject.y, subject.weights, subject.batch_size)
        return x, y, weights, subject.compiled.get("loss")
    x = made_inputs(context, subject.model)
    twin = context.observe(twin_of, subject)
    outputs = context.observe(twin.predict, x)
    context.note("no training data in the snippet: one batch of random numbers, mean squared error")
    return x, made_targets(outputs), None, "mse"


def controls(context, subject, modules, batch, loss, layers):
    """Return the losses of twins: with rate 0 they must not change, with a rate near 1 they must."""
    try:
        with Strength(layers, 0.0):
            still = control_twin(context, subject, modules[0], loss)
            zero = batch.fitted(still, REPEATS)
            zero_tested = batch.evaluated(still, REPEATS)
        with Strength(layers, NEAR_ONE):
            if not eager():
                for module in modules:
                    module.backend.set_learning_phase(True)
            strong = control_twin(context, subject, modules[0], loss)
            batch.fitted(strong, 1)  # Builds it.
            strong.set_weights(still.get_weights())
            near_one = batch.fitted(strong, REPEATS)
    except Exception as error:
        cause = error.exc_info[1] if isinstance(error, context.Raised) else error
        return {"control_failed": "%s: %s" % (type(cause).__name__, cause)}
    return {"zero_rate_losses": zero, "zero_rate_evaluate_losses": zero_tested, "near_one_losses": near_one}


def control_twin(context, subject, keras, loss):
    twin = twin_of(subject)
    # Eagerly: a control runs a few steps, which would not pay for being compiled.
    more = {"run_eagerly": True} if eager() and hasattr(type(twin), "run_eagerly") else {}
    compile_still(twin, keras, loss, subject.compiled, **more)
    return twin
