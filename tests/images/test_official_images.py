"""Official images, pulled by a real engine from a registry on this machine."""

import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from service.catalog.environments import Environment, Environments
from service.catalog.probes import harness_source
from service.catalog.recipes import load_rules, official_recipe, source_of
from service.catalog.releases import Catalog
from service.catalog.targets import ImageSource, Target
from service.errors import NotInstallable, ReleaseUntestable
from service.execution.docker_runner import DockerRunner
from service.execution.limits import limits_of
from service.execution.local_runner import LocalRunner
from service.execution.run_users import CONTAINER_USERS
from service.execution.runner import RunRequest
from service.images.builder import Image, images_for, reference_of
from service.images.docker_images import DockerImages
from service.images.official import OfficialImages
from service.resources import resource_dir
from service.settings import Settings
from tests.catalog.worlds import MemoryCache, an_index, release, wheel
from tests.images.registry import Registry, a_registry
from tests.images.worlds import Workshop

NAME = "tensorflow/tensorflow"
OFFICIAL = Target("tensorflow", "1.12.0", source="official")
INDEX = {
    "tensorflow": [wheel(f"tensorflow-{version}-cp36-cp36m-manylinux1_x86_64.whl") for version in ("1.12.0", "1.13.1")]
}
HARNESS = harness_source(resource_dir("probes"))


def source(version: str) -> str:
    """Return the Dockerfile of an image with a tensorflow of a version and an entry point that is in the way."""
    return (
        "ARG GROUND\nFROM ${GROUND}\nUSER root\n"
        "WORKDIR /opt/tfbisect/environment/lib/python3.10/site-packages\n"
        f"RUN echo \"__version__ = '{version}'\" > tensorflow.py\n"
        'ENTRYPOINT ["/bin/false"]\n'
    )


@dataclass
class Hub:
    """A registry with images, and a service that is told to use it."""

    registry: Registry
    client: docker.DockerClient
    folder: Path
    ground: str
    index: str
    made: list[str] = field(default_factory=list)

    @property
    def engine(self) -> DockerImages:
        return DockerImages(self.client)

    def offer(self, version: str, tag: str = "1.12.0-py3") -> str:
        """Put an image into the registry and take it from the engine again; return its digest."""
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            entry, text = tarfile.TarInfo("Dockerfile"), source(version).encode()
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        context.seek(0)
        made, _ = self.client.images.build(
            fileobj=context, custom_context=True, buildargs={"GROUND": self.ground}, rm=True, network_mode="none"
        )
        digest = self.registry.offer(self.client, made.id, f"{NAME}:{tag}", self.folder)
        self.client.images.remove(made.id, force=True)
        return digest

    def environments(self, **settings: Any) -> Environments:
        chosen = self._settings(**settings)
        official, cache = OfficialImages(self.engine, chosen.registry), MemoryCache()
        return Environments(Catalog(cache, chosen), cache, chosen, official_digest=official.digest)

    def image(self, environments: Environments, target: Target = OFFICIAL) -> Image:
        environment = environments.resolve(target)
        self.made.append(reference_of(environment))
        return images_for(self._settings(), environments, self.engine).ensure(environment)

    def _settings(self, **settings: Any) -> Settings:
        given = {"registry": self.registry.address, "index_url": self.index, "data_dir": self.folder / "data"}
        return Settings(**{**given, **settings})


@pytest.fixture
def hub(tmp_path: Path, engine: DockerImages, workshop: Workshop) -> Iterator[Hub]:
    ground = workshop.images.grounds.ensure("3.10").id  # brings the data sets into the same folder
    client = docker.from_env()
    with a_registry() as registry, an_index(INDEX) as index:
        opened = Hub(registry, client, tmp_path, ground, index)
        yield opened
        for reference in opened.made:
            engine.remove(reference)
    client.close()


@pytest.mark.containers
def test_an_official_image_is_pulled_by_its_tag_rule_and_its_digest_is_part_of_the_environment(hub: Hub) -> None:
    digest = hub.offer("1.12.0")
    environments = hub.environments()
    image = hub.image(environments)
    environment, stored = environments.resolve(OFFICIAL), hub.engine.find(image.reference)
    assert stored is not None
    assert stored.labels["org.tfbisect.official"] == f"{NAME}:1.12.0-py3@{digest}"
    assert environment.packages == {f"{NAME}:1.12.0-py3": digest}
    assert environment.recipe.image == digest
    assert environment.python == ""
    assert f"/v2/{NAME}/manifests/{digest}" in hub.registry.asked


@pytest.mark.containers
def test_a_run_in_an_official_image_answers_under_the_same_hardening(hub: Hub) -> None:
    hub.offer("1.12.0")
    environments = hub.environments()
    hub.made.append(reference_of(environments.resolve(OFFICIAL)))
    images = images_for(hub._settings(), environments, hub.engine)
    runner = DockerRunner(hub.client, environments, images, limits_of(Settings()), harness_source=HARNESS)
    probe = "def run(context):\n    return {'seen': context.execute()['seen']}\n"
    snippet = (
        "import os, socket, tensorflow\n"
        "def refused(call, *words):\n"
        "    try:\n        call(*words)\n    except OSError:\n        return True\n"
        "seen = [tensorflow.__version__, os.getuid() in range(FIRST, FIRST + COUNT), refused(open, '/opt/x', 'w'),\n"
        "        refused(socket.create_connection, ('127.0.0.1', PORT), 1)]\n"
    )
    snippet = snippet.replace("PORT", hub.registry.address.partition(":")[2])
    snippet = snippet.replace("FIRST", str(CONTAINER_USERS.first)).replace("COUNT", str(CONTAINER_USERS.count))
    request = RunRequest("official", OFFICIAL, HARNESS, probe, "tensorflow", snippet, {}, 60.0)
    report = runner.run(request, threading.Event())
    runner.close()
    assert report.result == {"kind": "measured", "measurements": {"seen": ["1.12.0", True, True, True]}}
    assert report.packages[f"{NAME}:1.12.0-py3"].startswith("sha256:")
    assert report.packages["tensorflow"] == "1.12.0"
    assert report.python.startswith("3.10")


@pytest.mark.containers
def test_an_official_image_goes_whole_when_its_release_s_image_is_removed(hub: Hub) -> None:
    before = {image.id for image in hub.client.images.list(all=True)}
    digest = hub.offer("1.12.0")
    image = hub.image(hub.environments())
    assert hub.engine.find(f"{hub.registry.address}/{NAME}@{digest}") is None
    hub.engine.remove(image.reference)
    assert {image.id for image in hub.client.images.list(all=True)} <= before


@pytest.mark.containers
def test_an_image_that_was_here_before_keeps_its_name(hub: Hub) -> None:
    digest = hub.offer("1.12.0")
    reference = f"{hub.registry.address}/{NAME}:1.12.0-py3"
    hub.engine.pull(reference)
    asked = len(hub.registry.asked)
    hub.image(hub.environments())
    kept = hub.engine.find(reference)
    assert kept is not None
    assert kept.digest == digest
    assert len(hub.registry.asked) == asked
    hub.engine.remove(reference)


@pytest.mark.containers
def test_a_tag_stands_for_one_digest_once_it_was_asked_for(hub: Hub) -> None:
    first = hub.offer("1.12.0")
    environments = hub.environments()
    environments.resolve(OFFICIAL)
    hub.offer("1.12.0 ")
    assert environments.resolve(OFFICIAL).recipe.image == first
    known = environments.known(OFFICIAL)
    assert known is not None
    assert known.recipe.image == first
    assert hub.environments().resolve(OFFICIAL).recipe.image != first


@pytest.mark.containers
def test_an_official_image_of_another_version_is_not_taken(hub: Hub) -> None:
    hub.offer("1.11.0")
    environments = hub.environments()
    with pytest.raises(NotInstallable, match=r"tensorflow is 1\.11\.0 here, not 1\.12\.0"):
        hub.image(environments)


@pytest.mark.containers
def test_cuda_10_and_older_go_to_the_official_image_and_are_never_built(hub: Hub) -> None:
    hub.offer("1.12.0", "1.12.0-gpu-py3")
    environments = hub.environments()
    for asked in (None, "built"):
        target = Target("tensorflow", "1.12.0", "cuda", asked)
        assert environments.resolve(target).recipe.requirement == f"{NAME}:1.12.0-gpu-py3"


@pytest.mark.containers
def test_an_official_image_that_cannot_be_pulled_makes_the_release_untestable_and_says_what_to_do(hub: Hub) -> None:
    with pytest.raises(
        NotInstallable,
        match=rf"{NAME}:1\.12\.0-gpu-py3 cannot be pulled: .*manifest unknown.*TFBISECT_REGISTRY.*docker load",
    ):
        hub.environments().resolve(Target("tensorflow", "1.12.0", "cuda"))
    with pytest.raises(NotInstallable, match=r"127\.0\.0\.1:9/.* cannot be pulled: .*TFBISECT_REGISTRY"):
        hub.environments(registry="127.0.0.1:9").resolve(OFFICIAL)


def test_without_an_engine_an_official_image_is_untestable(tmp_path: Path) -> None:
    with an_index(INDEX) as index:
        settings, cache = Settings(index_url=index, data_dir=tmp_path), MemoryCache()
        environments = Environments(Catalog(cache, settings), cache, settings)
        with pytest.raises(ReleaseUntestable, match="start Docker"):
            environments.resolve(OFFICIAL)


def test_the_local_runner_does_not_take_an_official_image_s_place(tmp_path: Path) -> None:
    with an_index(INDEX) as index:
        settings, cache = Settings(index_url=index, data_dir=tmp_path), MemoryCache()
        environments = Environments(Catalog(cache, settings), cache, settings, official_digest=lambda _: "sha256:1")
        runner = LocalRunner(environments, limits_of(settings), tmp_path, lambda _: None)
        report = runner.run(RunRequest("x", OFFICIAL, HARNESS, "", "tensorflow", "", {}, 9.0), threading.Event())
    assert (report.ending, "containers only" in report.reason) == ("unprepared", True)


@pytest.mark.parametrize(
    ("usual", "target", "found"),
    [
        ("built", Target("tensorflow", "2.10.0"), "built"),
        ("official", Target("tensorflow", "2.10.0"), "official"),
        ("official", Target("tensorflow", "2.10.0", source="built"), "built"),
        ("official", Target("six", "1.16.0"), "built"),
        ("built", Target("six", "1.16.0", source="official"), "official"),
        ("built", Target("tensorflow", "2.3.4", "cuda", "built"), "official"),
    ],
)
def test_the_source_is_as_the_rules_demand_else_as_asked_else_as_usual(
    usual: ImageSource, target: Target, found: ImageSource
) -> None:
    assert source_of(target, load_rules(resource_dir("images") / "recipes.toml"), usual) == found


def test_a_package_without_official_images_says_so_where_they_are_asked_for(tmp_path: Path) -> None:
    with an_index({"six": [wheel("six-1.16.0-py3-none-any.whl")]}) as index:
        settings, cache = Settings(index_url=index, data_dir=tmp_path), MemoryCache()
        environments = Environments(Catalog(cache, settings), cache, settings)
        with pytest.raises(ReleaseUntestable, match="use --image-source built"):
            environments.resolve(Target("six", "1.16.0", source="official"))


def test_built_and_official_answers_are_kept_apart(tmp_path: Path) -> None:
    target = Target("tensorflow", "1.12.0")
    one, two = (
        Environment(target, recipe, "")
        for recipe in (
            official_recipe(f"{NAME}:1.12.0-py3", "sha256:1", release("1.12.0")),
            official_recipe(f"{NAME}:1.12.0-py3", "sha256:2", release("1.12.0")),
        )
    )
    assert one.digest != two.digest
