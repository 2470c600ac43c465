"""Files over an image by a real engine: beside its finishing, and as for engines that take no layer alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from service.errors import EngineLost
from service.images.archives import Packed, Tree, empty_archive
from service.images.docker_images import DockerImages
from service.images.engine import PART, BuildFailed, Description, LayerOrder
from tests.images.worlds import Workshop, all_images, said_by, scratch

pytestmark = [pytest.mark.containers, pytest.mark.index]

NAME = "tfbisect/laid:test"
PLACE = "opt/tfbisect/environment/lib/python3.10/site-packages"


@pytest.fixture(params=["beside", "committed"])
def laying(request: pytest.FixtureRequest, workshop: Workshop) -> Iterator[DockerImages]:
    """Return an engine as it is, and one that takes no layer alone, as behind the filter."""
    client = docker.from_env()
    engine = DockerImages(client)
    engine._way = None if request.param == "beside" else "none"
    workshop.engine = workshop.images.engine = engine
    yield engine
    assert (engine._way == "none") is (request.param == "committed")
    engine.remove(NAME)
    client.close()


@pytest.fixture
def ground(workshop: Workshop) -> str:
    return workshop.images.grounds.ensure("3.10").id


def order_of(ground: str, folder: Path, script: str, **rest: Any) -> LayerOrder:
    """Return an order to lay a folder, and to finish it by a script; $1 is where it adds to."""
    tree = Tree({"opt/tfbisect/one": b"1", "opt/a/b/four": b"4"}, Packed(folder, (".",), place=PLACE))
    finish = ["sh", "-c", script, "finish"]
    return LayerOrder(ground, tree.chunks, tree.size_bytes(), folder, f"/{PLACE}", finish, Description(NAME, **rest))


def described(image: str) -> dict[str, Any]:
    shown = subprocess.run(["docker", "inspect", image], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(shown.stdout)[0]
    return found


def test_what_is_laid_comes_on_top_and_changes_nothing_else(laying: DockerImages, ground: str, tmp_path: Path) -> None:
    (tmp_path / "two").write_text("2")
    (tmp_path / "link").symlink_to("./two")
    script = f"mkdir -p $1/opt/c; cat /{PLACE}/link > $1/opt/c/five; echo 3 > /tmp/lost"
    more: dict[str, Any] = {"labels": {PART: "test"}, "variables": {"A": "b"}, "user": "probe", "command": ["true"]}
    laid = laying.lay(order_of(ground, tmp_path, script, **more))
    below, above = described(ground), described(laid.id)
    assert said_by(NAME, "sh", "-c", f"cd /opt; cat tfbisect/one /{PLACE}/two /{PLACE}/link a/b/four c/five") == "12242"
    assert said_by(NAME, "sh", "-c", "ls /tmp; stat -c %a%u / /opt /opt/a /opt/c") == "7550\n7550\n7550\n7550"
    shared = len(below["RootFS"]["Layers"])
    assert above["RootFS"]["Layers"][:shared] == below["RootFS"]["Layers"]
    config = above["Config"]
    assert (config["Labels"][PART], config["User"], config["Cmd"]) == ("test", "probe", ["true"])
    assert sorted(config["Env"]) == sorted(["A=b", *below["Config"]["Env"]])
    same = ("Entrypoint", "WorkingDir", "Volumes", "ExposedPorts", "OnBuild")
    assert [config.get(name) for name in same] == [below["Config"].get(name) for name in same]


@pytest.mark.parametrize(
    "script", ["echo hopeless; exit 7", "echo > /proc/sys/kernel/hostname", "mount -t tmpfs none /mnt"]
)
def test_what_cannot_be_finished_or_reaches_out_leaves_nothing(
    laying: DockerImages, ground: str, tmp_path: Path, script: str
) -> None:
    before = all_images(), scratch()
    with pytest.raises(BuildFailed, match="non-zero code"):
        laying.lay(order_of(ground, tmp_path, script))
    assert (all_images(), scratch()) == before


def test_finishing_cannot_change_the_files_that_it_is_shown(laying: DockerImages, ground: str, tmp_path: Path) -> None:
    """They are links into the cache of all builds."""
    (tmp_path / "two").write_text("2")
    (tmp_path / "two").chmod(0o666)
    laying.lay(order_of(ground, tmp_path, f"echo 3 > /{PLACE}/two; rm /{PLACE}/two; true"))
    assert (tmp_path / "two").read_text() == "2"


def test_a_broken_archive_leaves_nothing(laying: DockerImages, ground: str, tmp_path: Path) -> None:
    before = all_images(), scratch()
    broken = b"no archive" * 512
    order = LayerOrder(ground, lambda: iter((broken,)), len(broken), tmp_path, f"/{PLACE}", ["true"], Description(NAME))
    with pytest.raises(EngineLost, match=r"could not build an image: [^{].*tar.*; its log says more"):
        laying.lay(order)
    assert (all_images(), scratch()) == before


def test_files_that_the_engine_does_not_see_are_laid_all_the_same(ground: str, tmp_path: Path) -> None:
    """As for a coordinator in a container: the engine looks for the folder on its own host."""
    client = docker.from_env()
    engine = DockerImages(client)
    (tmp_path / "two").write_text("2")
    order = order_of(ground, tmp_path, "true")
    elsewhere = LayerOrder(**{**order.__dict__, "folder": Path("/nowhere") / tmp_path.name})
    try:
        assert said_by(engine.lay(elsewhere).id, "cat", f"/{PLACE}/two") == "2"
    finally:
        engine.remove(NAME)
        client.close()


def test_an_empty_layer_is_a_layer(laying: DockerImages, ground: str, tmp_path: Path) -> None:
    nothing = empty_archive()
    order = LayerOrder(
        ground, lambda: iter((nothing,)), len(nothing), tmp_path, f"/{PLACE}", ["true"], Description(NAME)
    )
    assert said_by(laying.lay(order).id, "echo", "1") == "1"


@pytest.mark.parametrize("release", ["1.16.0", "1.14.0"])  # imported, and compiled without being imported
def test_byte_code_in_an_image_is_taken_as_it_is(laying: DockerImages, workshop: Workshop, release: str) -> None:
    image = workshop.images.ensure(workshop.six(release))
    said = said_by(image.reference, "python", "-v", "-c", "import six")
    assert f"/{PLACE}/__pycache__/six.cpython-310.pyc matches /{PLACE}/six.py" in said
    assert "could not create" not in said
