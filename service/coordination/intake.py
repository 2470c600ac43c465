"""Checks requests: REST, form, cron and command line all make their bisections here."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from packaging.requirements import Requirement
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.bisection.outcomes import Judge
from service.bisection.planner import Policy
from service.bisection.releases import ReleaseTree
from service.bisection.untrusted import brief, finite
from service.bisection.words import counted
from service.catalog.additions import LONGEST_REQUIREMENT, Addition, AdditionRules, imported_modules, kept_imports
from service.catalog.histories import history_of
from service.catalog.notebooks import as_script, cell_and_line
from service.catalog.probes import DEFAULT_PROBE, Parameter, Probe
from service.catalog.ranges import absent, left_out, parse_releases, select, unbuilt_inside, yanked_inside
from service.catalog.releases import Catalog, CatalogRelease, package_name
from service.catalog.snippets import require_keras_package
from service.catalog.targets import Hold, Target
from service.coordination.variants import apply
from service.errors import BadInput, ProjectError, SnippetError, UnknownName
from service.json_text import text_digest
from service.projects.files import Project
from service.projects.programs import program_in
from service.spelling import did_you_mean
from service.syntax import syntax_tree_of

SNIPPET_BYTES = 64 * 1024
TESTS_PROBE = "tests"
"""Asked by default where pytest is the command."""

SUBJECT = ""
"""The name of the snippet's own track; the others are its variants."""

ASPECT_PREFIX = "probe "
"""Begins the name of a track that asks a named probe; a variant of one's own has no such name."""

JUDGED_BY_SCRIPT = frozenset({"pattern", "bad_pattern", "regress", "expect", "tolerance", "judge_by"})
"""Parameters that only the probe `script` has."""

DIMENSIONS = 8
LARGEST_DIMENSION = 100_000
Argument = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]
Projects = Callable[[str], Project]
"""The files of a project, by its digest."""
Dimension = Annotated[int, Field(ge=1, le=LARGEST_DIMENSION)]


class BisectionRequest(BaseModel):
    """What a user asks for; only the snippet is required."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    snippet: str = Field(
        "",
        description="Python source: a model definition or a whole training script, at most 64 KiB; or a notebook's "
        "JSON. Left out only with `command`",
    )
    name: str = Field(
        "", max_length=80, description="what lists call it; by default its own first words, or its command"
    )
    project: str | None = Field(
        None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="files that lie in the working folder of each run: the digest that `POST /api/v1/projects` gave",
    )
    command: tuple[Argument, ...] = Field(
        (), max_length=100, description='what runs in the project, such as ["python", "main.py"] or ["pytest", "tests"]'
    )
    arguments: tuple[Argument, ...] = Field(
        (), max_length=100, description="what the snippet finds in `sys.argv`; with `command` they belong there"
    )
    probe: str = Field(
        DEFAULT_PROBE,
        max_length=64,
        description="what is asked of each release; by default everything that can be seen",
    )
    package: str = Field("tensorflow", max_length=128, description="the package whose releases are compared")
    releases: str = Field(
        "",
        max_length=2000,
        description="1.9..1.14 (both ends), 1.9.., ..2.3, >=1.9,<1.15, 1.x, latest, dates, or a list; "
        "empty: all the probe fits",
    )
    hardware: Literal["cpu", "cuda"] = "cpu"
    image_source: Literal["built", "official"] | None = Field(
        None, description="built from the index, or the project's own images; by default as the service is set up"
    )
    input_shape: tuple[Dimension, ...] | None = Field(
        None, max_length=DIMENSIONS, description="shape of one input without the batch, if the snippet does not say"
    )
    resolution: int | None = Field(
        None, ge=1, le=1000, description="every behaviour that lasts at least this many mainline releases is found"
    )
    branches: Literal["none", "tips", "all"] = "tips"
    repeats: int | None = Field(
        None,
        ge=1,
        le=50,
        description="runs per release, for unstable behaviour; default 1, and 4 on both sides of a change",
    )
    additions: tuple[Annotated[str, Field(max_length=LONGEST_REQUIREMENT)], ...] = Field(
        (),
        alias="with",
        max_length=64,
        description="packages that the script needs, such as pandas or numpy==1.26.4; what it imports or names in its "
        "PEP 723 block is added anyway",
    )
    variants: tuple[str, ...] = Field((), max_length=8, description="named variants that run beside the snippet")
    variant_snippets: dict[Annotated[str, Field(min_length=1, max_length=64)], str] = Field(
        default_factory=dict, max_length=4, description="variants of your own: name -> Python source"
    )
    parameters: dict[str, Any] = Field(default_factory=dict, max_length=32, description="the probe's own parameters")
    whole: bool = Field(False, description="train as long as the script says; by default training is shortened")
    timeout_seconds: float | None = Field(None, gt=0, le=3600, description="wall clock of one run")
    prereleases: bool = Field(False, description="candidates and nightlies too")
    fresh: bool = Field(False, description="ignore stored observations")
    complete: bool = Field(False, description="measure also what could be inferred, afterwards")
    python: str | None = Field(
        None,
        pattern=r"^3\.[0-9]{1,2}$",
        description="interpreter of every release, such as 3.10; by default as its wheels and its day have it",
    )
    as_of: date | None = Field(
        None, description="day that the dependencies of every release are taken as of; by default its own"
    )
    why: bool = Field(True, description="find out whether a change comes from the release or from its environment")
    watch: bool = Field(False, description="let the nightly repeat this bisection")

    @model_validator(mode="before")
    @classmethod
    def _asks_the_probe_that_judges(cls, given: Any) -> Any:
        """Ask the probe `script` where none is named and a parameter says what only it judges, such as a pattern."""
        if not isinstance(given, Mapping) or "probe" in given:
            return given
        parameters = given.get("parameters")
        judged = isinstance(parameters, Mapping) and not JUDGED_BY_SCRIPT.isdisjoint(parameters)
        return {**given, "probe": "script"} if judged else given


@dataclass(frozen=True)
class Track:
    """One source that is run over the releases: the snippet itself, or a variant of it."""

    name: str
    snippet: str
    parameters: Mapping[str, Any]
    probe: Probe
    framework: str
    """The module that is imported ahead of the probe."""
    is_aspect: bool = False
    """A named probe that is asked of the snippet beside a probe with several aspects."""

    @property
    def asked(self) -> Mapping[str, Any]:
        """Return the parameters of a run."""
        return self.probe.measured_with(self.parameters)

    @property
    def keyed(self) -> Mapping[str, Any]:
        """Return the parameters that are part of the key of an observation."""
        return self.probe.keyed_by(self.parameters)

    @property
    def judge(self) -> Judge:
        """Return the rule that reads its runs."""
        return self.probe.judging_with(self.parameters)

    @property
    def expected(self) -> frozenset[str]:
        """Return the outcomes that are right."""
        return self.probe.expected_with(self.parameters)


@dataclass(frozen=True)
class Case:
    """A checked request, with its releases and the policy of its planner."""

    request: BisectionRequest
    probe: Probe
    tree: ReleaseTree
    policy: Policy
    tracks: tuple[Track, ...]
    absent: tuple[str, ...]
    """Versions in the range that were never on the index."""
    additions: tuple[Addition, ...] = ()

    def target(self, release: str) -> Target:
        """Return what the environment of a release is made for; the only place that decides this."""
        request = self.request
        end = "" if request.as_of is None else f"{request.as_of + timedelta(days=1)}T00:00:00+00:00"
        needed = [each for each in self.additions if each.is_for(release)]
        return Target(
            request.package,
            release,
            request.hardware,
            request.image_source,
            additions=tuple(each.requirement for each in needed if each.origin != "import"),
            imports=tuple(each.requirement for each in needed if each.origin == "import"),
            hold=Hold(request.python or "", end),
            variables=tuple(each.variable for each in needed if each.variable),
        )


Measured = Callable[[str, Sequence[str], str], Collection[str]]
"""Package, releases, digest of a snippet -> the releases that have a stored observation."""


def imports_in(project: Project) -> str:
    """Return the imports of a project's modules, as source: those of packages that can be added."""
    own = {path.split("/")[0].removesuffix(".py") for path in project.files}
    known = kept_imports().imports.keys() - own
    modules = (content for path, content in project.files.items() if path.endswith(".py"))
    found = {name for content in modules for name in imported_modules(content.decode("utf-8", "replace"), known)}
    return "".join(f"import {module}\n" for module in sorted(found))


def no_projects(digest: str) -> Project:
    """Know of no project."""
    raise ProjectError(f"there is no project {digest}.")


# Has the parameters of every `Measured`.
def _nothing_measured(package: str, releases: Sequence[str], snippet: str) -> Collection[str]:  # noqa: ARG001
    """Know of no observation."""
    return ()


def check_source(source: str) -> None:
    """Refuse what is not Python source, or is too large.

    Raises:
        SnippetError: empty, oversized, binary, or a syntax error (with its line).
    """
    if not source.strip():
        raise SnippetError("the snippet is empty; paste a model definition or a training script.", field="snippet")
    size_bytes = len(source.encode("utf-8", "surrogatepass"))
    if size_bytes > SNIPPET_BYTES:
        raise SnippetError(
            f"the snippet has {size_bytes:,} bytes and may have at most {SNIPPET_BYTES:,}; "
            "remove data and comments, the model and its training are enough.",
            field="snippet",
        )
    try:
        source.encode("utf-8")
        syntax_tree_of(source)
    except SyntaxError as error:
        raise _syntax_error(source, error) from None
    except (UnicodeEncodeError, ValueError) as error:
        raise SnippetError(f"the snippet is not text ({error}); save it as UTF-8.", field="snippet") from None
    except (RecursionError, MemoryError):
        raise SnippetError("the snippet is nested too deeply; flatten it.", field="snippet") from None


def check_resolution(resolution: int | None, tree: ReleaseTree) -> None:
    """Refuse a promise that is empty: with so many releases between two looks, only the ends would be looked at.

    Raises:
        BadInput: the resolution is larger than the range.
    """
    if resolution is not None and resolution > 1 and resolution >= len(tree.mainline):
        raise BadInput(
            f"the resolution is {resolution} and the range has {counted(len(tree.mainline), 'mainline release')}: "
            "everything between the two ends could hide; choose a smaller one, or none.",
            field="resolution",
        )


def _syntax_error(source: str, error: SyntaxError) -> SnippetError:
    """Say where Python gave up, and show the line."""
    number = error.lineno or 1
    lines = source.splitlines()
    shown = lines[number - 1].strip()[:160] if 0 < number <= len(lines) else ""
    hint = " Python 2 syntax is not taken; the probe runs the same file on all releases." if "print" in shown else ""
    return SnippetError(
        f"{cell_and_line(source, number)}: {error.msg}: `{shown}`. Fix the line and submit again.{hint}",
        field="snippet",
        line=number,
    )


class Intake:
    """Checks requests and makes them ready."""

    def __init__(
        self,
        catalog: Catalog,
        probes: Mapping[str, Probe],
        workers: int | Callable[[], int] = 1,
        rates: Mapping[str, float] | None = None,
        measured: Measured | None = None,
        additions: AdditionRules | None = None,
        projects: Projects = no_projects,
    ) -> None:
        """Make an intake.

        Args:
            catalog: knows the releases.
            probes: by name.
            workers: runs at once, for the planner.
            rates: `false_alarm_rate` and `miss_rate`; by default the policy's own.
            projects: returns the files of a project.
            measured: knows what was measured of releases that the index has dropped; by default nothing.
            additions: says which packages a script gets beside the release; by default whatever it needs.
        """
        self._catalog = catalog
        self._probes = probes
        self._workers = workers
        self._rates = dict(rates or {})
        self._measured = measured or _nothing_measured
        self._additions = additions or AdditionRules()
        self._asks = True
        self._projects = projects

    def at_rest(self) -> Intake:
        """Return a copy that never asks the index, for callers that must not wait for it, such as a page."""
        resting = copy(self)
        resting._catalog = self._catalog.at_rest()
        resting._asks = False
        return resting

    def case(self, request: BisectionRequest, project: Project | None = None) -> Case:
        """Check a request and return its case.

        Args:
            request: what is asked.
            project: the files that it names, where they are at hand and not stored yet.

        Raises:
            BadInput: the snippet, the probe, the package or the range cannot be used; nothing was started.
            IndexUnreachable: the releases are not known and cannot be asked for.
        """
        request = self._with_source(request, project)
        probe = self.probe(request.probe)
        request = request.model_copy(update={"package": package_name(request.package)})
        check_source(request.snippet)
        probe.check(request.snippet)
        framework = probe.framework_for(request.package)
        if framework == "keras":
            require_keras_package(request.snippet)
        parameters = accepted(probe, _parameters(request))
        selection = parse_releases(request.releases or _all_that_fit(probe, framework))
        known = self._still_of_use(request)
        unbuilt = self._catalog.unbuilt(request.package)
        chosen = select(selection, known, prereleases=request.prereleases, keep_gone=True)
        tree = replace(
            history_of(request.package, known, chosen, unbuilt_inside(selection, known, unbuilt, chosen)),
            left_out=left_out(selection, known, chosen),
            yanked=yanked_inside(known, chosen),
        )
        check_resolution(request.resolution, tree)
        tracks = self._tracks(request, probe, parameters)
        return Case(
            request=request,
            probe=probe,
            tree=tree,
            policy=self._policy(request, probe.expected_with(parameters)),
            tracks=tracks,
            absent=absent(selection, known, unbuilt),
            additions=self._needed(request, project),
        )

    def _needed(self, request: BisectionRequest, project: Project | None) -> tuple[Addition, ...]:
        """Return the packages that a snippet, its variants and its own modules need beside the release.

        Raises:
            BadInput: one cannot be used here, or the index does not have it.
        """
        sources = [request.snippet, *request.variant_snippets.values()]
        if request.project:
            sources.append(imports_in(project or self._projects(request.project)))
        found = self._additions.of(request.package, request.additions, sources)
        for each in found if self._asks else ():
            if each.origin != "import":
                self._check_on_index(each)
        return found

    def _check_on_index(self, addition: Addition) -> None:
        """Refuse a requirement that no release on the index fulfils.

        Raises:
            BadInput: the index lacks the package, or every version that is asked for.
        """
        try:
            known = self._catalog.releases(addition.name)
        except UnknownName as error:
            raise UnknownName(error.message, field="with") from None
        specifier = Requirement(addition.requirement).specifier
        if not any(specifier.contains(release.version, prereleases=True) for release in known):
            newest = f"; the newest is {known[-1].version}" if known else ""
            raise BadInput(
                f"the package index has no release of {addition.name} with a wheel for Linux that is "
                f"{specifier or 'installable'}{newest}.",
                field="with",
            )

    def _with_source(self, request: BisectionRequest, project: Project | None) -> BisectionRequest:
        """Return a request with the source that runs: a notebook's script, or what its command runs in its project."""
        _check_files(request)
        source = request.snippet
        if request.command and not source:
            source = program_in(request.command).source(project or self._projects(request.project or ""))
        update = {"snippet": as_script(source)}
        if request.command and program_in(request.command).is_tests and request.probe == DEFAULT_PROBE:
            update["probe"] = TESTS_PROBE
        return request.model_copy(update=update)

    def _still_of_use(self, request: BisectionRequest) -> Sequence[CatalogRelease]:
        """Return the releases of the catalog, without those that are gone and have no observation."""
        known = self._catalog.releases(request.package)
        gone = [release.version for release in known if release.gone]
        kept = self._measured(request.package, gone, text_digest(request.snippet)) if gone else ()
        return [release for release in known if not release.gone or release.version in kept]

    def probe(self, name: str) -> Probe:
        """Return a probe by name.

        Raises:
            UnknownName: there is none of that name; the message lists those there are.
        """
        if name not in self._probes:
            near = did_you_mean(name, self._probes)
            choose = f"{near} Choose" if near else "; choose"
            raise UnknownName(
                f"there is no probe {name!r}{choose} one of: {', '.join(sorted(self._probes))}.", field="probe"
            )
        return self._probes[name]

    def _tracks(self, request: BisectionRequest, probe: Probe, parameters: Mapping[str, Any]) -> tuple[Track, ...]:
        """Return the snippet itself, its variants, and the named probes that are aspects of it, each once.

        Raises:
            BadInput: a variant is unknown, or has nothing to change in this snippet.
        """
        parameters = {**parameters, **_run_with(request)}
        subject = Track(SUBJECT, request.snippet, parameters, probe, probe.framework_for(request.package))
        beside = self._beside(request) if probe.aspects is not None else []
        # What a variant cures is a question of a probe that knows what is right.
        asked = next((track for track in beside if not track.probe.brings_its_own_model), subject)
        tracks = {track.name: track for track in (subject, *beside)}
        for name in request.variants:
            snippet, changed = apply(name, request.snippet, asked.parameters)
            tracks[name] = Track(name, snippet, changed, asked.probe, asked.framework)
        for name, source in request.variant_snippets.items():
            check_source(source)
            asked.probe.check(source)
            tracks[name] = Track(name, source, asked.parameters, asked.probe, asked.framework)
        return tuple(tracks.values())

    def _beside(self, request: BisectionRequest) -> list[Track]:
        """Return the named probes that fit the snippet, as far as can be seen without a run."""
        return [track for probe in self._probes.values() if probe.runs_beside and (track := _fitting(probe, request))]

    def _policy(self, request: BisectionRequest, expected: frozenset[str]) -> Policy:
        chosen: dict[str, Any] = dict(self._rates)
        if request.repeats is not None:
            chosen["repeats"] = request.repeats
        return Policy(
            expected=expected,
            resolution=request.resolution,
            branches=request.branches,
            workers=self._workers() if callable(self._workers) else self._workers,
            complete=request.complete,
            **chosen,
        )


def _fitting(probe: Probe, request: BisectionRequest) -> Track | None:
    """Return a named probe as an aspect of a snippet; None where it has nothing to ask of it."""
    try:
        probe.check(request.snippet)
        if not probe.concerns(request.snippet):
            return None
        framework = probe.framework_for(request.package)
        if framework == "keras":
            require_keras_package(request.snippet)
    except BadInput:
        return None
    given = {name: value for name, value in _parameters(request).items() if name in probe.parameters}
    name = f"{ASPECT_PREFIX}{probe.name}"
    parameters = {**accepted(probe, given), **_run_with(request)}
    return Track(name, request.snippet, parameters, probe, framework, is_aspect=True)


def _check_files(request: BisectionRequest) -> None:
    """Refuse a command without a project, or with arguments beside it."""
    if request.command and not request.project:
        raise BadInput("a command needs a project; send its files to /api/v1/projects first.", field="command")
    if request.command and request.arguments:
        raise BadInput("arguments of a command belong to the command itself.", field="arguments")


def _run_with(request: BisectionRequest) -> dict[str, Any]:
    """Return what else a run depends on: its files by their digest, its arguments, and the name of its script.

    They are part of the key of an observation, like every parameter; the harness uses them, not the probe.
    """
    program = program_in(request.command) if request.command else None
    given = {
        "files": request.project,
        "arguments": list(program.arguments if program else request.arguments),
        "script": program.script if program else "",
    }
    return {name: value for name, value in given.items() if value}


def _all_that_fit(probe: Probe, framework: str) -> str:
    """Return the releases that a probe fits: its own range for its own framework, all of any other package."""
    return probe.releases if framework == probe.framework else ".."


def accepted(probe: Probe, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the probe's parameters, defaults filled in.

    Raises:
        UnknownName: the probe has no such parameter; the message lists those it has.
        BadInput: a value is of another type than the parameter.
    """
    if unknown := sorted(given.keys() - probe.parameters.keys()):
        has = ", ".join(sorted(probe.parameters)) or "none"
        raise UnknownName(
            f"the probe {probe.name} has no parameter {unknown[0]!r}; it has: {has}.", field=f"parameters.{unknown[0]}"
        )
    for name, value in given.items():
        _check_value(name, value, probe.parameters[name])
    return {name: given.get(name, parameter.default) for name, parameter in probe.parameters.items()}


def _check_value(name: str, value: Any, parameter: Parameter) -> None:
    """Refuse a value of another type, or outside of the choices."""
    fits = PARAMETER_CHECKS[parameter.type](value)
    if not fits:
        words = PARAMETER_WORDS[parameter.type]
        raise BadInput(f"parameter {name} is {value_shown(value)} and must be {words}.", field=f"parameters.{name}")
    if parameter.choices and value not in parameter.choices:
        choices = ", ".join(filter(None, parameter.choices))
        raise BadInput(
            f"parameter {name} is {value_shown(value)} and must be one of {choices}.", field=f"parameters.{name}"
        )


def value_shown(value: object) -> str:
    """Return any value as short text for a message."""
    return repr(value[:SHOWN_CHARACTERS]) if isinstance(value, str) else brief(value, SHOWN_CHARACTERS)


def _is_number(value: Any) -> bool:
    """Say whether a value is a finite number that a float holds."""
    return not isinstance(value, bool) and finite(value) is not None


def _is_dimension(value: Any) -> bool:
    return _is_number(value) and 1 <= value <= LARGEST_DIMENSION and float(value).is_integer()


def _is_integer(value: Any) -> bool:
    # Python 2.7 and C both hold 64 bits; no probe counts further.
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _are_values(value: Any, depth: int = 0) -> bool:
    """Say whether these are names with values, nested at most so deep, every integer one that a float holds."""
    match value:
        case dict() | list() if depth >= DEEPEST_VALUE or len(value) > VALUES:
            return False
        case dict():
            return all(isinstance(name, str) and _are_values(item, depth + 1) for name, item in value.items())
        case list():
            return all(_are_values(item, depth + 1) for item in value)
        case bool() | float() | str() | None:
            return True
        case _:
            return _is_number(value)


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) <= PATTERN_CHARACTERS and bool(re.compile(value))
    except (re.error, RecursionError, OverflowError):
        return False


PATTERN_CHARACTERS = 1000
SHOWN_CHARACTERS = 100
VALUES = 100
DEEPEST_VALUE = 8
PARAMETER_WORDS: Mapping[str, str] = {
    "shape": f"a list of at most {DIMENSIONS} whole numbers from 1 to {LARGEST_DIMENSION}, such as [28, 28]",
    "integer": "a whole number of at most 64 bits",
    "number": "a finite number that is not negative",
    "text": "a text",
    "flag": "true or false",
    "values": (
        f'an object of at most {VALUES} names and values, such as {{"loss": 0.5}}, '
        f"nested at most {DEEPEST_VALUE} deep, no integer beyond what a float holds"
    ),
    "pattern": f"a regular expression of at most {PATTERN_CHARACTERS} characters",
}
PARAMETER_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "shape": lambda value: isinstance(value, list) and len(value) <= DIMENSIONS and all(map(_is_dimension, value)),
    "integer": _is_integer,
    "number": lambda value: _is_number(value) and value >= 0,
    "text": lambda value: isinstance(value, str),
    "flag": lambda value: isinstance(value, bool),
    "values": lambda value: isinstance(value, dict) and _are_values(value),
    "pattern": _is_pattern,
}


def _parameters(request: BisectionRequest) -> dict[str, Any]:
    """Return the probe's parameters, the request's own fields included."""
    given = dict(request.parameters)
    if request.input_shape is not None:
        given["input_shape"] = list(request.input_shape)
    if request.whole:
        given["whole"] = True
    return given
