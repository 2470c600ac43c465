"""A world to break: a package of made-up releases on an index of its own, a real service, and what must come out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from sqlalchemy import create_engine, text

from service.scratch import is_held
from service.storage.engine import parse_url
from tests.faults.wounded import VARIABLE
from tests.images.local_index import LocalIndex

PACKAGE = "wanderer"
TRUTH = {"1.0": "calm", "2.0": "calm", "3.0": "calm", "4.0": "wild", "5.0": "wild", "6.0": "calm"}
"""Release -> what it says."""
CHANGES = [("3.0", "4.0"), ("5.0", "6.0")]
SNIPPET = """
import time
import wanderer

print("mood:", wanderer.MOOD)
time.sleep({seconds})
tfbisect_report("mood", wanderer.MOOD)
# {mark}
"""
PATIENCE_SECONDS = 240.0
"""How long a bisection may take once its world is whole again; a minute of it is the lease of a dead coordinator."""
REPOSITORY = Path(__file__).parents[2]
PACE_SECONDS = 0.1
_Answer = TypeVar("_Answer")


class NotAsExpected(AssertionError):
    """A world did not do what its row waits for."""


def wanderer_index() -> LocalIndex:
    """Return an index with the made-up package, and without the data sets of real ones."""
    index = LocalIndex()
    for number, (release, mood) in enumerate(TRUTH.items(), 1):
        index.wheel(PACKAGE, release, f"2021-{number:02}-01", code=f"__version__ = {release!r}\nMOOD = {mood!r}\n")
    return index


def wait_until(what: str, ask: Callable[[], _Answer | None], seconds: float = PATIENCE_SECONDS) -> _Answer:
    """Ask again and again until the answer is true.

    Raises:
        NotAsExpected: it never was.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(PACE_SECONDS)
    raise NotAsExpected(f"after {seconds:g} s still not: {what}")


@dataclass
class World:
    """A folder, a database, an index, and the settings that lead a service to them."""

    folder: Path
    index: LocalIndex
    settings: dict[str, str] = field(default_factory=dict)
    database_url: str = ""
    services: list[Service] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """Return the data folder of the services."""
        return self.folder / "data"

    @property
    def clock(self) -> Path:
        """Return the file that shifts the clock of every service here."""
        return self.folder / "clock"

    @property
    def runs(self) -> Path:
        """Return the file in which every run that began has a line."""
        return self.folder / "runs"

    @property
    def store_url(self) -> str:
        """Return the database's URL."""
        return self.database_url or f"sqlite:///{self.data / 'tfbisect.sqlite3'}"

    def environment(self, wound: Mapping[str, Any]) -> dict[str, str]:
        """Return the variables of a service in this world."""
        ours = {
            "TFBISECT_DATA_DIR": str(self.data),
            "TFBISECT_CACHE_DIR": str(self.folder / "cache"),
            "TFBISECT_DATABASE_URL": self.database_url,
            "TFBISECT_INDEX_URL": self.index.url,
            "TFBISECT_RUNNER": "local",
            "TFBISECT_PARALLEL": "2",
            "TFBISECT_WARM_RUNS": "0",
            "TFBISECT_DISK_RESERVE_BYTES": "1000000",
            "TMPDIR": str(self.folder / "tmp"),
            VARIABLE: json.dumps({"clock": str(self.clock), "runs": str(self.runs), **wound}),
        }
        return {**os.environ, **ours, **self.settings}

    def serve(self, *options: str, listens: bool = True, **wound: Any) -> Service:
        """Start a service and wait until it answers; one with a wound may be dead before."""
        service = Service(self, options, wound, listens=listens)
        self.services.append(service)
        if listens:
            service.wait_until_it_listens()
        return service

    def shift_clock(self, seconds: float) -> None:
        """Let every service here live that many seconds from now."""
        written = self.clock.with_suffix(".new")
        written.write_text(str(seconds), encoding="ascii")
        written.replace(self.clock)

    def processes(self) -> list[str]:
        """Return the command lines of what runs out of this world, but for services that are meant to run."""
        wanted = {service.process.pid for service in self.services if service.process.poll() is None}
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in wanted:
                with suppress(OSError):
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if str(self.folder) in words and "tests.faults" not in words:
                        found.append(words[:120])
        return found

    def homes(self) -> list[str]:
        """Return the folders of runs that are still there."""
        found = list((self.folder / "tmp").glob("tfbisect-*"))
        held = [folder for folder in found if is_held(folder)]
        return [path.name for path in found if path not in held] + [
            path.name for each in held for path in each.iterdir()
        ]

    def containers(self) -> list[str]:
        """Return the containers that are still there, where the services have an engine of their own."""
        return []

    def rows(self, query: str) -> list[Any]:
        """Ask the database, beside every service."""
        engine = create_engine(parse_url(self.store_url))
        try:
            with engine.connect() as connection:
                return list(connection.execute(text(query)))
        finally:
            engine.dispose()

    def close(self) -> None:
        """End every service."""
        for service in self.services:
            service.end()


class Service:
    """One `tfbisect serve` in a process of its own."""

    def __init__(self, world: World, options: Sequence[str], wound: Mapping[str, Any], *, listens: bool) -> None:
        self.world = world
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = world.folder / f"service-{len(world.services)}.log"
        command = [sys.executable, "-m", "tests.faults.wounded", "serve", *options]
        command += ["--port", str(self.port)] if listens else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=world.environment(wound), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def wait_until_it_listens(self) -> None:
        """Wait until it answers, or is dead."""
        wait_until(f"{self.url} answers", lambda: self.is_dead() or self.status("/healthz") == 200)

    def is_dead(self) -> bool:
        """Say whether the process has ended."""
        return self.process.poll() is not None

    def wait_until_it_died(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until its wound has killed it."""
        wait_until("the service died of its wound", self.is_dead, seconds)
        if self.process.returncode != -signal.SIGKILL:
            raise NotAsExpected(f"the service ended with {self.process.returncode}: {self.words()[-500:]}")

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Tell it to stop, and see to it that it does."""
        if not self.is_dead():
            self.process.terminate()
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.kill()

    def words(self) -> str:
        """Return what it logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def status(self, path: str) -> int:
        """Return the status of a page, 0 where nobody answers."""
        try:
            return httpx.get(self.url + path, timeout=20).status_code
        except httpx.HTTPError:
            return 0

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON that a call is answered with, or None where nobody answers."""
        try:
            return httpx.request(method, f"{self.url}/api/v1{path}", timeout=60, **options).json()
        except (httpx.HTTPError, ValueError):
            return None

    def submit(self, mark: str = "", seconds: float = 0.0, **more: Any) -> str:
        """Submit the bisection of this world and return its id; "" where the service did not take it."""
        answer = self.ask("POST", "/bisections", json=request(mark, seconds, **more))
        return str((answer or {}).get("id", ""))

    def bisection(self, bisection_id: str) -> dict[str, Any] | None:
        """Return a bisection, None where nobody answers."""
        answer = self.ask("GET", f"/bisections/{bisection_id}")
        return answer if answer and "status" in answer and "id" in answer else None

    def ended(self, bisection_id: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait for the end of a bisection and return it."""

        def over() -> dict[str, Any] | None:
            found = self.bisection(bisection_id)
            return found if found and found["status"] in {"done", "failed", "cancelled"} else None

        return wait_until(f"bisection {bisection_id} has ended", over, seconds)


def request(mark: str = "", seconds: float = 0.0, **more: Any) -> dict[str, Any]:
    """Return the request that every row makes; the mark makes it a question of its own."""
    snippet = SNIPPET.format(seconds=seconds, mark=mark)
    return {"snippet": snippet, "probe": "script", "package": PACKAGE, "releases": "..", "branches": "none", **more}


@contextmanager
def world(folder: Path, index: LocalIndex, kind: type[World] = World, **settings: str) -> Iterator[World]:
    """Make a world in a folder and clear it away."""
    made = kind(folder, index, settings)
    for name in ("data/datasets/mnist", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """Give a folder that the users of runs can reach, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix=f"tfbisect-faults-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
