"""Asks one probe of releases in local environments: python -m tests.probes.survey PROBE FILE PACKAGE RELEASE..."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from packaging.version import Version

from service.bisection.outcomes import RunReport, classify
from tests.probes.environments import cache_folder, environment
from tests.probes.protocol import PROBES, ask


def python_for(release: str) -> str:
    """Return the Python that TensorFlow's wheels of that day accept."""
    version = Version(release)
    return "3.6" if version < Version("2.2") else "3.8" if version < Version("2.8") else "3.10"


def environment_of(folder: Path, package: str, release: str) -> str:
    """Return the interpreter of an environment with a release, and with the Keras of its day."""
    keras_apart = Version("2.6") <= Version(release) < Version("2.16")
    extra = [f"keras~={release.rpartition('.')[0]}.0"] if keras_apart else []
    return environment(folder, package, release, python_for(release), *extra)


def main(name: str, file: str, package: str, *releases: str) -> None:
    """Print a Markdown row per release."""
    probe, source = PROBES[name], Path(file).read_text("utf-8")
    datasets = {"TFBISECT_DATASETS": os.environ.get("TFBISECT_DATASETS", "")}
    print("| release | outcome | seen |\n|---|---|---|")
    for release in releases:
        python = environment_of(cache_folder(Path("/tmp/environments")), package, release)
        answered = ask(python, probe, source, framework=probe.framework_for(package), environment=datasets)
        answer = classify(RunReport("answered", result=answered.result), probe.judge)
        label, detail = getattr(answer, "label", type(answer).__name__), getattr(answer, "detail", str(answer))
        print(f"| {release} | {label} | {detail} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
