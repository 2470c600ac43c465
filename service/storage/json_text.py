"""JSON as the database keeps it: standard text, also for the numbers that JSON does not know.

A training loss may be NaN or infinite. PostgreSQL refuses those bare words, so they travel as {"$number": "nan"}.
Everything else, escaped NUL characters and lone surrogates included, goes through as it is.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

_MARK = "$number"


def dumps(value: Any) -> str:
    """Return standard JSON text that `loads` reads back to an equal value."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), default=_mapping)
    except ValueError:
        return json.dumps(_marked(value), allow_nan=False, separators=(",", ":"), default=_mapping)


def loads(text: str | bytes) -> Any:
    """Read what `dumps` wrote."""
    text = text.decode() if isinstance(text, bytes) else text
    return json.loads(text, object_hook=_unmarked) if f'"{_MARK}"' in text else json.loads(text)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form, such as "sha256:9f86…"."""
    text = json.dumps(_marked(value), allow_nan=False, sort_keys=True, separators=(",", ":"), default=_mapping)
    return text_digest(text)


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, such as "sha256:9f86…"."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _marked(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_MARK: repr(value)}
    if isinstance(value, Mapping):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    return value


def _unmarked(found: dict[str, Any]) -> Any:
    number = found.get(_MARK)
    return float(number) if len(found) == 1 and number in {"nan", "inf", "-inf"} else found
