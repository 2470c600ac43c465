"""Workshops: a small package built for real, the way of a framework in seconds; and made-up ones built offline."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from service.bisection.outcomes import RunReport
from service.bootstrap import House
from service.catalog.environments import Environment, Environments
from service.catalog.recipes import load_rules
from service.catalog.releases import Catalog
from service.catalog.targets import Target
from service.execution.runner import Runner, RunRequest
from service.images.builder import Images, images_for
from service.images.docker_images import DockerImages
from service.images.engine import PART, SCRATCH, ImageEngine
from service.settings import Settings
from tests.catalog.worlds import MemoryCache
from tests.images.local_index import LocalIndex

RULES = """
[defaults]
margin_days = 7
platform = "x86_64-manylinux_2_28"

[[rule]]
packages = ["six"]
requirement = "{package}=={release}"
module = "six"
pythons = ["3.10", "3.6"]

[[rule]]
packages = ["six"]
releases = "==1.15.*"
module = "no_such_module"

[[rule]]
packages = ["six"]
releases = "==1.14.*"
module = ""
"""


HARDENED = ["--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--env=HOME=/tmp", "--tmpfs=/tmp"]


def said_by(image: str, *command: str) -> str:
    """Return what a command prints in a hardened container of an image."""
    done = subprocess.run(["docker", "run", *HARDENED, image, *command], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def scratch() -> set[str]:
    """Return the containers that verbs of the engine are at work in."""
    command = ["docker", "ps", "--all", "--quiet", "--filter", f"label={PART}={SCRATCH}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def all_images() -> set[str]:
    """Return the images that are here, by name and id, but for those of TensorFlow."""
    listed = subprocess.run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"], capture_output=True, text=True, check=True
    )
    return {line for line in listed.stdout.splitlines() if "tfbisect/tensorflow" not in line}


class Workshop:
    """Builds images of the package six under a data folder of its own."""

    def __init__(self, folder: Path, engine: DockerImages, **settings: object) -> None:
        self.settings = Settings(data_dir=folder / "data", **settings)  # type: ignore[arg-type]
        rules = folder / "recipes.toml"
        rules.write_text(RULES)
        cache = MemoryCache()
        self.environments = Environments(Catalog(cache, self.settings), cache, self.settings)
        self.environments.rules = load_rules(rules)
        self.engine = engine
        self.images: Images = images_for(self.settings, self.environments, engine)

    def six(self, release: str = "1.16.0") -> Environment:
        return self.environments.resolve(Target("six", release))


OFFLINE_RULES = """
[defaults]
margin_days = 7
platform = "x86_64-manylinux_2_28"

[[rule]]
packages = ["tiny"]
requirement = "{package}=={release}"
module = "tiny"
pythons = ["3.11"]
"""


def tiny_index() -> LocalIndex:
    """Return an index with three releases of a package and its dependency, which moved on after the first two."""
    index = LocalIndex()
    index.wheel("helper", "1.0", "2020-01-01")
    index.wheel("helper", "2.0", "2020-06-01")
    for version, uploaded in (("1.0", "2020-02-01"), ("1.1", "2020-03-01"), ("2.0", "2020-07-01")):
        index.wheel("tiny", version, uploaded, requires="helper>=1")
    return index


class OfflineHouse(House):
    """A house over a local index and an engine in memory; everything between them is real."""

    def __init__(self, folder: Path, index: LocalIndex, engine: ImageEngine, **settings: Any) -> None:
        ours = {"data_dir": folder / "data", "cache_dir": None, "index_url": index.url, "base_image": "registry"}
        super().__init__(Settings(**{**ours, "disk_reserve_bytes": 1, **settings}))
        # Else the digits would be looked for, in vain, before the first image.
        (self.settings.data_dir / "datasets" / "mnist").mkdir(parents=True, exist_ok=True)
        self._rules = folder / "offline.toml"
        self._rules.write_text(OFFLINE_RULES)
        self._engine = engine
        self.answers: dict[str, RunReport] = {}
        """Release -> what its probe reports."""

    @cached_property
    def environments(self) -> Environments:
        made = Environments(self.catalog, self.store, self.settings)
        made.rules = load_rules(self._rules)
        return made

    @cached_property
    def images(self) -> Images:
        return images_for(self.settings, self.environments, self._engine)

    @cached_property
    def runner(self) -> Runner:
        return MadeUpRunner(self.answers)


class MadeUpRunner:
    """Reports what a test says."""

    name = "docker"

    def __init__(self, answers: dict[str, RunReport]) -> None:
        self._answers = answers
        self.asked: list[Target] = []

    def prepare(self, target: Target) -> None:
        """Nothing to make."""

    def warm(self, target: Target, framework: str, process: int = 0) -> None:
        """Nothing to start."""

    def stand(self, target: Target, framework: str, process: int = 0) -> bool:
        return False

    def waiting(self) -> int:
        return 0

    def expect(self, submission: str, wanted: Sequence[tuple[Target, int]]) -> None:
        """Keep nothing."""

    def end(self, bisection_id: str) -> None:
        """Nothing waits."""

    def run(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        self.asked.append(request.target)
        return self._answers[request.target.release]

    def missing_protections(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """Nothing to stop."""
