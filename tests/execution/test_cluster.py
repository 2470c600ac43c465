"""Bisections on a real scheduler whose workers die, have no room, or lose it: nothing in the verdict changes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.bootstrap import House, WorkerHouse
from service.coordination.conclusion import Finished
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.errors import NoRunner
from service.execution.dask_cluster import DaskCluster
from service.settings import Settings
from tests.web.world import TUTORIAL, World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # Dask's own
ASKED = BisectionRequest(snippet=TUTORIAL, releases="1.9..1.14", probe="dropout")
TRUTH = [("introduced", "1.10.0", "1.11.0"), ("fixed", "1.12.0", "1.13.1")]


class Machines:
    """A scheduler and workers, each a process of its own."""

    def __init__(self, **variables: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.variables = variables
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        return f"{'tls' if self.variables else 'tcp'}://127.0.0.1:{self.port}"

    def schedule(self) -> None:
        self._start("scheduler", "service", "scheduler", "--port", str(self.port))

    def work(self, name: str, *kind: str) -> None:
        self._start(name, "tests.execution.dask_worker", self.address, name, "0", *kind)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def _start(self, name: str, module: str, *arguments: str) -> None:
        silent = subprocess.DEVNULL
        command = [sys.executable, "-m", module, *arguments]
        self.processes[name] = subprocess.Popen(
            command, stdout=silent, stderr=silent, env={**os.environ, **self.variables}
        )

    def settings(self) -> dict[str, Any]:
        return {name.removeprefix("TFBISECT_").lower(): value for name, value in self.variables.items()} | {
            "scheduler": self.address
        }

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def machines() -> Iterator[Machines]:
    made = Machines()
    yield made
    made.close()


class ClusterWorld(World):
    """A world whose runs are made by the workers of a scheduler."""

    execute = House.execute
    engine_problem = House.engine_problem

    def bisected(self) -> Finished:
        return self.submission.run(ASKED, Silent(), ready=lambda: None)

    def begun(self) -> Future[Finished]:
        """Bisect beside the test."""
        pool = ThreadPoolExecutor(1)
        future = pool.submit(self.bisected)
        pool.shutdown(wait=False)
        return future

    def stored(self) -> int:
        return sum(row.progress["runs_done"] for row in self.store.bisections(limit=1).rows if row.progress)


@pytest.fixture
def world(tmp_path: Path, machines: Machines) -> Iterator[ClusterWorld]:
    machines.schedule()
    opened = ClusterWorld(tmp_path, **machines.settings())
    yield opened
    opened.close()


def until(holds: Callable[[], object], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)  # nothing tells when it holds


def changes(finished: Finished) -> list[tuple[str, str, str]]:
    assert finished.status == "done", finished.error
    verdict: Mapping[str, Any] = finished.verdict or {}
    return [(change["kind"], change["before"], change["after"]) for change in verdict["changes"]]


def test_whoever_dies_or_has_no_room_changes_nothing_in_the_verdict(machines: Machines, world: ClusterWorld) -> None:
    for name, kind in (("killed", ()), ("full", ("full",)), ("good", ())):
        machines.work(name, *kind)
    until(lambda: world.cluster.count() == 3)
    future = world.begun()
    until(lambda: world.stored() > 1)
    machines.kill("killed")
    until(lambda: world.stored() > 3)
    machines.kill("scheduler")
    until(lambda: world.engine_problem() is not None)
    assert not future.done()
    machines.schedule()
    assert changes(future.result(90)) == TRUTH
    assert machines.processes["good"].poll() is None, "the worker ended with its scheduler"


@pytest.mark.skipif(not os.environ.get("FULL"), reason="make cluster runs it")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
def test_with_certificates_nobody_without_one_of_the_same_authority_can_have_runs(tmp_path: Path) -> None:
    own, foreign = certificates(tmp_path / "own"), certificates(tmp_path / "foreign")
    machines = Machines(**own)
    try:
        machines.schedule()
        machines.work("one")
        trusted = DaskCluster(Settings(**machines.settings()))
        until(lambda: trusted.count() == 1)
        trusted.close()
        for variables in ({}, foreign):
            others = Machines(**variables)
            others.port = machines.port
            with pytest.raises(NoRunner):
                DaskCluster(Settings(**others.settings())).client  # noqa: B018 - connects
    finally:
        machines.close()


def certificates(folder: Path) -> dict[str, str]:
    """Make an authority and a certificate of it as docs/scale.md says."""
    folder.mkdir()
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
    script = page.partition("```sh\n# certificates\n")[2].partition("```")[0]
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, capture_output=True)
    files = {"TLS_CA": "ca.pem", "TLS_CERTIFICATE": "certificate.pem", "TLS_KEY": "key.pem"}
    return {f"TFBISECT_{name}": str(folder / file) for name, file in files.items()}


def test_a_worker_resolves_nothing_and_has_no_database(tmp_path: Path) -> None:
    opened = WorkerHouse(Settings(data_dir=tmp_path, runner="local", scheduler="tcp://127.0.0.1:1"))
    runner, stop = opened.runner, threading.Event()
    stop.set()
    assert runner.name == "local"
    assert opened.environments is not None
    opened.close()
    assert [path.name for path in tmp_path.rglob("*.sqlite3")] == []
