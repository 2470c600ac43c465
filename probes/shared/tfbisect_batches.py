"""Takes one fixed batch from whatever a script gives to fit, or makes one for a model alone."""

import numpy
from tfbisect_keras import eager
from tfbisect_layers import names_of, walk

SAMPLES = 32
MOST_SAMPLES = 256
# Stands for every dimension that a model leaves open besides the batch.
OPEN_DIMENSION = 16


def first_batch(context, x, y=None, weights=None, samples=None, most=MOST_SAMPLES):
    """Return (x, y, sample weights) of the first batch as arrays; nested as the model takes them."""
    samples = min(int(samples or SAMPLES), most)
    if "Dataset" in " ".join(names_of(x)) and hasattr(x, "batch"):
        return split(context, element_of(context, x))
    if hasattr(x, "__getitem__") and hasattr(x, "__len__") and {"Sequence", "PyDataset"} & set(names_of(x)):
        return split(context, x[0])
    if hasattr(x, "__next__") or hasattr(x, "next"):
        return split(context, next(x))
    return tuple(cut(part, samples) for part in (x, y, weights))


def split(context, element):
    """Tell inputs, targets and weights of one element apart."""
    if not isinstance(element, (tuple, list)):
        return arrays(element), None, None
    if len(element) > 3:
        raise context.Refused("the training data yields %d parts where Keras takes (x, y, weights)" % len(element))
    return tuple(arrays(part) for part in (tuple(element) + (None, None))[:3])


def element_of(context, dataset):
    """Return the first element of a tf.data data set."""
    if eager():
        return next(iter(dataset))
    tensorflow = context.framework
    one = getattr(getattr(tensorflow, "compat", None), "v1", tensorflow)
    with dataset_graph(dataset, one).as_default():
        following = (
            one.data.make_one_shot_iterator(dataset).get_next()
            if hasattr(one.data, "make_one_shot_iterator")
            else dataset.make_one_shot_iterator().get_next()
        )
        with one.Session() as session:
            return session.run(following)


def dataset_graph(dataset, tensorflow):
    """Return the graph in which a data set was made."""
    variant = getattr(dataset, "_variant_tensor", None)
    return getattr(variant, "graph", None) or tensorflow.get_default_graph()


def arrays(part):
    """Return a part of a batch as arrays."""
    if isinstance(part, dict):
        return {name: arrays(item) for name, item in part.items()}
    if isinstance(part, (list, tuple)) and any(hasattr(item, "shape") for item in part):
        return [arrays(item) for item in part]
    if part is None:
        return None
    return part.numpy() if hasattr(part, "numpy") else numpy.asarray(part)


def cut(part, samples):
    """Return the first samples of a part of the training data."""
    if part is None:
        return None
    if isinstance(part, dict):
        return {name: cut(item, samples) for name, item in part.items()}
    if isinstance(part, (list, tuple)) and any(hasattr(item, "shape") for item in part):
        return [cut(item, samples) for item in part]
    if hasattr(part, "iloc"):
        part = part.iloc[:samples].values
    return arrays(part[:samples])


def count(x):
    """Return how many samples a batch holds."""
    while isinstance(x, (dict, list, tuple)):
        x = list(x.values())[0] if isinstance(x, dict) else x[0]
    return int(x.shape[0])


def static_shapes(model):
    """Return the shapes of a model's inputs, or None while they are not known."""
    try:
        inputs = model.inputs
    except Exception:
        return None
    shapes = [shape_of(tensor) for tensor in inputs or []]
    return shapes or None


def shape_of(tensor):
    """Return a tensor's shape, batch left out, open dimensions filled."""
    return tuple(int(size) if size else OPEN_DIMENSION for size in dimensions(tensor)[1:])


def dimensions(tensor):
    """Return a tensor's dimensions, None where they are open."""
    return tensor.shape.as_list() if hasattr(tensor.shape, "as_list") else list(tensor.shape)


def given_shapes(context):
    """Return the shapes of the parameter `input_shape`, or None: [28, 28] is one, [[28, 28], [4]] are two."""
    given = context.parameters.get("input_shape")
    if not given:
        return None
    several = isinstance(given[0], (list, tuple))
    return [tuple(int(size) for size in shape) for shape in (given if several else [given])]


def made_inputs(context, model):
    """Make a batch for a model that comes without data.

    Whole numbers where the model looks words up, numbers from 0 to 1 elsewhere; never zeros, which no dropout changes.
    """
    shapes = static_shapes(model) or given_shapes(context)
    if not shapes:
        raise context.Refused(
            "the model's input shape is not known: give it with --input-shape 28,28, or paste the training script"
        )
    random = numpy.random.RandomState(0)
    words = [layer.input_dim for layer in walk(model) if "Embedding" in names_of(layer)]
    if words:
        made = [random.randint(0, min(words), (SAMPLES,) + shape) for shape in shapes]
    else:
        made = [random.uniform(0.1, 1.0, (SAMPLES,) + shape) for shape in shapes]
    made = [part.astype("float32") for part in made]
    return made if len(made) > 1 else made[0]


def output_shapes(model, samples):
    """Return the shapes of a batch of outputs of a model that knows them before it is called, or None."""
    try:
        shapes = [dimensions(tensor)[1:] for tensor in model.outputs]
    except Exception:
        return None
    if not shapes or None in sum(shapes, []):
        return None
    shapes = [(samples,) + tuple(int(size) for size in shape) for shape in shapes]
    return shapes if len(shapes) > 1 else shapes[0]


def shapes_of(outputs):
    """Return the shapes of outputs, nested as they are."""
    if isinstance(outputs, dict):
        return {name: shapes_of(part) for name, part in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        return [shapes_of(part) for part in outputs]
    return tuple(int(size) for size in outputs.shape)


def made_targets(shapes):
    """Make targets for outputs of such shapes."""
    random = numpy.random.RandomState(1)
    if isinstance(shapes, dict):
        return {name: made_targets(part) for name, part in shapes.items()}
    if isinstance(shapes, list):
        return [made_targets(part) for part in shapes]
    return random.uniform(0.0, 1.0, shapes).astype("float32")
