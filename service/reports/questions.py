"""What a bisection was asked, line by line: everything that shaped its answer. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

BRANCHES = {"tips": "newest patch of each relevant minor", "all": "all", "none": "none"}


def question_lines(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was asked, as label and value; what was left to the service is left out."""
    return [(label, value) for label, value in _lines(request) if value]


def _lines(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Package", str(request.get("package") or "")
    yield "Releases", str(request.get("releases") or "all supported releases")
    yield "Probe", str(request.get("probe") or "")
    yield "Hardware", str(request.get("hardware") or "")
    for name, value in dict(request.get("parameters") or {}).items():
        yield name.replace("_", " ").capitalize(), _plain(value)
    yield "Command", shlex.join(request.get("command") or ())
    yield "Arguments", shlex.join(request.get("arguments") or ())
    yield "Files", str(request.get("project") or "")
    yield "Packages beside it", ", ".join(request.get("with") or request.get("additions") or ())
    yield "Python", str(request.get("python") or "")
    yield "Packages as of", str(request.get("as_of") or "")
    yield "Input shape", ", ".join(map(str, request.get("input_shape") or ()))
    yield "Variants", ", ".join([*(request.get("variants") or ()), *(request.get("variant_snippets") or {})])
    yield "Patch releases", BRANCHES.get(str(request.get("branches") or ""), "")
    yield "Resolution", _plain(request.get("resolution"))
    yield "Runs per release", _plain(request.get("repeats"))
    yield "Time limit of a run", f"{request['timeout_seconds']:g} s" if request.get("timeout_seconds") else ""
    yield "Images", str(request.get("image_source") or "")
    yield "Training", "as long as the script says" if request.get("whole") else ""
    yield "Stored runs", "ignored" if request.get("fresh") else ""
    yield "Causes", "" if request.get("why", True) else "not searched for"


def _plain(value: Any) -> str:
    """Return a value as a reader would type it."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_plain(each)}" for name, each in value.items())
    return json.dumps(value)
