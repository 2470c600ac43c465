"""What more workers are worth: python -m benchmarks.cluster [--rounds N] [--releases A,B,…] [--only PART].

`workers`: a bisection of 20 releases by one real worker and by two, each with one run at a time, on a scheduler and
the engine of this machine; they take turns. `planned`: many bisections at once, planned and stored for real, by 1 to 32
workers whose runs are pauses. Writes cluster.json and cluster.md to benchmarks/results; exit 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from service.bisection.outcomes import RunReport
from service.bootstrap import House
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.execution.dask_cluster import serve_worker
from service.execution.runner import RunRequest
from service.resources import resource_dir
from service.settings import Settings
from tests.web.world import World, dropout_report

RESULTS = Path(__file__).parent / "results"
TUTORIAL = (resource_dir("examples") / "dropout_tutorial.py").read_text(encoding="utf-8")
RELEASES = (
    "1.4.0,1.5.0,1.6.0,1.7.0,1.8.0,1.9.0,1.10.0,1.10.1,1.11.0,1.12.0,1.12.2,1.12.3,1.13.1,1.13.2,1.14.0,"
    "2.0.0,2.4.0,2.10.0,2.16.1,2.21.0"
)
SIMULATED = (1, 2, 4, 8, 16, 32)
RUN_SECONDS = 0.5
"""How long a simulated run lasts: as a forked answer does. With an import it is longer, and planning counts less."""
PLANNED_AT_LEAST = 0.7
TWO_AT_MOST = 0.6


@dataclass
class Machines:
    """A scheduler and its workers, each a process of its own."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._start("service", "scheduler", "--port", str(self.port))

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def work(self, name: str) -> None:
        """Start a real worker with one run at a time and a data folder of its own."""
        self._start("service", "worker", self.address, TFBISECT_PARALLEL="1", TFBISECT_DATA_DIR=str(self.folder / name))

    def simulate(self, workers: int) -> None:
        """Start workers whose runs are pauses, in one process."""
        self._start("benchmarks.cluster", "--pausing", f"{self.address},{workers}")

    def _start(self, module: str, *arguments: str, **variables: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self.processes.append(
            subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    made = Machines(folder)
    try:
        yield made
    finally:
        made.close()


def wait_for(house: House, workers: int) -> None:
    until = time.monotonic() + 120
    while house.cluster.count() < workers:
        if time.monotonic() > until:
            raise RuntimeError(f"{workers} workers did not come")
        time.sleep(0.1)  # a scheduler tells nobody who joins


def real_workers(releases: str, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Return the seconds of a bisection by one worker and by two, taking turns."""
    asked = BisectionRequest(snippet=TUTORIAL, releases=releases, probe="dropout", complete=True, fresh=True, why=False)
    seconds: dict[str, list[float]] = {"one": [], "two": []}
    with machines(folder) as alone, machines(folder) as together:
        alone.work("a")
        together.work("b")
        together.work("c")
        houses = {
            name: House(Settings(data_dir=folder / name, scheduler=some.address, bridges=False))
            for name, some in (("one", alone), ("two", together))
        }
        try:
            wait_for(houses["one"], 1)
            wait_for(houses["two"], 2)
            for number in range(rounds + 1):
                for name, house in houses.items():
                    began = time.monotonic()
                    finished = house.submission.run(asked, Silent(), ready=lambda: None)
                    lasted = time.monotonic() - began
                    if finished.status != "done" or not finished.verdict or not finished.verdict["changes"]:
                        raise RuntimeError(f"a bisection ended as {finished.status}: {finished.error}")
                    print(f"  {name}: {lasted:.1f} s, {finished.verdict['runs']}", file=sys.stderr, flush=True)
                    if number:  # in the first round environments are resolved and files read that later ones find
                        seconds[name].append(lasted)
        finally:
            for house in houses.values():
                house.close()
    return seconds


class PausingWorld(World):
    """A real coordinator and store; runs are made by the workers of a scheduler."""

    execute = House.execute
    engine_problem = House.engine_problem
    executor = House.executor


def planned(workers: int, folder: Path) -> dict[str, float]:
    """Return how much of the ideal speed-up so many simulated workers give, while there are runs to make."""
    with machines(folder) as some:
        world = PausingWorld(folder / f"planned-{workers}", scheduler=some.address, parallel=0)
        try:
            some.simulate(workers)
            wait_for(world, workers)
            return {"workers": workers, **_worked_off(world, workers)}
        finally:
            world.close()


def _worked_off(world: World, workers: int) -> dict[str, float]:
    """Queue enough bisections for all workers and wait until the first finds no other to begin."""
    bisections = max(2, 2 * workers)
    for number in range(bisections):
        body = {"snippet": world_snippet(number), "probe": "dropout", "releases": "1.8..2.6", "resolution": 1}
        world.submission.submit(BisectionRequest.model_validate(body))
    stop = threading.Event()
    began = time.monotonic()
    coordinator = threading.Thread(target=world.coordinator.serve, args=(stop,))
    coordinator.start()
    try:
        queued = runs = 0
        while True:
            time.sleep(0.1)  # there is no event for what the coordinator's thread stores
            rows = world.store.bisections(limit=100).rows
            queued = sum(row.status == "queued" for row in rows)
            runs = sum((row.progress or {}).get("runs_done", 0) for row in rows)
            lasted = time.monotonic() - began
            # Then some workers have nothing to do, whoever plans.
            if not queued and sum(row.status == "running" for row in rows) < workers:
                break
    finally:
        stop.set()
        coordinator.join()
    return {"runs": runs, "seconds": round(lasted, 2), "of_ideal": round(runs * RUN_SECONDS / (workers * lasted), 3)}


def world_snippet(number: int) -> str:
    return TUTORIAL + f"\n# {number}\n"


async def pause(address: str, workers: int) -> None:
    """Be several workers whose runs are pauses, answered as the releases of TensorFlow would."""

    def run(request: RunRequest, cancelled: threading.Event) -> RunReport:
        if cancelled.wait(RUN_SECONDS):
            return RunReport("lost", "cancelled")
        return replace(dropout_report(request), device="cpu")

    settings = Settings(scheduler=address, parallel=1)
    await asyncio.gather(*(serve_worker(settings, run, name=f"pausing-{number}") for number in range(workers)))


def report_of(seconds: Mapping[str, list[float]], points: Sequence[Mapping[str, float]]) -> dict[str, object]:
    claims: dict[str, bool] = {}
    found: dict[str, object] = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "claims": claims}
    if seconds.get("one"):
        two = median(seconds["two"]) / median(seconds["one"])
        found |= {"seconds": seconds, "two_to_one": round(two, 3)}
        claims[f"two workers take at most {TWO_AT_MOST} of the time of one"] = two <= TWO_AT_MOST
    if points:
        found["planned"] = list(points)
        claims[f"1 to 32 workers reach at least {PLANNED_AT_LEAST} of the ideal"] = all(
            point["of_ideal"] >= PLANNED_AT_LEAST for point in points
        )
    return found


def markdown(report: Mapping[str, object]) -> str:
    lines = ["# More than one worker", ""]
    seconds, points = report.get("seconds"), report.get("planned")
    if isinstance(seconds, dict):
        one, two = median(seconds["one"]), median(seconds["two"])
        lines += [
            f"A bisection of 20 releases: {one:.1f} s by one worker, {two:.1f} s by two, ratio {two / one:.2f}.",
            "",
        ]
    if isinstance(points, list):
        lines += ["| simulated workers | runs | seconds | of the ideal |", "|---:|---:|---:|---:|"]
        lines += [f"| {p['workers']} | {p['runs']} | {p['seconds']:.1f} | {p['of_ideal']:.2f} |" for p in points]
        lines.append("")
    claims = report["claims"]
    lines += ["| claim | holds |", "|---|---|"]
    lines += [f"| {claim} | {'yes' if holds else 'NO'} |" for claim, holds in dict(claims).items()]  # type: ignore[call-overload]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--releases", default=RELEASES)
    parser.add_argument("--only", choices=("workers", "planned"))
    parser.add_argument("--pausing", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.pausing:
        address, _, workers = given.pausing.rpartition(",")
        asyncio.run(pause(address, int(workers)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        points = []
        for workers in () if given.only == "workers" else SIMULATED:
            points.append(planned(workers, folder))
            print(f"  {points[-1]}", file=sys.stderr, flush=True)
        seconds = {} if given.only == "planned" else real_workers(given.releases, given.rounds, folder)
    report = report_of(seconds, points)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cluster.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "cluster.md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))
    return 0 if all(dict(report["claims"]).values()) else 1  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.exit(main())
