"""Does dropout drop in training, and only there?

The optimizer's learning rate is 0, so that the weights never move: on one fixed batch the loss can then change for one
reason only. `fit` is the first call that the model under test ever sees.
"""

from tfbisect_batches import count, first_batch, made_inputs, made_targets, output_shapes, shapes_of, static_shapes
from tfbisect_clock import Clock
from tfbisect_controls import controls
from tfbisect_keras import eagerly
from tfbisect_layers import dropping, silent
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
    clock = Clock()
    clock.add("script", *subject.script_seconds)
    with clock.step("data"):
        x, y, weights, loss = data_of(context, subject)
        batch = Batch(x, y, weights)
    seen = {
        "model": kind_of(subject.model),
        "taken_at": subject.taken_at,
        "samples": batch.size,
        "layers": [described(*found) for found in layers],
    }
    with clock.step("model"):
        context.observe(compile_still, subject.model, modules[0], loss, subject.compiled)
        seen["train_losses"] = context.observe(batch.fitted, subject.model, EPOCHS)
        seen["batch_losses"] = context.observe(batch.trained, subject.model, REPEATS)
        seen["evaluate_losses"] = context.observe(batch.evaluated, subject.model, REPEATS)
    with clock.step("controls"):
        seen.update(controls(context, subject, modules, batch, loss, seen))
    with clock.step("shares"):
        seen["shares"] = shares(modules, [layer for layer, _, _ in layers])
    seen["seconds"], seen["cpu_seconds"] = clock.seconds, clock.cpu_seconds
    return seen


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
    context.note("no training data in the snippet: one batch of random numbers, mean squared error")
    shapes = output_shapes(subject.model, count(x)) or shapes_of(context.observe(outputs_of, subject, x))
    return x, made_targets(shapes), None, "mse"


def outputs_of(subject, x):
    """Return what a twin answers: a model that has no shape yet must not be called before fit."""
    twin = twin_of(subject)
    # Called directly where that works: predict would compile it.
    return twin(x) if eagerly(type(twin)) and hasattr(type(twin), "run_eagerly") else twin.predict(x)
