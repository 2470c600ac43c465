"""What a probe adds to the calls that it is about: python -m benchmarks.probes [--rounds N] [--releases 1.9.0 ...].

From the probes' own clocks. The question's own time is the import of the framework, the script until it is stopped and
the calls that the probe must make of the model; all else until the answer is out is what the probe adds. 1.9 to 1.14
run in containers, other releases in local environments, where TFBISECT_TEST_CACHE holds them. The questions take turns,
so that a slow minute is slow for all. Writes probes.json and probes.md; exit 1 if a probe adds too much processor time:
on a busy machine the clock on the wall counts waiting, too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from service.bootstrap import House
from service.catalog.probes import Probe
from service.catalog.targets import Target
from service.execution.channel import BOOT
from tests.probes.environments import cache_folder
from tests.probes.protocol import PROBES, ask
from tests.probes.survey import environment_of, python_for

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
CONTAINERS = ("1.9.0", "1.11.0", "1.12.0", "1.14.0")
LOCAL = ("1.4.0", "2.0.0", "2.6.5", "2.11.0", "2.16.1", "2.21.0")
MOST_ADDED = 0.2
# The least that can be asked about: no data to load and hardly a model, so that what is added weighs most.
SMALL = """\
import tensorflow as tf
layers = tf.keras.layers
model = tf.keras.models.Sequential([layers.Dense(8, input_shape=(8,)), layers.Dropout(0.3), layers.Dense(1)])
"""
Events = list[dict[str, Any]]


@dataclass(frozen=True)
class Question:
    """One probe and the snippet that it is asked about."""

    name: str
    probe: Probe
    snippet: str


def questions() -> list[Question]:
    """Return what is asked of every release."""
    tutorial, fixed = (
        (EXAMPLES / f"{name}.py").read_text("utf-8") for name in ("dropout_tutorial", "dropout_tutorial_fixed")
    )
    asked = [
        Question("dropout, the tutorial", PROBES["dropout"], tutorial),
        Question("dropout, the tutorial with an input shape", PROBES["dropout"], fixed),
        Question("dropout, a small model alone", PROBES["dropout"], SMALL),
        Question("training-accuracy", PROBES["training-accuracy"], tutorial),
    ]
    return asked + [Question(name, PROBES[name], tutorial) for name in ("learning-phase", "keras-author-check")]


def in_container(image: str) -> Callable[[Question], Events]:
    """Return how one asks a release in its container."""

    def asked(question: Question) -> Events:
        lines: list[dict[str, Any]] = [
            {"harness": question.probe.harness_source},
            {"framework": "tensorflow"},
            {"probe": question.probe.probe_source, "snippet": question.snippet, "parameters": {}},
        ]
        words = "".join(json.dumps(line) + "\n" for line in lines).encode()
        command = ["docker", "run", "--rm", "-i", "-e", "HOME=/tmp", image, "python", "-u", "-c", BOOT]
        said = subprocess.run(command, input=words, check=True, capture_output=True).stdout
        return [json.loads(line) for line in said.splitlines()]

    return asked


def in_environment(python: str) -> Callable[[Question], Events]:
    """Return how one asks a release in a local environment."""

    def asked(question: Question) -> Events:
        datasets = {name: os.environ[name] for name in ("TFBISECT_DATASETS",) if name in os.environ}
        return ask(python, question.probe, question.snippet, framework="tensorflow", environment=datasets).events

    return asked


def places(containers: Sequence[str], local: Sequence[str]) -> dict[str, Callable[[Question], Events]]:
    """Return how to ask each release."""
    found: dict[str, Callable[[Question], Events]] = {}
    folder = cache_folder(Path("/nowhere"))
    for release in local:
        if (folder / f"tensorflow-{release}-{python_for(release)}" / "made").exists():
            found[release] = in_environment(environment_of(folder, "tensorflow", release))
    house = House()
    try:
        for release in containers:
            environment = house.environments.resolve(Target("tensorflow", release))
            found[release] = in_container(house.images.ensure(environment).id)
    finally:
        house.close()
    return found


def timed(events: Events) -> dict[str, dict[str, float]] | None:
    """Return one run's seconds by step, of the processor and by the clock; None where nothing was measured."""
    first, last = events[0], events[-1]
    if last["result"]["kind"] != "measured":
        return None
    seen = last["result"]["measurements"]
    return {
        "processor": steps(first["import_cpu_seconds"], seen["cpu_seconds"], last["probe_cpu_seconds"]),
        "clock": steps(first["import_seconds"], seen["seconds"], last["probe_seconds"]),
    }


def steps(imported: float, probed: dict[str, float], answered: float) -> dict[str, float]:
    """Return seconds by step, with what is the question's own, what is added beside it, and their ratio."""
    own = imported + probed.get("script", 0.0) + probed["model"]
    added = imported + answered - own
    found = {"import": imported, **probed, "own": own, "added": added, "ratio": added / own}
    return {name: round(seconds, 3) for name, seconds in found.items()}


def measure(asked: dict[str, Callable[[Question], Events]], rounds: int) -> list[dict[str, Any]]:
    """Return a row per question and release, with every run's seconds."""
    runs: dict[tuple[str, str], list[dict[str, dict[str, float]]]] = {}
    for _ in range(rounds):
        for question in questions():
            for release, way in asked.items():
                if seconds := timed(way(question)):
                    runs.setdefault((question.name, release), []).append(seconds)
    return [
        {
            "question": question,
            "release": release,
            **{kind: round(median(run[kind]["ratio"] for run in seen), 3) for kind in ("processor", "clock")},
            "runs": seen,
        }
        for (question, release), seen in runs.items()
    ]


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the shares as a table: a row per question, a column per release."""
    releases = sorted({row["release"] for row in rows}, key=version)
    shares = {(row["question"], row["release"]): f"{row['processor']:.0%} ({row['clock']:.0%})" for row in rows}
    rounds = max(len(row["runs"]) for row in rows)
    lines = ["## What a probe adds", ""]
    lines += ["Beside import, script and the calls that the question is about: processor time, and in brackets by the"]
    lines += [
        f"clock. Median of {rounds} runs each; at most {MOST_ADDED:.0%} is allowed. A dash: the script raises there."
    ]
    lines += ["", "| question | " + " | ".join(releases) + " |", "|---|" + "---|" * len(releases)]
    lines += [
        f"| {question} | " + " | ".join(shares.get((question, release), "-") for release in releases) + " |"
        for question in dict.fromkeys(row["question"] for row in rows)
    ]
    return "\n".join(lines) + "\n"


def version(release: str) -> list[int]:
    """Return what sorts releases."""
    return [int(part) for part in release.split(".")]


def main() -> int:
    """Measure, write, and say whether every probe stays under the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--releases", nargs="*", default=CONTAINERS, help="in containers")
    parser.add_argument("--local", nargs="*", default=LOCAL, help="in local environments, where they are made")
    chosen = parser.parse_args()
    rows = measure(places(chosen.releases, chosen.local), chosen.rounds)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "probes.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (HERE / "results" / "probes.md").write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows))
    return int(any(row["processor"] > MOST_ADDED for row in rows))


if __name__ == "__main__":
    sys.exit(main())
