"""Real runners over a bare Python: no framework, so that a test takes a second."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.bisection.outcomes import RunReport
from service.catalog.interpreters import installed_interpreters
from service.catalog.probes import harness_source
from service.catalog.releases import Catalog
from service.catalog.targets import Target
from service.errors import NoRunner, TfbisectError
from service.execution.docker_engine import connect
from service.execution.docker_runner import DockerRunner
from service.execution.hardening import RUN_LABEL
from service.execution.limits import Limits
from service.execution.local_runner import LocalRunner
from service.execution.runner import RunRequest
from service.execution.sandbox import Sandbox, find_sandbox
from service.execution.sessions import SessionRunner, Waits
from service.images.docker_images import DockerImages
from service.images.engine import PART
from service.images.grounds import Grounds, GroundSettings
from service.resources import resource_dir
from service.settings import MIB, Settings
from tests.catalog.worlds import MemoryCache

HOSTILE = Path(__file__).parent / "hostile"
HARNESS = harness_source(resource_dir("probes"))
PROBE = "def run(context):\n    return {'x': context.execute().get('x')}\n"
TARGET = Target("bare-python", "1.0.0")
LIMITS = Limits(
    memory_bytes=256 * MIB,
    pids=64,
    tmpfs_bytes=16 * MIB,
    tmpfs_files=5000,
    output_bytes=4096,
    flood_bytes=4 * MIB,
    open_files=128,
)


@dataclass(frozen=True)
class BareEnvironment:
    """An interpreter with nothing installed."""

    python: str
    lock: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    digest: str = "sha256:bare"


@dataclass(frozen=True)
class BareEnvironments:
    """Resolves any release to a bare interpreter."""

    python: str

    def resolve(self, target: Target) -> BareEnvironment:
        return BareEnvironment(self.python)

    def install(self, environment: Any, folder: Path, python: Path | None = None) -> None:
        """Nothing to install."""


@dataclass(frozen=True)
class OneImage:
    """The same image for everything."""

    id: str

    def ensure(self, environment: Any) -> OneImage:
        return self

    def used(self, environment: Any) -> None:
        """Note nothing: nobody prunes it."""


@dataclass(frozen=True)
class Stage:
    """A real runner and how to send a snippet through it."""

    kind: str
    runner: SessionRunner
    protections: tuple[str, ...]

    def lacks(self, protection: str) -> bool:
        return any(protection in missing for missing in self.protections)

    def run(
        self, snippet: str, *, timeout_seconds: float = 30, cancelled: threading.Event | None = None, **words: object
    ) -> RunReport:
        """Run a hostile snippet by the name of its file, or a snippet's own text."""
        source = (HOSTILE / f"{snippet}.py").read_text() if (HOSTILE / f"{snippet}.py").exists() else snippet
        for word, value in words.items():
            source = source.replace(word, str(value))
        request = RunRequest(uuid.uuid4().hex[:8], TARGET, HARNESS, PROBE, "", source, {}, timeout_seconds)
        return self.runner.run(request, cancelled or threading.Event())

    def ask(self, request: RunRequest) -> RunReport:
        """Run a request that nobody cancels."""
        return self.runner.run(request, threading.Event())

    def is_alive(self) -> bool:
        """Say whether an honest snippet is still answered."""
        result = self.run("x = 1").result or {}
        return result.get("measurements") == {"x": 1}


@pytest.fixture(scope="session")
def engine() -> Any:
    """Return a client of a container engine."""
    try:
        client = connect()
    except NoRunner as error:
        pytest.skip(error.message)
    return client


@pytest.fixture(scope="session")
def python_image(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return an image with a bare Python on its PATH: one that is there, or one made now."""
    found = engine.images.list(filters={"label": f"{PART}=ground"})
    return str(found[0].id) if found else _make_ground(engine, tmp_path_factory.mktemp("ground"))


def _make_ground(engine: Any, folder: Path) -> str:
    grounds = Grounds(
        DockerImages(engine),
        folder=resource_dir("images") / "base",
        data_dir=folder,
        index=Catalog(MemoryCache(), Settings()).index,
        settings=GroundSettings(),
    )
    try:
        return grounds.ensure(installed_interpreters()[-1]).id
    except TfbisectError as error:
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    """Return a folder that a user of its own can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="tfbisect-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def docker_runner(engine: Any, image: str, **options: Any) -> DockerRunner:
    return DockerRunner(engine, BareEnvironments("3"), OneImage(image), LIMITS, harness_source=HARNESS, **options)


def host_python() -> Path:
    """Return an interpreter outside of root's home, if there is one: a user of its own can reach it."""
    system = Path("/usr/bin/python3")
    return system if system.exists() else Path(sys.executable).resolve()


def local_runner(data_dir: Path, sandbox: Sandbox | None = None, **options: Any) -> LocalRunner:
    environments = BareEnvironments("3")
    return LocalRunner(
        environments, LIMITS, data_dir, lambda _: host_python(), harness_source=HARNESS, sandbox=sandbox, **options
    )


@pytest.fixture(scope="session")
def docker_stage(engine: Any, python_image: str) -> Iterator[Stage]:
    runner = docker_runner(engine, python_image, waits=Waits(2))
    yield Stage("docker", runner, runner.missing_protections())
    runner.close()


@pytest.fixture(scope="session")
def bubblewrap_stage(data_dir: Path) -> Iterator[Stage]:
    yield from _local_stage(data_dir, "bubblewrap")


@pytest.fixture(scope="session")
def plain_stage(data_dir: Path) -> Iterator[Stage]:
    yield from _local_stage(data_dir, "plain")


def _local_stage(data_dir: Path, kind: str) -> Iterator[Stage]:
    probe = local_runner(data_dir)
    probe.prepare(TARGET)
    python = next((data_dir / "environments").glob("*/bin/python"))
    sandbox = find_sandbox(python, bubblewrap=kind == "bubblewrap")
    if kind == "bubblewrap" and not sandbox.bubblewrap:
        pytest.skip("bubblewrap is not installed, or this machine does not let it make namespaces")
    runner = local_runner(data_dir, sandbox, waits=Waits(2))
    yield Stage(kind, runner, sandbox.missing())
    runner.close()


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.containers),
        pytest.param("bubblewrap", marks=pytest.mark.local),
        pytest.param("plain", marks=pytest.mark.local),
    ]
)
def stage(request: pytest.FixtureRequest) -> Stage:
    """Return each kind of runner in turn."""
    found: Stage = request.getfixturevalue(f"{request.param}_stage")
    return found


def running_container(api: Any, run: str) -> str:
    """Return the container of a run once its process is there."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for row in api.containers(filters={"label": f"{RUN_LABEL}={run}"}):
            return str(row["Id"])
        time.sleep(0.05)  # nothing tells when a container has started
    raise AssertionError(f"the run {run} did not start within 30 seconds")


def end_container(api: Any, how: str, container: str) -> None:
    """End a container as people do."""
    match how:
        case "remove":
            api.remove_container(container, force=True)
        case "kill":
            api.kill(container)
        case _:
            api.stop(container, timeout=5)


def processes_with(argument: str) -> list[str]:
    """Return the command lines of this machine's processes that have an argument."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if argument in line.split()]


def runs_as_root() -> bool:
    return os.getuid() == 0
