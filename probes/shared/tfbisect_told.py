"""Values of a script as JSON can hold them: short ones as they are, long ones by their statistics."""

import json
import math

MOST_NUMBERS = 16
MOST_ITEMS = 100
MOST_CHARACTERS = 2000
MOST_LEAVES = 2000


def told(value, depth=0, left=None):
    """Return a value: numbers and texts as they are, lists and mappings item by item, arrays by what is in them."""
    left = [MOST_LEAVES] if left is None else left
    left[0] -= 1
    if left[0] < 0:
        return "and more"
    value = whole_value(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, type("")):
        return value[:MOST_CHARACTERS]
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return array_told(value)
    if depth < 6 and isinstance(value, (list, tuple)):
        return [told(item, depth + 1, left) for item in list(value)[:MOST_ITEMS]]
    if depth < 6 and isinstance(value, dict):
        names = sorted(value, key=str)[:MOST_ITEMS]
        return {str(name)[:MOST_CHARACTERS]: told(value[name], depth + 1, left) for name in names}
    return str(value)[:MOST_CHARACTERS]


def within(most_bytes, items):
    """Return as many of the first items as come to so many bytes as JSON: a result has its bounds."""
    kept, size = [], 0
    for item in items:
        size += len(json.dumps(item, default=str))
        if size > most_bytes:
            break
        kept.append(item)
    return kept


def whole_value(value):
    """Return a tensor as an array, and an array of no dimensions as its one number."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
        if callable(getattr(value, "numpy", None)):
            value = value.numpy()
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            value = value.item()
    except Exception:
        pass  # A tensor of a graph has no value.
    return value


def array_told(array):
    """Return an array's shape, kind, first numbers and statistics."""
    facts = {"shape": list(shape_of(array)), "dtype": kind_of(array.dtype)}
    try:
        flat = array.astype("float64").reshape(-1)
    except Exception:
        return facts  # Texts, ragged rows, tensors of a graph.
    if flat.size:
        facts.update(first=[number(each) for each in flat[:MOST_NUMBERS]], mean=number(flat.mean()))
        facts.update(spread=number(flat.std()), least=number(flat.min()), most=number(flat.max()))
    return facts


def shape_of(array):
    """Return a shape as sizes, None where one is open."""
    sizes = array.shape.as_list() if hasattr(array.shape, "as_list") else list(array.shape)
    return [None if size is None else int(size) for size in sizes]


def kind_of(dtype):
    """Return the kind of numbers by the name that NumPy has for it."""
    return str(getattr(dtype, "name", dtype))


def number(value):
    """Return any number as a float of Python; one that is not finite as a text."""
    value = float(value)
    return value if not (math.isnan(value) or math.isinf(value)) else str(value)
