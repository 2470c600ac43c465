"""The form: reading it, and showing it with errors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from service.bisection.releases import tree_of
from service.catalog.probes import DEFAULT_PROBE, Probe
from service.errors import BadInput, ProjectError, TfbisectError
from service.projects.files import Bounds
from service.web.access import Caller
from service.web.api.projects import kept, uploads_in
from service.web.api.schemas import FIELDS, SubmissionBody
from service.web.pages import parameter_fields
from service.web.pages.examples import answered_in, example_named, example_text, examples_in
from service.web.problems import Problem, Refusal, problem_of, problem_of_validation
from service.web.site import Site

DEFAULTS: Mapping[str, str] = {
    "snippet": "",
    "name": "",
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
    "python": "",
    "as_of": "",
    "whole": "",
    "no_why": "",
    "fresh": "",
    "complete": "",
    "watch": "",
    "visibility": "public",
}
PLAIN = frozenset({"snippet", "releases", "hardware", "package"})
"""Fields that always show; all others are folded until one is used or wrong."""
LONGEST_NAME = 80
SHOWN_FIELDS: Mapping[str, str] = {
    "releases": "Releases",
    "package": "Package",
    "hardware": "Hardware",
    "probe": "What to test",
    "project": "Files beside the script",
    "arguments": "Arguments",
    "command": "Command",
    "with": "Packages that the script needs",
    "name": "Name",
    "python": "Python",
    "as_of": "Dependencies as of",
    "input_shape": "Input shape",
    "variants": "Variants",
    "branches": "Patch releases",
    "image_source": "Images",
    "resolution": "Resolution",
    "repeats": "Runs per release",
    "timeout_seconds": "Time limit of one run",
}
"""Fields beside which their own fault is shown, each with its label."""
PACKAGES = ("tensorflow", "keras", "torch", "jax", "numpy", "pandas", "scikit-learn", "tf-nightly")
"""Offered while a package's name is typed; any other can be typed too."""
COMMANDS = ("command", "arguments")
"""Fields that hold words as a shell has them."""
NUMBERS = ("resolution", "repeats", "timeout_seconds")
BETWEEN_REQUIREMENTS = re.compile(r"\n|,(?=\s*[A-Za-z])(?![^\[]*\])")
TICKED = ("whole", "fresh", "complete", "watch")


async def fields_of(form: FormData) -> dict[str, str]:
    """Return the submitted fields."""
    fields = dict(DEFAULTS)
    for name in (*DEFAULTS, *(name for name in form if name.startswith("parameters."))):
        values = form.getlist(name)
        texts = [value for value in values if isinstance(value, str) and value]
        if texts:
            fields[name] = (",".join(texts) if name == "variants" else texts[0]).replace("\r\n", "\n")
    return fields


async def upload_of(form: FormData) -> tuple[str, bytes] | None:
    """Return the file that was chosen in place of typing, with its name; None if there is none."""
    upload = form.get("file")
    if isinstance(upload, UploadFile) and upload.filename:
        return upload.filename, await upload.read()
    return None


def with_upload(fields: dict[str, str], upload: tuple[str, bytes] | None) -> None:
    """Put a chosen file in place of the snippet.

    Raises:
        BadInput: it is not UTF-8 text.
    """
    if upload is None:
        return
    name, content = upload
    try:
        fields["snippet"] = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise BadInput(f"{name[:80]} is not UTF-8 text; save it as UTF-8.", field="snippet") from None
    fields["name"] = fields["name"] or name[:LONGEST_NAME]


def with_example(site: Site, fields: dict[str, str], name: str) -> None:
    """Fill the form with an example and its question.

    Raises:
        NotFound: there is none of this name.
    """
    folder = site.surroundings.examples
    example = example_named(folder, name)
    fields |= {"snippet": example_text(folder, name), "releases": example.releases}
    fields |= {"probe": example.probe, "package": example.package, "name": example.title}


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
        for name in ("name", "probe", "package", "releases", "python", "as_of", "image_source", "visibility")
        if fields[name].strip()
    }
    sent |= {name: fields[name].strip() for name in NUMBERS if fields[name].strip()}
    sent |= {name: bool(fields[name]) for name in TICKED}
    sent["why"] = not fields["no_why"]
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
        return problem_of_validation(error.errors(), FIELDS)
    raise error


def form_page(
    site: Site,
    request: Request,
    caller: Caller,
    *,
    fields: Mapping[str, str] | None = None,
    problem: Problem | None = None,
    like: str = "",
    example: str = "",
) -> Response:
    """Show the form: empty, filled from another bisection or an example, or with the input and its errors."""
    if fields is None:
        fields = filled = _like(site, caller, like) if like else dict(DEFAULTS)
        if example:
            with_example(site, filled, example)
    recent = site.store.bisections(limit=8, viewer=caller.viewer).rows
    answered = answered_in(site.surroundings.examples)
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
        answered=answered and site.views.of_verdict(answered),
        packages=PACKAGES,
        has_accelerators=site.surroundings.has_accelerators() or fields["hardware"] == "cuda",
        shown_fields={**SHOWN_FIELDS, **parameter_labels(site.dependencies.probes)},
        picks=picks(site, fields["package"] or "tensorflow"),
        rows=site.rows(recent),
        has_token=caller.owner is not None,
        is_advanced=is_advanced(fields, faults),
    )


def parameter_labels(probes: Mapping[str, Probe]) -> dict[str, str]:
    """Map the field of each parameter of each probe to its label."""
    found = parameter_fields.fields_by_probe(probes).values()
    return {field.name: field.label for fields in found for field in fields}


def is_advanced(fields: Mapping[str, str], faults: Iterable[str]) -> bool:
    """Say whether any field that is folded by default is used or wrong."""
    # A chosen file or an example brings its name along.
    used = {name for name, text in fields.items() if name != "name" and text.strip() != DEFAULTS.get(name, "")}
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
        elif name in fields and name != "why" and value not in (None, False, [], {}):
            fields[name] = parameter_fields.as_typed(value)
    for name, value in bisection.request.get("parameters", {}).items():
        fields[parameter_fields.field_name(bisection.probe, name)] = parameter_fields.as_typed(value)
    fields["snippet"] = site.store.snippet(bisection.snippet_digest)
    fields["no_why"] = "" if bisection.request.get("why", True) else "1"
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
