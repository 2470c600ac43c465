"""A model that a snippet defines and does not train: it is trained for a few steps on made data."""

from tfbisect_batches import count, made_inputs, made_targets, output_shapes, shapes_of
from tfbisect_layers import names_of
from tfbisect_watching import ModelSeen

EPOCHS = 2


def defined(context, watch):
    """Return the model that a snippet leaves in `model` or returns from build_model(); None where there is none."""
    build = context.namespace.get("build_model")
    model = context.observe(build) if callable(build) else context.namespace.get("model")
    if model is None or "Model" not in names_of(model) or not hasattr(model, "fit"):
        return None
    for seen in watch.models:
        if seen.model is model:
            return seen
    return ModelSeen(model, None)


def train_on_made(context, seen, modules):
    """Train a model on one made batch; where nothing says its shapes, it stays as it is."""
    model = seen.model
    try:
        x = made_inputs(context, model)
        shapes = output_shapes(model, count(x))
        if shapes is None:
            twin = type(model).from_config(seen.configuration)
            shapes = shapes_of(twin.predict(x))
        y = made_targets(shapes)
    except Exception as error:
        context.note("`model` was not trained on made data: %s" % str(error)[:200])
        return
    seen.example = x
    if not trainable(model):
        return
    context.note("no training in the snippet: %d epochs on one batch of random numbers, mean squared error" % EPOCHS)
    try:
        model.compile(optimizer=modules[0].optimizers.SGD(0.01), loss="mse")
        model.fit(x, y, batch_size=count(x), epochs=EPOCHS, shuffle=False, verbose=0)
    except Exception as error:
        context.note("training on made data raised %s: %s" % (type(error).__name__, str(error)[:200]))


def trainable(model):
    """Say whether training can move anything; a model that is not built yet is taken to have weights."""
    try:
        return bool(model.trainable_weights) or not model.weights and not model.built
    except Exception:
        return True
