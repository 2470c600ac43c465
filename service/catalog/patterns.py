"""Searches a pattern in what a stored run printed, bounded: a pattern can take for ever, and it comes from a user."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass

from service.json_text import text_digest

CPU_SECONDS = 1
WALL_SECONDS = 60.0
MEMORY_BYTES = 512 * 1024 * 1024
FOUND_CHARACTERS = 500
REMEMBERED = 10_000
PROGRAM = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
pattern, text = json.load(sys.stdin)
match = re.search(pattern, text, re.MULTILINE)
json.dump(match and match.group()[:{FOUND_CHARACTERS}], sys.stdout)
"""


@dataclass(frozen=True)
class Searched:
    """What came of a search."""

    found: str | None = None
    """What matches; None: nothing."""
    ended: bool = True
    """False where the search took too long or too much memory."""


_known: OrderedDict[tuple[str, str], Searched] = OrderedDict()
_lock = threading.Lock()


def search_in(pattern: str, text: str) -> Searched:
    """Search a pattern in a text, in a process of its own that cannot take long; remembered."""
    key = (pattern, text_digest(text))
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    searched = _search(pattern, text)
    with _lock:
        _known[key] = searched
        while len(_known) > REMEMBERED:
            _known.popitem(last=False)
    return searched


def _search(pattern: str, text: str) -> Searched:
    command = [sys.executable, "-I", "-S", "-c", PROGRAM]
    try:
        ended = subprocess.run(
            command, input=json.dumps([pattern, text]), capture_output=True, text=True, timeout=WALL_SECONDS, check=True
        )
        return Searched(json.loads(ended.stdout))
    except (OSError, ValueError, subprocess.SubprocessError):
        return Searched(ended=False)
