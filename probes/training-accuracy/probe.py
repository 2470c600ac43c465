"""The reporter's own experiment: does a rate of 0.999 keep a model from learning, as it must?"""

from tfbisect_batches import first_batch
from tfbisect_clock import Clock
from tfbisect_layers import NEAR_ONE, MadeWithStrength, dropping
from tfbisect_takeover import TakeOver, twin_of

DIGITS = 4000
EPOCHS = 5
BATCH = 32
MOST_REPEATS = 3


def run(context):
    if not context.parameters.get("seed"):
        context.set_seed(1)
    return TakeOver(context, measure).run()


def measure(context, subject, modules):
    layers = [layer for layer, _, _ in dropping(subject.model)]
    if not layers:
        raise context.Refused("the model has no dropout layer: nothing to probe")
    if not subject.has_data or subject.compiled is None:
        raise context.Refused("this probe trains: paste the whole training script, with compile and fit")
    x, y, _ = first_batch(context, subject.x, subject.y, None, DIGITS, most=DIGITS)
    clock = Clock()
    clock.add("script", *subject.script_seconds)
    with clock.step("model"):
        own = context.observe(accuracies, subject.model, x, y)
    measurements = {
        "declared": [rate for _, _, rate in dropping(subject.model)],
        "samples": len(x),
        "epochs": EPOCHS,
        "chance": commonest_share(y),
        "own_rate": own,
        "near_one": [],
        "near_one_rate": NEAR_ONE,
    }
    while len(measurements["near_one"]) < MOST_REPEATS:
        with MadeWithStrength(layers, NEAR_ONE):
            with clock.step("twin"):
                twin = twin_of(subject)
                compile_like(twin, subject.compiled)
            # The experiment is two trainings; what is trained beyond them is the probe's doubt.
            with clock.step("repeats" if measurements["near_one"] else "model"):
                measurements["near_one"].append(context.observe(accuracies, twin, x, y))
        if clear(measurements):
            break
    measurements["seconds"], measurements["cpu_seconds"] = clock.seconds, clock.cpu_seconds
    return measurements


def accuracies(model, x, y):
    """Return the training accuracy of each epoch."""
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0).history
    names = [name for name in history if "acc" in name and not name.startswith("val_")]
    return [float(accuracy) for accuracy in history[names[0]]]


def clear(measurements):
    last = measurements["near_one"][-1][-1]
    return last < measurements["chance"] + 0.05 or last > 0.9


def commonest_share(y):
    """Return the accuracy of always naming the commonest class."""
    labels = [int(label.argmax()) if getattr(label, "size", 1) > 1 else int(label) for label in y]
    return max(labels.count(label) for label in set(labels)) / float(len(labels))


def compile_like(twin, compiled):
    """Compile a twin as the snippet compiled its model, with an optimizer of its own."""
    given = dict(compiled)
    optimizer = given.get("optimizer")
    if hasattr(optimizer, "get_config") and hasattr(type(optimizer), "from_config"):
        given["optimizer"] = type(optimizer).from_config(optimizer.get_config())
    given["metrics"] = ["accuracy"]
    twin.compile(**given)
