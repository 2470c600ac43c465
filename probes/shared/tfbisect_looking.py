"""Looks at a model that a script has made: its layers, what it answers on fixed inputs, whether a file keeps it."""

import os
import tempfile

import numpy
from tfbisect_batches import static_shapes
from tfbisect_keras import eagerly
from tfbisect_layers import names_of, walk
from tfbisect_takeover import own_objects
from tfbisect_told import array_told, number, shape_of, whole_value
from tfbisect_watching import SAMPLES, known_inputs, parts_of

MOST_LAYERS = 60
MOST_WEIGHTS = 8
# A saved twin computes the same in another order of sums at most.
SAME = 1e-5


def look(context, seen, modules, clock):
    """Return what there is to know of one model; what fails is named by its exception."""
    with clock.step("model"):
        facts, inputs, ready = made_of(seen)
    if ready:
        with clock.step("predicts"):
            answers_of(facts, seen, modules, inputs)
        if facts["kind"] != "subclassed":
            with clock.step("saved"):
                facts["saved"] = saved(context, seen.model, modules, inputs)
    return facts


def made_of(seen):
    """Return what a model is made of, inputs for it, and whether it has its fixed weights now."""
    model = seen.model
    facts = {"kind": kind_of(model, seen.declared), "layers": [], "failed": {}}
    attempt(facts, "layers", lambda: [layer_told(layer, seen.declared) for layer in layers_of(model)[:MOST_LAYERS]])
    attempt(facts, "parameters", lambda: int(model.count_params()))
    inputs = attempt(facts, None, lambda: fixed_inputs(seen))
    if inputs is None:
        return facts, None, False
    attempt(facts, "weights", lambda: weights_told(model, first_weights(seen, inputs)))
    former = attempt(facts, None, lambda: [layer.get_weights() for layer in model.layers])
    if former is None:
        return facts, inputs, False
    attempt(facts, "fixed", lambda: set_fixed(model))
    return facts, inputs, "fixed" in facts


def attempt(facts, name, ask):
    """Return an answer, kept by its name; of one that fails its exception is kept."""
    try:
        found = ask()
    except Exception as error:
        if name is not None:
            facts["failed"][name] = [type(error).__name__, str(error)[:500]]
        return None
    if name is not None:
        facts[name] = found
    return found


def kind_of(model, declared):
    if "Sequential" in names_of(model):
        return "Sequential with input shape" if declared else "Sequential without input shape"
    return "functional" if declared else "subclassed"


def layers_of(model):
    """Return the layers of a model in order, without the inputs, which not every release counts as layers."""
    return [layer for layer in model.layers if "InputLayer" not in names_of(layer)]


def layer_told(layer, declared):
    """Return one layer by class and number of parameters, and shape where every release knows it."""
    facts = {"class": type(layer).__name__, "parameters": int(layer.count_params())}
    if declared:
        try:
            facts["shape"] = shape_of(layer.output)
        except Exception:
            pass  # Used more than once, or with several outputs.
    return facts


def first_weights(seen, inputs):
    """Return a model's weights before any training: its own, or those of a twin that is made here."""
    if seen.weights is not None:
        return seen.weights
    if seen.configuration is None:
        return None
    twin = type(seen.model).from_config(seen.configuration, custom_objects=own_objects(seen.model))
    answer(twin, inputs)
    return [layer.get_weights() for layer in twin.layers]


def weights_told(model, weights):
    """Return mean and spread of each weight by layer."""
    found = []
    for layer, held in zip(model.layers, weights or []):
        for at, values in enumerate(held[:MOST_WEIGHTS]):
            values = numpy.asarray(values, dtype="float64")
            name = short_name(layer, at)
            found.append([len(found), name, list(values.shape), number(values.mean()), number(values.std())])
    return found[: MOST_LAYERS * MOST_WEIGHTS]


def short_name(layer, at):
    """Return what a weight is called within its layer."""
    try:
        return str(layer.weights[at].name).split("/")[-1].split(":")[0]
    except Exception:
        return "weight %d" % (at + 1)


def fixed_inputs(seen):
    """Return the same inputs in every release and under every seed; None where nothing tells their shape."""
    if isinstance(seen.example, dict):
        return seen.example
    shapes, kind = None, None
    if seen.example is not None:
        parts = seen.example if isinstance(seen.example, (list, tuple)) else [seen.example]
        parts = [numpy.asarray(whole_value(part)) for part in parts]
        if any(part.dtype.kind not in "fiub" for part in parts):
            return seen.example
        shapes, kind = [part.shape[1:] for part in parts], seen.example
    # What the script hands over is the same in every release, what a model knows is not.
    if not shapes or any(not shape for shape in shapes):
        shapes = static_shapes(seen.model) or shapes
    if not shapes:
        return None
    random = numpy.random.RandomState(0)
    words = [layer.input_dim for layer in walk(seen.model) if "Embedding" in names_of(layer)]
    if words:
        made = [random.randint(0, min(words), (SAMPLES,) + tuple(shape)) for shape in shapes]
    else:
        made = [random.uniform(0.1, 1.0, (SAMPLES,) + tuple(shape)) for shape in shapes]
    made = [part.astype("float32") for part in made]
    return made if len(made) > 1 or isinstance(kind, (list, tuple)) else made[0]


def set_fixed(model):
    """Give a model weights that are the same wherever they have the same shapes; say how many layers have any."""
    number_of_layer = 0
    for layer in leaves(model):
        held = layer.get_weights()
        if not held:
            continue
        number_of_layer += 1
        layer.set_weights([fixed(number_of_layer, at, short_name(layer, at), old) for at, old in enumerate(held)])
    return number_of_layer


def leaves(model):
    """Return the layers of a model in order, those of nested models in their place."""
    found = []
    for layer in model.layers:
        found.extend(leaves(layer) if getattr(layer, "layers", None) and "Model" in names_of(layer) else [layer])
    return found


def fixed(number_of_layer, at, name, old):
    """Return a fixed weight of the size that a fresh one has."""
    old = numpy.asarray(old)
    if old.dtype.kind not in "f":
        return old
    drawn = numpy.random.RandomState(1000 * number_of_layer + at).uniform(-1.0, 1.0, old.shape)
    if "variance" in name or "gamma" in name or "scale" in name:
        drawn = 1.0 + 0.5 * drawn
    elif old.ndim > 1:
        drawn = drawn * numpy.sqrt(3.0 / max(1, int(numpy.prod(old.shape[:-1]))))
    else:
        drawn = 0.1 * drawn
    return drawn.astype(old.dtype)


def answers_of(facts, seen, modules, inputs):
    """Add what a model answers, by predict, by a call, and by a call that is told that this is training."""
    model = seen.model
    attempt(facts, "predicted", lambda: told_parts(predict(model, inputs)))
    if eagerly(type(model)) and hasattr(type(model), "run_eagerly"):
        attempt(facts, "called", lambda: told_parts(model(tensors(inputs), training=False)))
        attempt(facts, "trained", lambda: told_parts(model(tensors(inputs), training=True)))
    elif known_inputs(model):
        attempt(facts, "called", lambda: told_parts(in_phase(model, modules[0], inputs, 0)))
        attempt(facts, "trained", lambda: told_parts(in_phase(model, modules[0], inputs, 1)))


def predict(model, inputs):
    return model.predict(inputs, batch_size=SAMPLES, verbose=0)


def answer(model, inputs):
    """Return what a model answers, in the way that costs least."""
    if eagerly(type(model)) and hasattr(type(model), "run_eagerly"):
        return model(tensors(inputs), training=False)
    return predict(model, inputs)


def tensors(inputs):
    return [numpy.asarray(part) for part in inputs] if isinstance(inputs, (list, tuple)) else inputs


def in_phase(model, keras, inputs, phase):
    """Return what the graph of a model answers in a phase: 1 is training."""
    backend = keras.backend
    given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    return backend.function(model.inputs + [backend.learning_phase()], model.outputs)(given + [phase])


def told_parts(outputs):
    """Return the facts of each output."""
    return [array_told(numpy.asarray(whole_value(part))) for part in parts_of(outputs)]


def saved(context, model, modules, inputs):
    """Return what comes of saving a model and loading it again, by format."""
    expected = attempt({"failed": {}}, None, lambda: parts_of(answer(model, inputs)))
    if expected is None:
        return {}
    found = {}
    for suffix in formats(context):
        handle, path = tempfile.mkstemp(suffix=suffix)
        os.close(handle)
        os.remove(path)
        try:
            found[suffix] = kept(context, model, modules, inputs, path, expected)
        except ImportError:
            pass  # h5py is not installed: the environment cannot tell.
        except Exception as error:
            found[suffix] = "raises %s: %s" % (type(error).__name__, str(error)[:500])
        finally:
            if os.path.exists(path):
                os.remove(path)
    return found


def formats(context):
    """Return the file formats that a release writes, each in one file."""
    try:
        version = tuple(int(part) for part in context.version.split(".")[:2])
    except ValueError:
        return (".h5",)
    native = context.framework_name == "tensorflow" and version >= (2, 12)
    return (".h5", ".keras") if native else (".h5",)


def kept(context, model, modules, inputs, path, expected):
    """Say whether a model that was saved and loaded again answers as before."""
    model.save(path, include_optimizer=False)
    twin = modules[0].models.load_model(path, custom_objects=own_objects(model), compile=False)
    answered = parts_of(answer(twin, inputs))
    apart = max(
        float(numpy.max(numpy.abs(numpy.asarray(whole_value(one)) - numpy.asarray(whole_value(other)))))
        for one, other in zip(expected, answered)
    )
    return "answers the same" if apart <= SAME else "answers otherwise"
