"""A small package built for real: the way of a framework in seconds."""

from __future__ import annotations

from pathlib import Path

from service.catalog.environments import Environment, Environments
from service.catalog.recipes import load_rules
from service.catalog.releases import Catalog
from service.execution.docker_images import DockerImages
from service.execution.images import Images, images_for
from service.execution.runner import Target
from service.settings import Settings
from tests.catalog.worlds import MemoryCache

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
"""


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
