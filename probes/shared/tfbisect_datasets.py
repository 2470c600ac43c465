"""Answers keras.datasets.*.load_data without a network: real digits where they are, synthetic data elsewhere."""

import os
import sys

import numpy

IMAGES = {
    # name: (height, width, channels or 0, classes, trained on, tested on, labels as a column)
    "mnist": (28, 28, 0, 10, 60000, 10000, False),
    "fashion_mnist": (28, 28, 0, 10, 60000, 10000, False),
    "cifar10": (32, 32, 3, 10, 50000, 10000, True),
    "cifar100": (32, 32, 3, 100, 50000, 10000, True),
}
SEQUENCES = {"imdb": (25000, 25000, 2, 88584), "reuters": (8982, 2246, 46, 30979)}
TABLES = {"boston_housing": (404, 102, 13), "california_housing": (16512, 4128, 8)}
# So many different pictures are drawn; the rest repeats them.
DIFFERENT = 2000


def answer_datasets(context, modules):
    """Put our own load_data in the place of every data set's."""
    for name in list(IMAGES) + list(SEQUENCES) + list(TABLES):
        for module in dataset_modules(modules, name):
            answer_module(context, name, module)


def answer_module(context, name, module):
    """Put our own answers in the place of those of one module."""
    module.load_data = loader(context, name)
    if name in SEQUENCES and hasattr(module, "get_word_index"):
        module.get_word_index = word_index(name)


def word_index(name):
    """Return what answers with a number for each word; the stand-in's words have no meaning."""

    def get_word_index(*args, **kwargs):
        return {"word%d" % number: number for number in range(1, SEQUENCES[name][3])}

    return get_word_index


def dataset_modules(modules, name):
    """Return every module that offers the data set, the public names and what lies behind them."""
    found = [getattr(getattr(module, "datasets", None), name, None) for module in modules]
    for path, module in list(sys.modules.items()):
        if path.endswith(".datasets." + name):
            found.append(module)
    return [module for module in found if module is not None and hasattr(module, "load_data")]


def loader(context, name):
    """Return the load_data of one data set."""

    kept = {}

    def load_data(*args, **kwargs):
        if name in SEQUENCES:
            return sequences(context, name, *args, **kwargs)
        if name in TABLES:
            return table(context, name)
        folder = os.path.join(os.environ.get("TFBISECT_DATASETS", ""), name)
        if os.path.isdir(folder):
            return idx_files(context, name, folder)
        if not kept:
            kept[name] = pictures(context, name)
        # Copies: the snippet may change them in place, and twins may load them again.
        return tuple((x.copy(), y.copy()) for x, y in kept[name])

    return load_data


def idx_files(context, name, folder):
    """Map the four IDX files of a data set of pictures into memory.

    Each call maps them anew, and pages that the snippet writes to become its own: nobody sees another's changes.
    """
    parts = []
    for part in ("train", "t10k"):
        images = os.path.join(folder, part + "-images-idx3-ubyte")
        labels = os.path.join(folder, part + "-labels-idx1-ubyte")
        shape = tuple(int(size) for size in numpy.fromfile(images, ">i4", 4)[1:])
        parts.append((mapped(images, 16, shape), mapped(labels, 8, shape[:1])))
    context.note("data set %s: the real one, %d + %d" % (name, len(parts[0][0]), len(parts[1][0])))
    return tuple(parts)


def mapped(path, header_bytes, shape):
    """Return what follows a file's header as an array of bytes that can be written to and leaves the file alone."""
    return numpy.memmap(path, numpy.uint8, "c", header_bytes, shape).view(numpy.ndarray)


def pictures(context, name):
    """Draw pictures that can be learned: one random pattern per class, with noise."""
    height, width, channels, classes, trained, tested, column = IMAGES[name]
    random = numpy.random.RandomState(0)
    shape = (height, width, channels) if channels else (height, width)
    patterns = random.randint(0, 200, (classes,) + shape)
    labels = random.randint(0, classes, DIFFERENT)
    drawn = (patterns[labels] + random.randint(0, 56, (DIFFERENT,) + shape)).astype(numpy.uint8)
    labels = labels.astype(numpy.uint8)
    context.note("data set %s: synthetic, %d + %d pictures, %d of them different" % (name, trained, tested, DIFFERENT))
    return tuple(repeated(drawn, labels.reshape(-1, 1) if column else labels, count) for count in (trained, tested))


def repeated(x, y, count):
    """Return `count` samples that repeat those given."""
    order = numpy.arange(count) % len(x)
    return x[order], y[order]


def sequences(context, name, path=None, num_words=None, skip_top=0, maxlen=None, **kwargs):
    """Make lists of word numbers whose label shows in their words."""
    trained, tested, classes, words = SEQUENCES[name]
    limit = num_words or words
    random = numpy.random.RandomState(0)
    labels = random.randint(0, classes, DIFFERENT)
    starts = 4 + (labels * 37) % max(1, limit - 60)
    lists = numpy.empty(DIFFERENT, dtype=object)
    for index, start in enumerate(starts):
        length = int(random.randint(20, 120)) if maxlen is None else int(random.randint(1, maxlen))
        lists[index] = [int(word) for word in start + random.randint(0, 50, length)]
    context.note("data set %s: synthetic, %d + %d texts, %d of them different" % (name, trained, tested, DIFFERENT))
    return repeated(lists, labels, trained), repeated(lists, labels, tested)


def table(context, name):
    """Make a table whose target is a sum of its columns."""
    trained, tested, columns = TABLES[name]
    random = numpy.random.RandomState(0)
    x = random.uniform(0.0, 10.0, (trained + tested, columns))
    y = x.dot(random.uniform(0.0, 1.0, columns))
    context.note("data set %s: synthetic, %d + %d rows" % (name, trained, tested))
    return (x[:trained], y[:trained]), (x[trained:], y[trained:])
