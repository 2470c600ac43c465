"""What a value is told as: JSON that every Python writes alike, bounded in size and depth."""

import hashlib
import json
import math
import sys

from harness_faults import message_of, name_of_exception

# Beyond these a value is told by a stand-in, the same in every Python: from 3.10.7 on a whole number of more than 4,300
# digits has no text, and every reader of a nested value recurses.
INTEGER_BITS = 1024
TEXT_CHARACTERS = 1 << 18
DEEPEST = 24
TEXT = type("")
WHOLE = (int,) if sys.version_info[0] > 2 else (int, long)  # noqa: F821 - a name of Python 2

# Bound before the snippet runs, so that one that replaces json's parts does not reach it.
written = json.JSONEncoder(sort_keys=True).encode


def encoded(event):
    """Return an event as JSON, whatever is in it."""
    try:
        return written(plain(event)).encode("ascii")
    except BaseException as error:  # what a value says of itself is the snippet's code, and may try to leave
        reason = "the probe's result cannot be told: %s: %s" % (name_of_exception(type(error)), message_of(error))
        return written({"event": "result", "result": {"kind": "untestable", "message": reason}}).encode("ascii")


def plain(value, depth=0):
    """Return `value` as what JSON can hold; floats that are not finite become "nan", "inf" and "-inf".

    What is too long or too deep to be told becomes a text with its size, and its digest where it has one.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, WHOLE):
        return plain_integer(value)
    if isinstance(value, TEXT):
        return plain_text(value)
    if isinstance(value, float):
        return value if not (math.isnan(value) or math.isinf(value)) else str(value)
    if isinstance(value, bytes):
        return plain_text(value.decode("utf-8", "replace"))
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        if depth >= DEEPEST:
            return "(%s of length %d, nested deeper than %d)" % (type(value).__name__, len(value), DEEPEST)
        if isinstance(value, dict):
            return {name_of(key): plain(item, depth + 1) for key, item in value.items()}
        return [plain(item, depth + 1) for item in value]
    for method in ("tolist", "item"):
        if depth < DEEPEST and hasattr(value, method):
            return plain(getattr(value, method)(), depth + 1)
    return plain_text(text_of(value))


def plain_integer(value):
    """Return a whole number, or what stands in for one that not every Python can write down."""
    bits = abs(value).bit_length()
    if bits <= INTEGER_BITS:
        return value
    return "(integer of %d bits, sha256:%s)" % (bits, hashlib.sha256(("%x" % value).encode("ascii")).hexdigest())


def plain_text(value):
    """Return a text, or the head of one without measure with what stands in for the rest."""
    if len(value) <= TEXT_CHARACTERS:
        return value
    every = value.encode("utf-8", "surrogatepass" if sys.version_info[0] > 2 else "strict")
    return "%s (%d characters, sha256:%s)" % (value[:200], len(value), hashlib.sha256(every).hexdigest())


def name_of(key):
    """Return a key of a mapping as text."""
    return plain_text(key if isinstance(key, TEXT) else text_of(key))


def text_of(value):
    """Return what a value says of itself, or its type where it says nothing."""
    try:
        return "%s" % (value,)
    except BaseException:
        return "(%s without a text)" % type(value).__name__
