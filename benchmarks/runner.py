"""What a run costs beside a bare `docker run`: python -m benchmarks.runner [--release 1.12.0] [--rounds N].

The same probe, snippet and image each time; the ways take turns, so that a slow minute is slow for all. Writes
runner.json and runner.md to benchmarks/results; exit 1 if a claim fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from service.bootstrap import House
from service.catalog.interpreters import find_interpreter
from service.catalog.targets import Target
from service.execution.channel import BOOT, opening, question
from service.execution.docker_engine import connect
from service.execution.docker_runner import DockerRunner
from service.execution.hardening import run_environment
from service.execution.limits import Limits, limits_of
from service.execution.local_runner import LocalRunner
from service.execution.runner import RunRequest
from service.execution.sessions import Waits
from service.images.builder import images_for
from service.images.docker_images import DockerImages
from service.settings import Settings

RESULTS = Path(__file__).parent / "results"
TUTORIAL = Path(__file__).parent.parent / "examples" / "dropout_tutorial.py"
RUN_USER = "65532:65532"
PARALLEL = 2
BATCH = 6
NEVER = threading.Event()


@dataclass(frozen=True)
class Bench:
    """One image, one question, and the ways of asking it."""

    image: str
    request: RunRequest
    limits: Limits
    runner: DockerRunner
    local: LocalRunner

    def bare(self) -> None:
        """Ask by `docker run` with nothing but what the answer needs."""
        self._docker_run([])

    def hardened(self) -> None:
        """Ask by `docker run` with the protections that a runner gives, as flags."""
        limits = self.limits
        flags = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"]
        flags += ["--init", "--user", RUN_USER, "--memory", str(limits.memory_bytes), "--cpus", str(limits.cpus)]
        flags += ["--memory-swap", str(limits.memory_bytes), "--pids-limit", str(limits.pids), "--log-driver", "none"]
        flags += ["--ulimit", "core=0", "--tmpfs", f"/tmp:rw,nosuid,nodev,noexec,size={limits.tmpfs_bytes}"]
        self._docker_run(flags)

    def cold(self) -> None:
        """Ask through the runner."""
        self._expect_answer(self.runner.run(self.request, NEVER).ending)

    def local_run(self) -> None:
        """Ask through the local runner."""
        self._expect_answer(self.local.run(self.request, NEVER).ending)

    def warm_up(self) -> None:
        """Start a container ahead of need and give it time to import the framework; not part of what is timed."""
        self.runner.warm(self.request.target, self.request.framework)
        time.sleep(5)  # nobody says when a waiting container is ready; the import takes 1 to 3 s

    def _docker_run(self, flags: list[str]) -> None:
        variables = [f"--env={name}={value}" for name, value in run_environment(self.limits).items()]
        command = ["docker", "run", "--rm", "-i", *flags, *variables, self.image, "python", "-u", "-c", BOOT]
        words = opening(self.request.harness_source, self.request.framework) + question(self.request)
        answer = subprocess.run(command, input=words, capture_output=True, check=True).stdout
        self._expect_answer("answered" if b'"kind": "measured"' in answer else "nothing measured")

    def _expect_answer(self, ending: str) -> None:
        if ending != "answered":
            raise RuntimeError(f"a run ended as {ending}; the times would mean nothing")


def timed(way: Callable[[], None], before: Callable[[], None] | None = None) -> float:
    """Return the wall-clock seconds of one way."""
    if before:
        before()
    began = time.monotonic()
    way()
    return time.monotonic() - began


def measure(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each way, the ways taking turns."""
    ways: Mapping[str, tuple[Callable[[], None], Callable[[], None] | None]] = {
        "docker run, bare": (bench.bare, None),
        "docker run, hardened": (bench.hardened, None),
        "DockerRunner, cold": (bench.cold, None),
        "DockerRunner, warm": (bench.cold, bench.warm_up),
        "LocalRunner": (bench.local_run, None),
    }
    for way in (bench.bare, bench.cold, bench.local_run):
        way()  # the first of each reads files that later ones find in memory
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, before) in ways.items():
            seconds[name].append(timed(way, before))
    return seconds


def measure_batch(bench: Bench) -> dict[str, float]:
    """Return the seconds of a batch of runs: what a bisection with images in place waits for.

    Bare runs side by side are there for machines whose cores are busy otherwise: nothing can be faster there.
    """
    one_by_one = sum(timed(bench.bare) for _ in range(BATCH))
    bare, ours = side_by_side(bench.bare), side_by_side(bench.cold)
    ideal = one_by_one / PARALLEL
    return {"bare_sum": one_by_one, "bare": bare, "runner": ours, "ratio": ours / ideal, "ratio_to_bare": ours / bare}


def side_by_side(way: Callable[[], None]) -> float:
    """Return the seconds of a batch, some at once."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        began = time.monotonic()
        for future in [pool.submit(way) for _ in range(BATCH)]:
            future.result()
        return time.monotonic() - began


def report_of(release: str, seconds: Mapping[str, list[float]], batch: Mapping[str, float]) -> dict[str, Any]:
    """Return medians, ratios to the bare `docker run`, and the claims."""
    medians = {name: median(values) for name, values in seconds.items()}
    base = medians["docker run, bare"]
    ratios = {name: value / base for name, value in medians.items()}
    claims = {
        f"a batch of {BATCH}, {PARALLEL} at once, takes at most 1.15 times bare docker runs in the same way": (
            batch["ratio_to_bare"] <= 1.15
        ),
        f"a batch of {BATCH} takes at most 1.3 times the bare sum / {PARALLEL}": batch["ratio"] <= 1.3,
        "a cold run takes at most 1.1 times a hardened docker run": (
            medians["DockerRunner, cold"] <= 1.1 * medians["docker run, hardened"]
        ),
        "a warm run takes at most 0.7 times a bare docker run": ratios["DockerRunner, warm"] <= 0.7,
    }
    return {
        "release": release,
        "cores": os.cpu_count(),
        "seconds": {name: [round(value, 3) for value in values] for name, values in seconds.items()},
        "median_seconds": {name: round(value, 3) for name, value in medians.items()},
        "ratio_to_bare": {name: round(value, 3) for name, value in ratios.items()},
        "batch": {name: round(value, 3) for name, value in batch.items()},
        "claims": claims,
    }


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report as tables."""
    lines = ["| way | median seconds | beside `docker run` |", "|---|---|---|"]
    ratios = report["ratio_to_bare"]
    lines += [f"| {name} | {value:.2f} | {ratios[name]:.2f} |" for name, value in report["median_seconds"].items()]
    batch = report["batch"]
    lines += ["", f"{BATCH} runs, {PARALLEL} at once: {batch['runner']:.2f} s; bare `docker run` one by one "]
    lines[-1] += f"{batch['bare_sum']:.2f} s, divided by {PARALLEL}: ratio {batch['ratio']:.2f}; "
    lines[-1] += f"bare `docker run` {PARALLEL} at once {batch['bare']:.2f} s: ratio {batch['ratio_to_bare']:.2f}."
    lines += ["", "| claim | holds |", "|---|---|"]
    lines += [f"| {claim} | {'yes' if holds else 'NO'} |" for claim, holds in report["claims"].items()]
    return f"# What a run costs (tensorflow {report['release']})\n\n" + "\n".join(lines) + "\n"


def prepare(house: House, release: str) -> Bench:
    """Make image and environment be there, and the runners."""
    client, limits, probe = connect(), limits_of(house.settings), house.probes["dropout"]
    target = Target("tensorflow", release)
    request = RunRequest(
        "bench", target, probe.harness_source, probe.probe_source, "tensorflow", TUTORIAL.read_text(encoding="utf-8")
    )
    images = images_for(house.settings, house.environments, DockerImages(client))
    harness = probe.harness_source
    runner = DockerRunner(client, house.environments, images, limits, harness_source=harness, waits=Waits(1))
    local = LocalRunner(house.environments, limits, house.settings.data_dir, find_interpreter)
    runner.prepare(target)
    local.prepare(target)
    image = images.ensure(house.environments.resolve(target)).id
    return Bench(image, request, limits, runner, local)


def main() -> int:
    """Measure, write, and say whether the claims hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", default="1.12.0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    chosen = parser.parse_args()
    house = House(Settings())
    bench = prepare(house, chosen.release)
    try:
        seconds = measure(bench, 2 if chosen.quick else chosen.rounds)
        report = report_of(chosen.release, seconds, measure_batch(bench))
    finally:
        bench.runner.close()
        house.close()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "runner.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "runner.md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))
    return 0 if all(report["claims"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
