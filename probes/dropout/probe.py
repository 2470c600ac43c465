"""Does dropout drop in training, and only there?

The optimizer's learning rate is 0, so that the weights never move: on one fixed batch the loss can then change for one
reason only. `fit` is the first call that the model under test ever sees.
"""

import time

from tfbisect_batches import first_batch, made_inputs, made_targets, static_shapes
from tfbisect_keras import eager
from tfbisect_layers import NEAR_ONE, Strength, dropping, set_strengths, silent
from tfbisect_losses import Batch, compile_still
from tfbisect_shares import shares
from tfbisect_takeover import TakeOver, twin_of
from tfbisect_torch import measure_torch

EPOCHS = 5
REPEATS = 3


def run(context):
    if context.framework_name == "torch":
        return measure_torch(context)
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
        "layers": [described(*found) for found in layers],
    }
    clock = [time.time()]
    context.observe(compile_still, subject.model, modules[0], loss, subject.compiled)
    measurements["train_losses"] = context.observe(batch.fitted, subject.model, EPOCHS)
    measurements["batch_losses"] = context.observe(batch.trained, subject.model, REPEATS)
    measurements["evaluate_losses"] = context.observe(batch.evaluated, subject.model, REPEATS)
    clock.append(time.time())
    measurements.update(controls(context, subject, modules, batch, loss))
    clock.append(time.time())
    measurements["shares"] = shares(modules[0], [layer for layer, _, _ in layers])
    clock.append(time.time())
    measurements["seconds"] = dict(zip(("model", "controls", "shares"), (b - a for a, b in zip(clock, clock[1:]))))
    return measurements


def described(layer, attribute, rate):
    return {"name": layer.name, "class": type(layer).__name__, "attribute": attribute, "rate": rate}


def no_dropout(model):
    if silent(model):
        return "every dropout layer of the model has rate 0: nothing can drop"
    return "the model has no dropout layer (%s): nothing to probe" % type(model).__name__


def kind_of(model):
    """Return how the model is made, as far as one can tell without calling it."""
    known = bool(static_shapes(model))
    if "Sequential" in [klass.__name__ for klass in type(model).__mro__]:
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


def controls(context, subject, modules, batch, loss):
    """Return the losses of twins: with rate 0 they must not change, with a rate near 1 they must."""
    measured = controls_by_eager_steps if eager() else controls_by_graph
    try:
        still, evaluated, strong = measured(subject, modules, batch, loss)
    except Exception as error:
        cause = error.exc_info[1] if isinstance(error, context.Raised) else error
        return {"control_failed": "%s: %s" % (type(cause).__name__, cause)}
    return {"zero_rate_losses": still, "zero_rate_evaluate_losses": evaluated, "near_one_losses": strong}


def controls_by_eager_steps(subject, modules, batch, loss):
    """Take a few eager steps with one twin, whose rates count anew in each of them."""
    twin = twin_of(subject)
    # A few steps would not pay for being compiled. Before 2.0 an eager model is never compiled.
    more = {"run_eagerly": True} if hasattr(type(twin), "run_eagerly") else {}
    compile_still(twin, modules[0], loss, subject.compiled, **more)
    set_strengths(twin, 0.0)
    still = batch.fitted(twin, 1) + batch.trained(twin, REPEATS - 1)
    evaluated = batch.evaluated(twin, 1)
    set_strengths(twin, NEAR_ONE)
    return still, evaluated, batch.trained(twin, REPEATS)


def controls_by_graph(subject, modules, batch, loss):
    """Run two twins, since a graph keeps the rates that it was built with."""
    layers = [layer for layer, _, _ in dropping(subject.model)]
    with Strength(layers, 0.0):
        still = compiled_twin(subject, modules[0], loss)
        losses = batch.fitted(still, REPEATS)
        evaluated = batch.evaluated(still, 1)
    with Strength(layers, NEAR_ONE):
        # Told from outside that this is training: whether the release itself says so is what is asked.
        for module in modules:
            module.backend.set_learning_phase(True)
        strong = compiled_twin(subject, modules[0], loss)
        batch.fitted(strong, 1)  # Builds it.
        strong.set_weights(still.get_weights())
        return losses, evaluated, batch.fitted(strong, REPEATS)


def compiled_twin(subject, keras, loss):
    twin = twin_of(subject)
    compile_still(twin, keras, loss, subject.compiled)
    return twin
