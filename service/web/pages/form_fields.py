"""The form: reading it, and showing it with errors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from service.bisection.releases import tree_of
from service.catalog.probes import DEFAULT_PROBE, Probe
from service.errors import BadInput, NotFound, ProjectError, TfbisectError
from service.projects.files import Bounds
from service.web.access import Caller
from service.web.api.projects import kept, uploads_in
from service.web.api.schemas import SubmissionBody
from service.web.pages import parameter_fields
from service.web.problems import Problem, Refusal, problem_of, problem_of_validation
from service.web.site import Site

DEFAULTS: Mapping[str, str] = {
    "snippet": "",
    "probe": DEFAULT_PROBE,
    "package": "tensorflow",
    "releases": "",
    "hardware": "cpu",
    "image_source": "",
    "input_shape": "",
    "resolution": "",
    "branches": "tips",
    "repeats": "",
    "variants": "",
    "with": "",
    "project": "",
    "command": "",
    "arguments": "",
    "timeout_seconds": "",
    "whole": "",
    "fresh": "",
    "complete": "",
    "watch": "",
    "visibility": "public",
}
PLAIN = frozenset({"snippet", "releases", "hardware"})
"""Fields that always show; all others are folded until one is used or wrong."""
COMMANDS = ("command", "arguments")
"""Fields that hold words as a shell has them."""
NUMBERS = ("resolution", "repeats", "timeout_seconds")
BETWEEN_REQUIREMENTS = re.compile(r"\n|,(?=\s*[A-Za-z])(?![^\[]*\])")
TICKED = ("whole", "fresh", "complete", "watch")


@dataclass(frozen=True)
class Example:
    """A snippet that the form offers."""

    file: str
    title: str
    probe: str = DEFAULT_PROBE
    """Its request."""
    package: str = "tensorflow"


EXAMPLES = (
    Example("dropout_tutorial.py", "The 2018 Dropout bug"),
    Example("dropout_tutorial_fixed.py", "The workaround"),
    Example("noise_layer.py", "A noise layer"),
    Example("custom_script.py", "A custom script"),
    Example("dropout_keras.py", "Standalone Keras", package="keras"),
    Example("dropout_torch.py", "In PyTorch", package="torch"),
    Example("dropout_torch_training.py", "A PyTorch training", package="torch"),
    Example("legacy_version.py", "Another package", package="packaging"),
)


async def fields_of(form: FormData) -> dict[str, str]:
    """Return the submitted fields, with an uploaded file in place of the snippet."""
    fields = dict(DEFAULTS)
    for name in (*DEFAULTS, *(name for name in form if name.startswith("parameters."))):
        values = form.getlist(name)
        texts = [value for value in values if isinstance(value, str) and value]
        if texts:
            fields[name] = (",".join(texts) if name == "variants" else texts[0]).replace("\r\n", "\n")
    upload = form.get("file")
    if isinstance(upload, UploadFile) and upload.filename:
        fields["snippet"] = (await upload.read()).decode("utf-8", "replace")
    fields["snippet"] = fields["snippet"].replace("\r\n", "\n")
    return fields


def submission_of(fields: Mapping[str, str], probes: Mapping[str, Probe]) -> SubmissionBody:
    """Return the request of the form, with the parameters of the chosen probe.

    Raises:
        ValidationError: a field cannot be read.
    """
    sent: dict[str, Any] = {
        "snippet": fields["snippet"],
        "hardware": fields["hardware"],
        "branches": fields["branches"],
    }
    sent |= {
        name: fields[name]
        for name in ("probe", "package", "releases", "image_source", "visibility")
        if fields[name].strip()
    }
    sent |= {name: fields[name].strip() for name in NUMBERS if fields[name].strip()}
    sent |= {name: bool(fields[name]) for name in TICKED}
    if shape := fields["input_shape"].strip().strip("()[]"):
        sent["input_shape"] = [size.strip() for size in shape.split(",") if size.strip()]
    if project := fields["project"].strip():
        sent["project"] = project
    sent |= {name: words_typed(fields[name], name) for name in COMMANDS if fields[name].strip()}
    if additions := requirements_typed(fields["with"]):
        sent["with"] = additions
    if variants := fields["variants"].strip():
        sent["variants"] = [name.strip() for name in variants.split(",") if name.strip()]
    sent["parameters"] = parameter_fields.typed(probes.get(fields["probe"]), fields)
    return SubmissionBody.model_validate(sent)


def words_typed(text: str, field: str) -> list[str]:
    """Return the words of a command as a shell would.

    Raises:
        BadInput: a quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BadInput(f"{text[:80]!r} is no command: {error}.", field=field) from None


async def files_of(form: FormData, bounds: Bounds) -> list[tuple[str, bytes]]:
    """Return the files that lie beside the snippet.

    Raises:
        ProjectError: too many, or too large.
    """
    return await uploads_in(form, "files", bounds)


def with_files(site: Site, fields: dict[str, str], sent: Sequence[tuple[str, bytes]], bounds: Bounds) -> None:
    """Keep the files of the form, and name their project in its fields.

    Raises:
        ProjectError: they cannot be taken, or one looks like a secret.
    """
    if not sent:
        return
    project, secrets = kept(site, sent, bounds)
    fields["project"] = project.digest
    if secrets:
        raise ProjectError(f"left out, since they look like secrets: {', '.join(secrets)}; the others are kept.")


def requirements_typed(text: str) -> list[str]:
    """Return the requirements in a field: a comma separates them, but also the bounds and extras of one."""
    return [each.strip() for each in BETWEEN_REQUIREMENTS.split(text) if each.strip()]


def problem_in(error: Exception) -> Problem:
    if isinstance(error, Refusal):
        return error.problem
    if isinstance(error, TfbisectError):
        return problem_of(error)
    if isinstance(error, ValidationError):
        return problem_of_validation(error.errors())
    raise error


def form_page(
    site: Site,
    request: Request,
    caller: Caller,
    *,
    fields: Mapping[str, str] | None = None,
    problem: Problem | None = None,
    like: str = "",
) -> Response:
    """Show the form: empty, filled from another bisection, or with the input and its errors."""
    if fields is None:
        fields = _like(site, caller, like) if like else DEFAULTS
    recent = site.store.bisections(limit=8, viewer=caller.viewer).rows
    faults = {field_at_fault(fault.field, fields["probe"]): fault for fault in problem.faults} if problem else {}
    return site.pages.response(
        request,
        "home.html",
        problem.status if problem else 200,
        fields=fields,
        problem=problem,
        faults=faults,
        probes=site.dependencies.probes,
        parameters=parameter_fields.fields_by_probe(site.dependencies.probes),
        examples=examples_in(site.surroundings.examples),
        picks=picks(site, fields["package"] or "tensorflow"),
        rows=site.rows(recent),
        has_token=caller.owner is not None,
        is_advanced=is_advanced(fields, faults),
    )


def is_advanced(fields: Mapping[str, str], faults: Iterable[str]) -> bool:
    """Say whether any field that is folded by default is used or wrong."""
    used = {name for name, text in fields.items() if text.strip() != DEFAULTS.get(name, "")}
    return bool({*used, *faults} - PLAIN)


def field_at_fault(path: str, probe: str) -> str:
    """Return the form field for a path of the request."""
    first, _, rest = path.partition(".")
    return parameter_fields.field_name(probe, rest) if first == "parameters" and rest else first


def _like(site: Site, caller: Caller, bisection_id: str) -> dict[str, str]:
    """Return the fields of another bisection."""
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    fields = dict(DEFAULTS)
    for name, value in bisection.request.items():
        if name in COMMANDS and value:
            fields[name] = shlex.join(value)
        elif name in fields and value not in (None, False, [], {}):
            fields[name] = parameter_fields.as_typed(value)
    for name, value in bisection.request.get("parameters", {}).items():
        fields[parameter_fields.field_name(bisection.probe, name)] = parameter_fields.as_typed(value)
    fields["snippet"] = site.store.snippet(bisection.snippet_digest)
    return fields


def picks(site: Site, package: str) -> list[dict[str, str]]:
    """Return the minors of a package for the strip, each with its date, and the year where one begins."""
    known = {release.version: release for release in site.views.releases.of(package) if not release.yanked}
    mainline = tree_of(v for v, release in known.items() if not getattr(release, "is_prerelease", False)).mainline
    shown, year = [], ""
    for version in mainline:
        uploaded = known[version].uploaded
        starts = "" if str(uploaded.year) == year else str(uploaded.year)
        year = str(uploaded.year)
        minor = ".".join(version.split(".")[:2])
        shown.append({"minor": minor, "date": uploaded.strftime("%d %b %Y"), "year": starts})
    return shown


def estimate_fragment(site: Site, request: Request, fields: Mapping[str, str]) -> Response:
    """Return the estimate, or why there is none."""
    try:
        submission = submission_of(fields, site.dependencies.probes)
        estimate = site.estimator.estimate(submission.request())
    except (TfbisectError, ValidationError) as error:
        is_blank = not fields["snippet"].strip()
        problem = None if is_blank else problem_in(error)
        return site.pages.response(request, "estimate.html", estimate=None, problem=problem)
    return site.pages.response(request, "estimate.html", estimate=estimate, problem=None)


def examples_in(folder: Path | None) -> list[Example]:
    """Return the existing examples, the known ones first."""
    if folder is None or not folder.is_dir():
        return []
    found = {path.name for path in folder.glob("*.py")}
    known = [example for example in EXAMPLES if example.file in found]
    others = sorted(found - {example.file for example in known})
    return known + [Example(file, file.removesuffix(".py").replace("_", " ")) for file in others]


def example_text(folder: Path | None, name: str) -> str:
    """Return an example.

    Raises:
        NotFound: there is none of this name.
    """
    if name not in {example.file for example in examples_in(folder)} or folder is None:
        raise NotFound(f"there is no example {name[:64]!r}.")
    return (folder / name).read_text(encoding="utf-8")
