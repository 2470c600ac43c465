"""The command that measures one release again: the only place that writes a request as a command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from service.catalog.probes import DEFAULT_PROBE


def reproduce_command(request: Mapping[str, Any], release: str, *, snippet: str = "", variant: str = "") -> str:
    """Return the shell command that measures one release again, whatever is stored.

    Args:
        request: as it is stored, in JSON.
        release: which release.
        snippet: what the command calls the source; "-": standard input; "": a file named after what it is.
        variant: the variant whose answer it was; "": the snippet itself. A variant of the user's own is a source of
            its own, so the command runs that source.

    The folder of a project is called PROJECT: where its files are, only the user knows.
    """
    is_own = variant in request.get("variant_snippets", {})
    source = snippet or (f"{variant}.py" if is_own else "snippet.py")
    command, has_files = request.get("command") or [], bool(request.get("project"))
    if command and not is_own:
        source = "PROJECT"
    words = ["tfbisect", "run", source, "--package", str(request.get("package", "tensorflow")), "--releases", release]
    words += ["--hardware", str(request.get("hardware", "cpu")), "--probe", str(request.get("probe", DEFAULT_PROBE))]
    if variant and not is_own:
        words += ["--variant", variant]
    words += [*_options(request), *(["--file", "PROJECT"] if has_files and source != "PROJECT" else []), "--fresh"]
    given = [*command] or [*(request.get("arguments") or [])]
    return shlex.join([*words, *(["--", *given] if given else [])])


def _options(request: Mapping[str, Any]) -> list[str]:
    """Return the options of a request that change what one release answers; those of the search do not."""
    words: list[str] = []
    for requirement in request.get("with", ()):
        words += ["--with", str(requirement)]
    if shape := request.get("input_shape"):
        words += ["--input-shape", ",".join(str(size) for size in shape)]
    if request.get("whole"):
        words.append("--whole")
    for name, value in sorted(request.get("parameters", {}).items()):
        words += ["--set", f"{name}={json.dumps(value)}"]
    if seconds := request.get("timeout_seconds"):
        words += ["--timeout", f"{seconds:g}"]
    for name in ("image_source", "python", "as_of", "repeats"):
        if value := request.get(name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if request.get("prereleases"):
        words.append("--prereleases")
    return words
