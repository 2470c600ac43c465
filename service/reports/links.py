"""Links to the source and the notes of a release, and commands that repeat a run. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urljoin

from packaging.version import Version
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from service.coordination.reproducing import reproduce_command

REPOSITORIES: Mapping[str, str] = {
    "tensorflow": "https://github.com/tensorflow/tensorflow",
    "tensorflow-cpu": "https://github.com/tensorflow/tensorflow",
    "tensorflow-gpu": "https://github.com/tensorflow/tensorflow",
    "keras": "https://github.com/keras-team/keras",
    "torch": "https://github.com/pytorch/pytorch",
    "jax": "https://github.com/jax-ml/jax",
    "numpy": "https://github.com/numpy/numpy",
}


def tag_of(package: str, release: str) -> str:
    """Return the tag of a release's source."""
    return f"jax-v{release}" if package == "jax" else f"v{release}"


def notes_url(package: str, release: str) -> str:
    """Return the address of a release's notes; its page on the package index if the project is not known."""
    home = REPOSITORIES.get(package)
    if home is None or Version(release).is_devrelease:
        return urljoin(PYPI_SIMPLE_ENDPOINT, f"/project/{package}/{release}/")
    return f"{home}/releases/tag/{tag_of(package, release)}"


def compare_url(package: str, before: str, after: str) -> str | None:
    """Return the address of the commits between two releases, if the project is known."""
    home = REPOSITORIES.get(package)
    if home is None or any(Version(release).is_devrelease for release in (before, after)):
        return None
    return f"{home}/compare/{tag_of(package, before)}...{tag_of(package, after)}"


def source_url(package: str, release: str, file: str, first: int, last: int) -> str:
    """Return the address of some lines of an installed file in the project's repository; "" if that is not known."""
    home = REPOSITORIES.get(package)
    if home is None or Version(release).is_devrelease:
        return ""
    return f"{home}/blob/{tag_of(package, release)}/{repository_path(file)}#L{first}-L{last}"


def history_command(package: str, before: str, after: str, file: str, lines: tuple[int, int]) -> str:
    """Return the command that shows, in a clone, the commits between two releases that touched some lines."""
    first, last = lines
    ends = f"{tag_of(package, before)}..{tag_of(package, after)}"
    return f"git log -L {first},{last}:{shlex.quote(repository_path(file))} {ends}"


def repository_path(file: str) -> str:
    """Return where an installed file lies in its repository; TensorFlow 1.15 to 2.1 installed into another folder."""
    return f"tensorflow/{file.removeprefix('tensorflow_core/')}" if file.startswith("tensorflow_core/") else file


def reproduce_from_page(
    bisection_id: str, request: Mapping[str, Any], release: str, base_url: str, variant: str = ""
) -> str:
    """Return the shell command that measures one release again, given only this page."""
    own = f"?{urlencode({'variant': variant})}" if variant in request.get("variant_snippets", {}) else ""
    source = shlex.quote(f"{base_url}/b/{bisection_id}.py{own}")
    return f"curl -sSf {source} | {reproduce_command(request, release, snippet='-', variant=variant)}"


def submit_command(request: Mapping[str, Any], bisection_id: str, base_url: str) -> str:
    """Return the shell command that sends a bisection again by REST."""
    left_out = {"snippet"} | {name for name, value in request.items() if value in (None, "", [], {}, False)}
    left_out |= {"why"} if request.get("why", True) else set()
    body = {name: value for name, value in request.items() if name not in left_out}
    options = " ".join(f"--argjson {name} {shlex.quote(json.dumps(value))}" for name, value in body.items())
    fields = ", ".join(f"${name}" for name in body)
    build = f"jq -Rs {options} '{{snippet: ., {fields}}}'".replace("  ", " ")
    return (
        f"curl -sSf {shlex.quote(f'{base_url}/b/{bisection_id}.py')} | {build} | "
        f"curl -sS -H 'content-type: application/json' -d @- {shlex.quote(f'{base_url}/api/v1/bisections')}"
    )
