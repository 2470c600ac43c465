"""What answers cost, and where their time goes: python -m benchmarks.answers [--rounds N] [--quick] [--only PART].

Beside bare `docker run` of the same harness, probe and script, images present. What is compared takes turns with what
it is compared with, so that a slow minute is slow for both. Writes answers.json and answers.md to benchmarks/results;
exit 1 if a ratio is above its target.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.answers_service import Service
from service.bisection.outcomes import RunReport
from service.bootstrap import House
from service.catalog.targets import Target
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.execution.channel import BOOT, opening, question
from service.execution.docker_engine import connect
from service.execution.docker_runner import DockerRunner
from service.execution.limits import limits_of
from service.execution.runner import RunRequest
from service.execution.sessions import Waits
from service.images.builder import images_for
from service.images.docker_images import DockerImages
from service.resources import resource_dir
from service.settings import GIB, Settings

RESULTS = Path(__file__).parent / "results"
TUTORIAL = (resource_dir("examples") / "dropout_tutorial.py").read_text(encoding="utf-8")
RELEASES = "1.9..1.14"
MEASURED = ("1.9.0", "1.10.0", "1.10.1", "1.11.0", "1.12.0", "1.12.3", "1.13.1", "1.13.2", "1.14.0")
"""The releases of this range that a bisection measures: the mainline, and the tip of each minor beside a change."""
ONE, NEW = "1.12.0", "2.21.0"
PARTS = ("one", "repeats", "range", "reading")
ANSWERS = 15
VARIANTS = ("input-shape", "eager", "graph", "seed")
OWN_VARIANT = {"half": TUTORIAL.replace("0.2", "0.5")}
NEVER = threading.Event()
POOL_BYTES = 8 * GIB
ENGINE_CALLS = ("create_container_from_config", "attach_socket", "start", "remove_container")


@dataclass(frozen=True)
class Ratio:
    """What was compared, how it came out, and what it should come to at most."""

    what: str
    found: float
    at_most: float
    seconds: str
    """The two sides, for people."""

    @property
    def holds(self) -> bool:
        return self.found <= self.at_most


def timed(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds of some work."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def in_turns(rounds: int, ways: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Return the seconds of each way, round by round; a way says itself how long it took."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(way())
            print(f"  {name}: {seconds[name][-1]:.3f} s", file=sys.stderr, flush=True)
    return seconds


def ratio(what: str, at_most: float, ours: list[float], base: list[float]) -> Ratio:
    """Return the median of what was measured over the median of what it is compared with."""
    above, below = median(ours), median(base)
    return Ratio(what, above / below, at_most, f"{above:.3f} / {below:.3f} s")


def bare(image: str, request: RunRequest) -> float:
    """Return the seconds of one bare `docker run`."""
    words = opening(request.harness_source, request.framework) + question(request)
    command = ["docker", "run", "--rm", "-i", "-e", "HOME=/tmp", "-e", "TF_CPP_MIN_LOG_LEVEL=2"]
    command += ["-e", "TFBISECT_DATASETS=/opt/tfbisect/datasets", image, "python", "-u", "-c", BOOT]
    began = time.monotonic()
    answer = subprocess.run(command, input=words, check=True, capture_output=True).stdout
    seconds = time.monotonic() - began
    if b'"kind": "measured"' not in answer:
        raise RuntimeError(f"a bare run did not measure, so its time means nothing: {answer[-500:]!r}")
    return seconds


@dataclass
class TimedCalls:
    """An engine's client that notes how long the calls of a run take."""

    client: Any
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ENGINE_CALLS})

    @property
    def api(self) -> TimedCalls:
        return self

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self.client.api if hasattr(self.client.api, name) else self.client, name)
        if name not in ENGINE_CALLS:
            return inner

        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.monotonic()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds[name].append(time.monotonic() - began)

        return call


class Bench:
    """A house with its images, and ways of asking it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.house = House(Settings(data_dir=folder, runner="docker"))
        self.images: dict[str, str] = {}
        self._asked = 0

    def bisect(self, **request: Any) -> tuple[float, list[RunReport]]:
        """Return the seconds of a bisection that measures everything anew, and its runs."""
        house = self.house
        wanted = BisectionRequest(snippet=TUTORIAL, probe="dropout", fresh=True, **request)
        began = time.monotonic()
        finished = house.submission.run(wanted, Silent(), ready=lambda: house.runner)
        seconds = time.monotonic() - began
        if finished.verdict is None:
            raise RuntimeError(f"a bisection came to no verdict: {finished.error}")
        linked = house.store.linked_observations(str(finished.verdict["id"]))
        return seconds, [one.observation.report for one in linked]

    def prepare(self, releases: Sequence[str]) -> None:
        """Make images be there, their files in memory, and know which release has which."""
        images = images_for(self.house.settings, self.house.environments, DockerImages(connect()))
        for release in releases:
            target = Target("tensorflow", release)
            self.house.runner.prepare(target)
            self.images[release] = images.ensure(self.house.environments.resolve(target)).id
            bare(self.images[release], self.request(release))

    def request(self, release: str, *, probe: str = "dropout", snippet: str = TUTORIAL) -> RunRequest:
        """Return one question."""
        self._asked += 1
        found = self.house.probes[probe]
        target = Target("tensorflow", release)
        sources = found.harness_source, found.probe_source
        return RunRequest(f"bench-{self._asked}", target, *sources, "tensorflow", snippet)

    def runner(self, client: Any, waits: Waits) -> DockerRunner:
        """Return a runner of its own over the same images."""
        house = self.house
        harness = house.probes["dropout"].harness_source
        images = images_for(house.settings, house.environments, DockerImages(connect()))
        limits = limits_of(house.settings)
        return DockerRunner(client, house.environments, images, limits, harness_source=harness, waits=waits)

    def bare_range(self) -> float:
        """Return the seconds of one bare run of each of these releases, one after the other."""
        return sum(bare(self.images[release], self.request(release)) for release in MEASURED)


def processor_seconds() -> float:
    """Return the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure_range(bench: Bench, service: Service, rounds: int) -> tuple[list[Ratio], dict[str, Any]]:
    """Return the whole bisection beside bare runs of its releases, cold and through a service with a standing pool."""
    processor: list[float] = []
    reports: list[RunReport] = []
    walls: list[float] = []

    def cold() -> float:
        began = processor_seconds()
        seconds, found = bench.bisect(releases=RELEASES)
        processor.append((processor_seconds() - began) / len(found))
        reports.extend(found)
        walls.append(seconds)
        return seconds

    found = in_turns(
        rounds, {"bare": bench.bare_range, "cold": cold, "again": bench.bare_range, "pool": service.bisection}
    )
    base = found["bare"] + found["again"]
    ratios = [
        ratio("(a) the whole bisection, cold", 0.65, found["cold"], base),
        ratio("(a) through a service with a standing pool", 0.4, found["pool"], base),
        Ratio("(d) the service's own CPU per run, in seconds", median(processor), 0.05, f"{len(reports)} runs"),
    ]
    workers = bench.house.settings.workers
    at_work = sum(report.seconds["total"] for report in reports)
    rest = {
        "runs": len(reports) // rounds,
        "processes": len({report.process for report in reports}) // rounds,
        "waiting_before": service.waiting,
        "between_runs_ms": 1000 * (sum(walls) * workers - at_work) / len(reports),
        "seconds": found,
    }
    return ratios, rest


def measure_repeats(bench: Bench, rounds: int) -> list[Ratio]:
    """Return many answers of one release beside one."""
    found = in_turns(
        rounds,
        {
            "one": lambda: bench.bisect(releases=ONE)[0],
            "many": lambda: bench.bisect(releases=ONE, repeats=ANSWERS)[0],
            "one, again": lambda: bench.bisect(releases=ONE)[0],
            "variants": lambda: bench.bisect(releases=ONE, variants=VARIANTS, variant_snippets=OWN_VARIANT)[0],
            "one, new": lambda: bench.bisect(releases=NEW)[0],
            "many, new": lambda: bench.bisect(releases=NEW, repeats=ANSWERS)[0],
        },
    )
    one = found["one"] + found["one, again"]
    return [
        ratio(f"(b) {ANSWERS} answers of {ONE} beside one", 5, found["many"], one),
        ratio(f"(b) {ANSWERS} answers of {NEW} beside one", 4, found["many, new"], found["one, new"]),
        ratio(f"(b) five variants of {ONE} beside one", 2.5, found["variants"], one),
    ]


def measure_one(bench: Bench, rounds: int) -> tuple[list[Ratio], dict[str, dict[str, float]]]:
    """Return one run of each kind beside a bare one, and where the time of a cold and a warm one goes."""
    calls = TimedCalls(connect())
    reports: dict[str, list[RunReport]] = {"cold": [], "warm": []}
    with closing(bench.runner(calls, Waits(standing_bytes=POOL_BYTES))) as runner:

        def ask(kind: str, request: RunRequest) -> float:
            seconds = timed(lambda: reports.setdefault(kind, []).append(runner.run(request, NEVER)))
            if reports[kind][-1].ending != "answered":
                raise RuntimeError(f"a run ended as {reports[kind][-1].ending}: {reports[kind][-1].reason}")
            return seconds

        def warm() -> float:
            request = replace(bench.request(ONE), submission=f"warm-{bench._asked}")
            if not runner.stand(request.target, request.framework):
                raise RuntimeError("no container could be made ready ahead of the question")
            seconds = ask("warm", request)
            runner.end(request.submission)
            return seconds

        def forked(**kind: str) -> float:
            request = replace(bench.request(ONE, **kind), submission=f"forked-{bench._asked}")
            runner.run(request, NEVER)
            time.sleep(0.2)  # its parent cleans up after the first child
            seconds = ask("forked", replace(request, run_id=f"{request.run_id}-again"))
            runner.end(request.submission)
            return seconds

        nothing = {"probe": "script", "snippet": "pass\n"}
        found = in_turns(
            rounds,
            {
                "bare": lambda: bare(bench.images[ONE], bench.request(ONE)),
                "cold": lambda: ask("cold", bench.request(ONE)),
                "warm": warm,
                "forked": forked,
                "bare, nothing": lambda: bare(bench.images[ONE], bench.request(ONE, **nothing)),
                "forked, nothing": lambda: forked(**nothing),
            },
        )
    ratios = [
        ratio("(c) one run, cold", 1.05, found["cold"], found["bare"]),
        ratio("(c) a warm first answer", 0.5, found["warm"], found["bare"]),
        ratio("(c) a forked answer", 0.45, found["forked"], found["bare"]),
        ratio(
            "(c) a forked answer of a script that computes nothing",
            0.1,
            found["forked, nothing"],
            found["bare, nothing"],
        ),
    ]
    engine = {name: 1000 * median(values) for name, values in calls.seconds.items() if values}
    return ratios, {kind: parts_of(reports[kind], engine, kind == "cold") for kind in ("cold", "warm")}


def parts_of(reports: list[RunReport], engine: Mapping[str, float], starts: bool) -> dict[str, float]:
    """Return where the milliseconds of a run go, medians."""

    def of(step: str) -> float:
        return 1000 * median(report.seconds.get(step, 0.0) for report in reports)

    inner = [((report.result or {}).get("measurements") or {}).get("seconds", {}) for report in reports]
    steps = {f"probe: {name}": 1000 * median(each.get(name, 0.0) for each in inner) for name in inner[0]}
    parts = {"image and environment": of("prepare")}
    if starts:
        parts |= {"engine: create": engine["create_container_from_config"], "engine: attach": engine["attach_socket"]}
        parts |= {"engine: start": engine["start"], "import": of("import")}
    parts |= steps
    parts["probe: rest"] = of("probe") - sum(steps.values())
    parts["interpreter, fork, channel, cleaning up"] = of("total") - sum(parts.values())
    parts["all that is waited for"] = of("total")
    parts["engine: removal, waited for by nobody"] = engine.get("remove_container", 0.0)
    return parts


READING = """
import os, sys, time, types, numpy
source = sys.stdin.read()
module = types.ModuleType("datasets")
exec(compile(source, "datasets.py", "exec"), module.__dict__)
context = types.SimpleNamespace(note=lambda text: None)
folder = "/opt/tfbisect/datasets/mnist/"
def former():
    parts = []
    for part in ("train", "t10k"):
        pixels = numpy.fromfile(folder + part + "-images-idx3-ubyte", dtype=numpy.uint8)
        labels = numpy.fromfile(folder + part + "-labels-idx1-ubyte", dtype=numpy.uint8)
        parts.append((pixels[16:].reshape(-1, 28, 28), labels[8:]))
    return [(x.copy(), y.copy()) for x, y in parts]
def seconds(work):
    began = time.perf_counter()
    for part in work():
        for array in part:
            array.reshape(-1)[::4096].sum()  # what is only mapped is read when it is looked at
    return time.perf_counter() - began
for _ in range(10):
    print(seconds(former), seconds(lambda: module.loader(context, "mnist")()))
"""


def measure_reading(bench: Bench) -> Ratio:
    """Return how long the shipped digits take, every page looked at, beside reading and copying them."""
    source = (resource_dir("probes") / "shared" / "tfbisect_datasets.py").read_text(encoding="utf-8")
    command = ["docker", "run", "--rm", "-i", "-e", "TFBISECT_DATASETS=/opt/tfbisect/datasets", bench.images[ONE]]
    said = subprocess.run([*command, "python", "-c", READING], input=source, text=True, check=True, capture_output=True)
    pairs = [[float(word) for word in line.split()] for line in said.stdout.splitlines()]
    return ratio("(e) reading the digits", 0.2, [pair[1] for pair in pairs], [pair[0] for pair in pairs])


@contextmanager
def closing(runner: DockerRunner) -> Iterator[DockerRunner]:
    """Close a runner at the end of the block."""
    try:
        yield runner
    finally:
        runner.close()


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report as tables."""
    whole, milliseconds = report["range"], report["milliseconds"]
    lines = ["# What answers cost", "", f"{report['cores']} cores, load {report['load']}. Each ratio is of medians."]
    if whole:
        lines += [f"The bisection over {RELEASES} takes {whole['runs']} answers from {whole['processes']} processes;"]
        lines += [f"{whole['waiting_before']} containers stood ready in the service."]
    lines += ["", "| ratio | found | at most | of | holds |", "|---|---:|---:|---|---|"]
    for each in report["ratios"]:
        holds = "yes" if each["holds"] else "NO"
        lines.append(f"| {each['what']} | {each['found']:.3f} | {each['at_most']} | {each['seconds']} | {holds} |")
    if milliseconds:
        cold, warm = milliseconds["cold"], milliseconds["warm"]
        lines += [
            "",
            f"Where the milliseconds of one run of {ONE} go:",
            "",
            "| step | cold | warm |",
            "|---|---:|---:|",
        ]
        lines += [f"| {step} | {value:.1f} | {warm.get(step, 0.0):.1f} |" for step, value in cold.items()]
    if whole:
        between = whole["between_runs_ms"]
        lines += ["", f"Between two runs, per worker: {between:.1f} ms for planning, storing and handing on."]
    return "\n".join(lines) + "\n"


def measure(bench: Bench, chosen: Sequence[str], rounds: int) -> dict[str, Any]:
    """Return what the chosen parts come to."""
    ratios: list[Ratio] = []
    milliseconds: dict[str, dict[str, float]] = {}
    whole: dict[str, Any] = {}
    load = os.getloadavg()[0]
    bench.prepare([*(MEASURED if "range" in chosen else [ONE]), *([NEW] if "repeats" in chosen else [])])
    if "range" in chosen:
        with Service.started(bench.folder, POOL_BYTES, TUTORIAL, RELEASES) as service:
            found, whole = measure_range(bench, service, rounds)
        ratios += found
    if "repeats" in chosen:
        ratios += measure_repeats(bench, rounds)
    if "one" in chosen:
        found, milliseconds = measure_one(bench, 2 * rounds)
        ratios += found
    if "reading" in chosen:
        ratios.append(measure_reading(bench))
    return {
        "cores": os.cpu_count(),
        "load": f"{load:.1f} to {os.getloadavg()[0]:.1f}",
        "ratios": [vars(each) | {"holds": each.holds} for each in sorted(ratios, key=lambda each: each.what)],
        "milliseconds": milliseconds,
        "range": whole,
    }


def main() -> int:
    """Measure, write, and say whether the ratios hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--only", choices=PARTS, action="append", help="leave out the other parts, and write nothing")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            report = measure(bench, chosen.only or PARTS, 1 if chosen.quick else chosen.rounds)
        finally:
            bench.house.close()
    if not chosen.only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "answers.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "answers.md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))
    return 0 if all(each["holds"] for each in report["ratios"]) else 1


if __name__ == "__main__":
    sys.exit(main())
