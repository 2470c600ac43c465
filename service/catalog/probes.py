"""Probes: a folder each, with what runs inside (probe.py), what it is (probe.toml) and what it means (judge.py)."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal

from service.bisection.facts import AspectsOf
from service.bisection.outcomes import Answer, Judge
from service.errors import BadInput

HARNESS_PARTS = (
    "files",
    "faults",
    "values",
    "channel",
    "clocks",
    "execution",
    "context",
    "answering",
    "surroundings",
    "children",
)
"""Each after those that it imports."""

ExpectedOf = Callable[[Mapping[str, Any]], frozenset[str]]
"""From a probe's parameters to the outcomes that are right."""
DEFAULT_PROBE = "behaviour"
"""What is asked where nobody chooses a probe: everything that a script shows."""

ParameterType = Literal["shape", "integer", "number", "text", "flag", "values", "pattern"]


@dataclass(frozen=True)
class Parameter:
    type: ParameterType
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    judged: bool = False
    """Only the judge reads it: it is no part of what is measured, and another value is answered from stored runs."""
    keeps: str = ""
    """Of a judged one: a run gets it too, and keeps more. Under this name it is part of the key that something was
    asked, but not what."""


@dataclass(frozen=True)
class Probe:
    """One question that can be asked of a release."""

    name: str
    title: str
    question: str
    outcomes: Mapping[str, str]
    """Label -> what it means. `raises:<Exception>` and `flaky` belong to every probe."""
    expected: frozenset[str]
    """The expected outcomes: losing one is a change `introduced`."""
    parameters: Mapping[str, Parameter]
    framework: str
    """The module to import ahead of the probe, unless the package says otherwise; "" for none."""
    frameworks: Mapping[str, str]
    """Package -> the module to import."""
    releases: str
    """The releases of its own framework that it fits, such as "1.1.."."""
    harness_source: str
    probe_source: str
    digest: str
    """sha256 of harness and probe source: it identifies the question."""
    judge: Judge
    check: Callable[[str], None]
    """Raises SnippetError for mistakes that show without a run."""
    aspects: AspectsOf | None = None
    """Reads several aspects out of one run, each searched for changes of its own; None: the judge's label is all."""
    expected_of: ExpectedOf | None = None
    """What is right with given parameters; raises BadInput where they contradict each other. None: always the same."""
    runs_beside: bool = False
    """Where a probe with several aspects is asked, this one is an aspect too, if it fits the snippet."""
    concerns: Callable[[str], bool] = field(default=lambda _source: True)
    """Whether what is asked concerns a snippet that `check` accepts; a probe may not use the snippet at all."""
    accepts_any_package: bool = False
    brings_its_own_model: bool = False
    """The snippet is not used; any will do."""
    docs: str = field(default="")

    def measured_with(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a run, without those that only the judge reads."""
        kept = {name for name, each in self.parameters.items() if each.keeps}
        return {name: value for name, value in parameters.items() if name in kept or not self._is_judged(name)}

    def keyed_by(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the key of an observation has of the parameters."""
        keyed = {name: value for name, value in parameters.items() if not self._is_judged(name)}
        kept = {each.keeps: True for name, each in self.parameters.items() if each.keeps and parameters.get(name)}
        return {**keyed, **kept}

    def judging_with(self, parameters: Mapping[str, Any]) -> Judge:
        """Return the rule with the parameters that only it reads, whatever a run was once asked with."""
        judged = {name: value for name, value in parameters.items() if self._is_judged(name)}
        rule = self.judge
        if not judged:
            return rule

        @wraps(rule)
        def reread(measurements: Mapping[str, Any]) -> Answer:
            asked = measurements.get("parameters")
            given = {**asked, **judged} if isinstance(asked, Mapping) else judged
            return rule({**measurements, "parameters": given})

        return reread

    def expected_with(self, parameters: Mapping[str, Any]) -> frozenset[str]:
        """Return the outcomes that are right.

        Raises:
            BadInput: the parameters contradict each other.
        """
        return self.expected if self.expected_of is None else self.expected_of(parameters)

    def _is_judged(self, name: str) -> bool:
        return name in self.parameters and self.parameters[name].judged

    def framework_for(self, package: str) -> str:
        """Return the module to import when `package` is the axis.

        Raises:
            BadInput: the probe has nothing to ask of that package.
        """
        if package in self.frameworks:
            return self.frameworks[package]
        if self.accepts_any_package:
            return self.framework
        raise BadInput(
            f"the probe {self.name} supports {', '.join(sorted(self.frameworks))}, not {package}; "
            "the probe script supports any package",
            field="package",
        )


def load_probes(folder: Path) -> Mapping[str, Probe]:
    """Return every probe of a folder by name, sorted.

    Args:
        folder: holds harness/, shared/ and one folder per probe.

    Raises:
        ValueError: a probe's files contradict each other; the message says which.
    """
    harness = harness_source(folder)
    found = sorted(path.parent for path in folder.glob("*/probe.toml"))
    return MappingProxyType({path.name: _load_probe(path, harness) for path in found})


def _load_probe(folder: Path, harness: str) -> Probe:
    facts = tomllib.loads((folder / "probe.toml").read_text("utf-8"))
    modules, late = (
        [folder.parent / "shared" / f"{name}.py" for name in facts.get(kind, [])]
        for kind in ("shared", "shared_with_framework")
    )
    source = composed(folder / "probe.py", modules, late)
    meaning = _module(folder / "judge.py", f"tfbisect_judge_{folder.name.replace('-', '_')}")
    expected = frozenset(facts["expected"])
    if not expected <= facts["outcomes"].keys():
        raise ValueError(f"{folder.name}: expected {sorted(expected)} are not among its outcomes")
    return Probe(
        name=folder.name,
        title=facts["title"],
        question=facts["question"],
        outcomes=MappingProxyType(facts["outcomes"]),
        expected=expected,
        parameters=MappingProxyType({name: _parameter(given) for name, given in facts.get("parameters", {}).items()}),
        framework=facts["framework"],
        frameworks=MappingProxyType(facts.get("frameworks", {})),
        releases=facts["releases"],
        harness_source=harness,
        probe_source=source,
        digest="sha256:" + hashlib.sha256(f"{harness}\0{source}".encode()).hexdigest(),
        judge=meaning.judge,
        expected_of=getattr(meaning, "expected", None),
        check=meaning.check,
        aspects=getattr(meaning, "aspects", None),
        runs_beside=facts.get("runs_beside", False),
        concerns=getattr(meaning, "concerns", lambda _source: True),
        accepts_any_package=facts.get("any_package", False),
        brings_its_own_model=facts.get("brings_its_own_model", False),
        docs=f"docs/probes/{folder.name}.md",
    )


def _parameter(given: Mapping[str, Any]) -> Parameter:
    choices, judged = tuple(given.get("choices", ())), given.get("judged", False)
    return Parameter(given["type"], given["default"], given["help"], choices, judged, given.get("keeps", ""))


def harness_source(folder: Path) -> str:
    """Return the program that runs probes, from the folder of all probes."""
    parts = folder / "harness"
    return composed(parts / "harness.py", [parts / f"harness_{name}.py" for name in HARNESS_PARTS])


def composed(program: Path, modules: Sequence[Path], with_framework: Sequence[Path] = ()) -> str:
    """Return a program with the modules that it imports in front: one text that needs no files.

    Args:
        program: a file of Python source, ASCII, as are the modules.
        modules: each after those that it imports.
        with_framework: those that import what only comes with a framework; the program calls load_with_framework().
    """
    lines = ["import sys, types", *_loading(modules)]
    if with_framework:
        lines += ["def load_with_framework():", *(f"    {line}" for line in _loading(with_framework))]
    return "\n".join(lines) + "\n" + program.read_text("ascii")


def _loading(modules: Sequence[Path]) -> Iterator[str]:
    """Yield the lines that make modules."""
    for path in modules:
        name, source = path.stem, path.read_text("ascii")
        yield f"sys.modules[{name!r}] = types.ModuleType({name!r})"
        yield f"exec(compile({source!r}, '{name}.py', 'exec', 0, True), sys.modules[{name!r}].__dict__)"


def _module(path: Path, name: str) -> ModuleType:
    """Import a judge from its file."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    return module
