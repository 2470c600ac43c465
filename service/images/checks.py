"""Checks of images: is it built, does it import, does the probe with its controls answer, are its libraries there?

What a check found is a line in a ledger in the data folder, so that the table in docs/images.md comes from what was
really built.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from packaging.version import Version

from service.bisection.outcomes import Answer, Lost, Outcome, RunReport, classify
from service.bisection.words import answer_text, counted
from service.catalog.environments import Environment, Environments
from service.catalog.probes import Probe
from service.catalog.targets import Target
from service.errors import TfbisectError, Unavailable
from service.execution.runner import Runner, RunRequest
from service.images.builder import Images, reference_of
from service.images.engine import BuildFailed
from service.images.progress import Progress, failed
from service.resources import resource_dir
from service.storage.ulid import new_ulid

CUDA_LIBRARIES = ("CUDA library", "CUDA libraries")

# A model with an input shape: every release from 1.4 on drops in it, so another answer means a blind probe.
SNIPPET = """\
import tensorflow as tf

keras = tf.keras if hasattr(tf, "keras") else tf.contrib.keras
model = keras.models.Sequential([
    keras.layers.Flatten(input_shape=(28, 28)),
    keras.layers.Dense(64, activation="relu"),
    keras.layers.Dropout(0.5),
    keras.layers.Dense(10, activation="softmax"),
])
model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
"""


KERAS = SNIPPET.replace(
    'import tensorflow as tf\n\nkeras = tf.keras if hasattr(tf, "keras") else tf.contrib.keras', "import keras"
)
TORCH = """\
import torch

model = torch.nn.Sequential(torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 10))
"""
SNIPPETS = {"tensorflow": SNIPPET, "keras": KERAS, "torch": TORCH}
"""The known model, by the module that makes it."""

# Makes the loader log every library; see images/check_libraries.py.
LOADER_NOTES = ("env", "LD_DEBUG=files", "LD_DEBUG_OUTPUT=/tmp/tfbisect-loader")


log = structlog.get_logger()


@dataclass(frozen=True)
class Libraries:
    """The result of loading the CUDA libraries of an image."""

    loaded: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Check:
    """The result of checking one image."""

    package: str
    release: str
    hardware: str
    checked: str
    """When, as an ISO date and time."""
    python: str = ""
    image: str = ""
    bytes: int = 0
    build_seconds: float | None = None
    """None if the image existed already."""
    import_seconds: float | None = None
    outcome: str = ""
    """The probe's outcome, with its controls; or "untestable: …"."""
    libraries: tuple[str, ...] = ()
    """CUDA libraries that were loaded in it."""
    asked: tuple[str, ...] = ()
    """Those of them that the release itself opens; () if unknown."""
    problem: str = ""
    """What failed; "" where nothing did."""
    lost: bool = False
    """The problem says nothing about the image, such as a lost engine, and is not stored."""
    packages: dict[str, str] = field(default_factory=dict)


class Ledger:
    """Keeps the last check of each target."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def append(self, check: Check) -> None:
        """Add a check, unless it says nothing about the image."""
        if check.lost:
            return
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            begin = "\n" if self._is_torn() else ""
            with self._path.open("a", encoding="utf-8") as file:
                file.write(begin + json.dumps(asdict(check)) + "\n")

    def _is_torn(self) -> bool:
        """Return whether the last line is incomplete."""
        written = self._path.read_bytes() if self._path.exists() else b""
        return bool(written) and not written.endswith(b"\n")

    def latest(self) -> list[Check]:
        """Return the last check of each target, with the build time of the last real build."""
        text = self._path.read_text(encoding="utf-8", errors="replace") if self._path.exists() else ""
        found: dict[tuple[str, str, str], Check] = {}
        for line in text.splitlines():
            check = _check_of(line)
            if check is None:
                log.warning("images.ledger_line_torn", ledger=str(self._path), line=line[:80])
                continue
            key = (check.package, check.release, check.hardware)
            earlier = found.get(key)
            if check.build_seconds is None and earlier is not None and earlier.image == check.image:
                check = replace(check, build_seconds=earlier.build_seconds)
            found[key] = check
        return list(found.values())


@dataclass(frozen=True)
class CheckQuestion:
    """What an image is asked."""

    probe: Probe
    framework: str
    """The module to import ahead of it; "" for none."""
    snippet: str


def question_about(package: str, probes: Mapping[str, Probe]) -> CheckQuestion:
    """Return the dropout probe on the known model if the package has models, otherwise an empty script."""
    dropout, script = probes["dropout"], probes["script"]
    if package in dropout.frameworks:
        framework = dropout.frameworks[package]
        return CheckQuestion(dropout, framework, SNIPPETS[framework])
    return CheckQuestion(script, script.framework_for(package), "")


class Checker:
    """Checks images; safe to call from several threads."""

    def __init__(
        self,
        environments: Environments,
        images: Images,
        runner: Runner,
        probes: Mapping[str, Probe],
        timeout_seconds: float,
    ) -> None:
        self._environments = environments
        self._images = images
        self._runner = runner
        self._probes = probes
        self._timeout_seconds = timeout_seconds

    def check(self, target: Target, progress: Progress) -> Check:
        """Build an image if needed and check it. Never raises for a release, an engine or an index."""
        blank = Check(target.package, target.release, target.hardware, datetime.now(UTC).isoformat(timespec="seconds"))
        try:
            return self._examined(self._environments.resolve(target), blank, progress)
        except TfbisectError as error:
            progress(failed(target))
            return replace(blank, problem=error.message, lost=isinstance(error, Unavailable))

    def _examined(self, environment: Environment, blank: Check, progress: Progress) -> Check:
        image = self._images.ensure(environment, progress)
        stored = self._images.engine.find(image.reference)
        question = question_about(environment.target.package, self._probes)
        report = self._runner.run(self._request(environment.target, question), threading.Event())
        answer = classify(report, question.probe.judge)
        libraries = self._libraries(environment)
        return replace(
            blank,
            python=environment.python,
            image=image.reference,
            bytes=stored.bytes if stored else 0,
            build_seconds=image.build_seconds,
            import_seconds=report.seconds.get("import"),
            outcome=answer_text(answer),
            libraries=libraries.loaded,
            asked=libraries.asked,
            problem=libraries.problem or image_problem(report, answer, environment.target),
            lost=isinstance(answer, Lost),
            packages=dict(environment.packages),
        )

    def _libraries(self, environment: Environment) -> Libraries:
        """Load the CUDA libraries that the release opens, and those that the recipe names, in the image."""
        if environment.target.hardware != "cuda":
            return Libraries()
        script = (resource_dir("images") / "check_libraries.py").read_text(encoding="utf-8")
        command = [*LOADER_NOTES, "python", "-c", script, *environment.recipe.libraries]
        try:
            return libraries_of(self._images.engine.run(reference_of(environment), command))
        except BuildFailed as error:
            return Libraries(problem=f"the library check failed: {error.output.strip()[-300:]}")

    def _request(self, target: Target, question: CheckQuestion) -> RunRequest:
        probe = question.probe
        return RunRequest(
            run_id=new_ulid(),
            target=target,
            harness_source=probe.harness_source,
            probe_source=probe.probe_source,
            framework=question.framework,
            snippet=question.snippet,
            parameters={name: parameter.default for name, parameter in probe.parameters.items()},
            timeout_seconds=self._timeout_seconds,
        )


def check_all(
    checker: Checker,
    targets: Sequence[Target],
    workers: int,
    done: Callable[[Check], None],
    progress: Progress,
) -> list[Check]:
    """Check many images, several at once, and return the results in the order of the targets."""

    def one(target: Target) -> Check:
        found = checker.check(target, progress)
        done(found)
        return found

    with ThreadPoolExecutor(workers, thread_name_prefix="check") as pool:
        return list(pool.map(one, targets))


def libraries_of(output: str) -> Libraries:
    """Parse the output of images/check_libraries.py: the last line that is JSON."""
    answer = json.loads(next(line for line in reversed(output.splitlines()) if line.startswith("{")))
    problem = "; ".join(f"{name}: {error}" for name, error in answer["errors"].items())
    if not answer["is_cuda_build"]:
        problem = problem or "the release was built without CUDA"
    return Libraries(tuple(answer["loaded"]), tuple(answer["asked"]), problem)


def image_problem(report: RunReport, answer: Answer, target: Target) -> str:
    """Return what is wrong with an image; empty for any behaviour, which is no fault of the image."""
    if isinstance(answer, Outcome):
        return ""
    if target.hardware == "cuda" and "no CUDA device" in answer_text(answer):
        return ""  # as it must be on a machine without one
    return report.reason or answer_text(answer)


def table_of(checks: Iterable[Check]) -> str:
    """Return checks as a table in Markdown, in version order."""
    rows = sorted(checks, key=lambda check: (check.package, check.hardware, Version(check.release)))
    lines = [
        "| release | hardware | Python | MB | built in s | import in s | probe |",
        "|---|---|---|---:|---:|---:|---|",
    ]
    return "\n".join([*lines, *(_line_of(check) for check in rows)]) + "\n"


def _line_of(check: Check) -> str:
    name = check.release if check.package == "tensorflow" else f"{check.package} {check.release}"
    outcome = f"failed: {' '.join(check.problem.split())[:160]}" if check.problem else check.outcome
    if check.libraries and not check.problem:
        outcome = f"{_libraries_said(check)}; {outcome}"
    size = f"{check.bytes / 1e6:.0f}" if check.bytes else ""
    cells = [name, check.hardware, check.python, size, _seconds(check.build_seconds), _seconds(check.import_seconds)]
    return f"| {' | '.join([*cells, outcome.replace('|', '/')])} |"


def _libraries_said(check: Check) -> str:
    """Return which CUDA libraries were loaded, in words."""
    if check.asked:
        return f"{counted(len(check.asked), *CUDA_LIBRARIES)} that it opens, and each of them loads"
    return f"{counted(len(check.libraries), *CUDA_LIBRARIES)} of its recipe, and each of them loads"


def _seconds(value: float | None) -> str:
    """Return a duration as text; empty if there is none."""
    return "" if value is None else f"{value:.1f}"


def _check_of(line: str) -> Check | None:
    """Parse a line of the ledger; None if it is incomplete."""
    try:
        value = json.loads(line)
        names = {name: tuple(value.get(name, ())) for name in ("libraries", "asked")}
        return Check(**{**value, **names})
    except (ValueError, TypeError, AttributeError):
        return None
