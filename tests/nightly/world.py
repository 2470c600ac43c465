"""A house whose package index is a real server on loopback, and a receiver of webhooks; only the runs are made up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from packaging.version import Version

from service.bisection.outcomes import RunReport
from service.bootstrap import House
from service.catalog.environments import Environment, Environments
from service.catalog.recipes import Recipe
from service.catalog.targets import Target
from service.clock import Clock, utc_now
from service.execution.runner import RunRequest
from service.settings import Settings
from tests.stores import put_empty_store
from tests.web.world import TUTORIAL, MadeUpEnvironments, losses

SECRET = "a key of the team"
WATCH_FILE = """snippet = "model.py"
probe = "dropout"
[[package]]
package = "tensorflow"
releases = "2.0.."
[[notify]]
channel = "webhook"
target = "{address}"
"""


@dataclass
class Site:
    """What a test serves: releases as an index lists them; and what it was sent."""

    address: str = ""
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses of the next answers to webhooks; 200 after them."""
    pause_seconds: float = 0.0
    """How long the index takes to answer."""

    def publish(self, *versions: str, yanked: bool = False) -> None:
        for version in versions:
            self.releases[version] = {"yanked": yanked}

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]

    def listing(self) -> bytes:
        files = [
            {
                "filename": f"tensorflow-{version}-cp38-cp38-manylinux2010_x86_64.whl",
                "url": f"{self.address}/files/tensorflow-{version}.whl",
                "hashes": {},
                "upload-time": "2026-01-01T00:00:00Z",
                "yanked": release["yanked"],
            }
            for version, release in self.releases.items()
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": "tensorflow", "files": files}).encode()


@contextmanager
def served_site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/tensorflow/" not in self.path:
                self.send_error(404)
                return
            time.sleep(site.pause_seconds)
            self._answer(200, site.listing(), "application/vnd.pypi.simple.v1+json")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            site.received.append((dict(self.headers.items()), body))
            self._answer(site.answers.pop(0) if site.answers else 200, b"{}", "application/json")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@dataclass
class Behaviour:
    """What the releases do: Dropout drops before `broken_from`."""

    broken_from: str = "99"
    untestable: frozenset[str] = frozenset()
    recipe: str = "1"
    """A new recipe is another environment."""
    asked: list[str] = field(default_factory=list)
    """Releases that were run to an answer."""
    before_runs: Callable[[threading.Event], object] | None = None
    """What happens as a run begins, once `undisturbed` answers are given; it is handed the event that ends the run."""
    undisturbed: int = 0
    sources: set[str | None] = field(default_factory=set)
    """Where the images came from whose environments were looked at."""

    def __call__(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        if self.before_runs is not None and len(self.asked) >= self.undisturbed:
            self.before_runs(cancelled)
        if cancelled.is_set():
            return RunReport("lost", "cancelled")
        release = request.target.release
        self.asked.append(release)
        if release in self.untestable:
            return RunReport("answered", result={"kind": "untestable", "message": "cannot import tensorflow"})
        broken = Version(release) >= Version(self.broken_from)
        result = {"kind": "measured", "measurements": losses(broken=broken)}
        return RunReport("answered", result=result, exit_code=0, runner="docker")

    def disturb(self, after: int, what: Callable[[threading.Event], object]) -> None:
        """Have something happen in the middle of a bisection, however fast this machine is: after so many answers."""
        self.undisturbed, self.before_runs = after, what


class NightlyHouse(House):
    """The real house, its containers made up."""

    def __init__(
        self, folder: Path, site: Site, behaviour: Behaviour, *, clock: Clock = utc_now, **settings: Any
    ) -> None:
        self.behaviour = behaviour
        watches = folder / "watches"
        watches.mkdir(exist_ok=True)
        put_empty_store(folder / "tfbisect.sqlite3")
        super().__init__(
            Settings(
                data_dir=folder,
                index_url=f"{site.address}/simple/",
                catalog_max_age_seconds=0.001,
                parallel=2,
                confirmations=2,
                watches_dir=watches,
                webhook_secret=SECRET,
                **settings,
            ),
            clock=clock,
        )

    def watch(self, site: Site) -> None:
        assert self.settings.watches_dir is not None
        (self.settings.watches_dir / "model.py").write_text(TUTORIAL)
        (self.settings.watches_dir / "team.toml").write_text(WATCH_FILE.format(address=f"{site.address}/hook"))

    @property
    def environments(self) -> Environments:
        return _Environments(self.behaviour)  # type: ignore[return-value]

    def execute(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        return self.behaviour(request, cancelled)

    _execute = execute


@dataclass
class _Environments(MadeUpEnvironments):
    behaviour: Behaviour

    def known(self, target: Target) -> Environment:
        self.behaviour.sources.add(target.source)
        found = super().known(target)
        recipe = Recipe(f"3.{self.behaviour.recipe}", *[getattr(found.recipe, name) for name in _RECIPE_FIELDS])
        return Environment(target, recipe, found.lock)

    resolve = known


_RECIPE_FIELDS = ("requirement", "module", "cutoff", "platform")
