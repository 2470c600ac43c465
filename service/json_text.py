"""JSON as the database keeps it: standard text, also for the numbers that JSON does not know.

A training loss may be NaN or infinite, which PostgreSQL refuses, and a number may have more digits than Python reads.
Such a number is written as an object with one name that nothing else can have:

    nan, inf, -inf         {"$number": "nan"}
    10 ** 5000             {"$number": "0x…"}
    {"$number": "nan"}     {"$$number": "nan"}     what a snippet reports under that name gets one $ more

Everything else, escaped NUL characters and lone surrogates included, goes through as it is. What was stored before
names were given a $ is read as it stands, unless it looks like one of the three: {"$number": []} stays what it is.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

_MARK = "$number"
_LIKE_THE_MARK = re.compile(r"\$+number")
_SPECIAL = frozenset({"nan", "inf", "-inf"})
_HEXADECIMAL = re.compile(r"-?0x[0-9a-f]+")
# Python parses at most 4300 decimal digits, because more takes long.
_MOST_BITS = 14_000


def dumps(value: Any) -> str:
    """Return standard JSON text that `loads` reads back to an equal value."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=_mapping)
    except ValueError:
        return _dumps_marked(value)
    return _dumps_marked(value) if f'{_MARK}":' in text else text


def _dumps_marked(value: Any, *, sort_keys: bool = False) -> str:
    marked = _marked(value)
    return json.dumps(marked, allow_nan=False, sort_keys=sort_keys, separators=(",", ":"), default=_mapping)


def loads(text: str | bytes) -> Any:
    """Read what `dumps` wrote."""
    text = text.decode() if isinstance(text, bytes) else text
    return json.loads(text, object_hook=_unmarked) if f'{_MARK}"' in text else json.loads(text)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form, such as "sha256:9f86…"."""
    return text_digest(_dumps_marked(value, sort_keys=True))


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, such as "sha256:9f86…"."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON value")


def _marked(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return {_MARK: repr(value)}
        case int() if value.bit_length() > _MOST_BITS:
            return {_MARK: hex(value)}
        case Mapping():
            return {_escaped(key): _marked(item) for key, item in value.items()}
        case list() | tuple():
            return [_marked(item) for item in value]
    return value


def _escaped(key: Any) -> Any:
    return f"${key}" if isinstance(key, str) and _LIKE_THE_MARK.fullmatch(key) else key


def _unmarked(found: dict[str, Any]) -> Any:
    if len(found) == 1 and isinstance(number := found.get(_MARK), str):
        if number in _SPECIAL:
            return float(number)
        if _HEXADECIMAL.fullmatch(number):
            return int(number, 16)
    return {key[1:] if key != _MARK and _LIKE_THE_MARK.fullmatch(key) else key: item for key, item in found.items()}
