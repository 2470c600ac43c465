import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.errors import DiskFull, EngineLost, NoInterpreter, NotInstallable
from service.execution.archives import context_of
from service.execution.build_progress import BuildProgress
from service.execution.docker_images import DockerImages
from service.execution.image_engine import PART, SCRATCH, BuildFailed, LayerOrder
from service.execution.images import reference_of
from tests.images.worlds import Workshop

pytestmark = [pytest.mark.containers, pytest.mark.index]

HARDENED = ["--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--env=HOME=/tmp", "--tmpfs=/tmp"]


def said_by(image: str, *command: str) -> str:
    done = subprocess.run(["docker", "run", *HARDENED, image, *command], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_an_image_runs_hardened_with_its_package_on_the_path(workshop: Workshop) -> None:
    image = workshop.images.ensure(workshop.six())
    code = "import six, os, sys; print(six.__version__, os.getuid() > 0, sys.version_info[:2])"
    assert said_by(image.reference, "python", "-c", code) == "1.16.0 True (3, 10)"


def test_an_image_says_in_labels_what_is_in_it(workshop: Workshop) -> None:
    environment = workshop.six()
    stored = workshop.engine.find(workshop.images.ensure(environment).reference)
    assert stored is not None
    assert stored.labels["org.tfbisect.environment"] == environment.digest
    assert stored.labels["org.tfbisect.packages"] == '{"six":"1.16.0"}'
    assert said_by(stored.id, "cat", "/opt/tfbisect/requirements.lock") == environment.lock.strip()


def test_an_image_carries_the_real_digits(workshop: Workshop) -> None:
    image = workshop.images.ensure(workshop.six())
    listed = said_by(image.reference, "ls", "/opt/tfbisect/datasets/mnist").split()
    assert listed == [
        f"{part}-ubyte" for part in ("t10k-images-idx3", "t10k-labels-idx1", "train-images-idx3", "train-labels-idx1")
    ]


def test_callers_at_the_same_time_wait_for_one_build(workshop: Workshop) -> None:
    environment, steps, lock = workshop.six(), list[BuildProgress](), threading.Lock()

    def note(step: BuildProgress) -> None:
        with lock:
            steps.append(step)

    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: workshop.images.ensure(environment, note), range(4)))
    assert len({image.id for image in made}) == 1
    assert len([image for image in made if image.build_seconds is not None]) == 1
    assert list(dict.fromkeys(step.step for step in steps)) == ["installing", "packing", "importing", "done"]
    assert len([step for step in steps if step.step == "done"]) == 1
    moved = [step.moved_bytes for step in steps if step.step != "installing"]
    assert moved == sorted(moved)
    assert moved[-1] == steps[-1].total_bytes > 0


def test_a_release_that_cannot_be_imported_gives_no_image_and_leaves_nothing(workshop: Workshop) -> None:
    before = all_images()
    environment = workshop.six("1.15.0")
    with pytest.raises(NotInstallable, match=r"six 1\.15\.0 is installed but cannot be imported: .*no_such_module"):
        workshop.images.ensure(environment)
    assert workshop.engine.find(reference_of(environment)) is None
    assert {line for line in all_images() - before if "ground" not in line and "system" not in line} == set()


def test_an_image_of_another_environment_under_the_same_name_is_not_taken(workshop: Workshop) -> None:
    environment = workshop.six()
    ground = workshop.images.ensure(workshop.six("1.14.0"))
    subprocess.run(["docker", "tag", ground.id, reference_of(environment)], check=True)
    assert workshop.images.ensure(environment).id != ground.id


@pytest.mark.parametrize(
    ("moment", "containers"),
    [("step.step == 'packing'", 0), ("step.moved_bytes > step.total_bytes // 3", 1), ("step.step == 'importing'", 1)],
)
def test_a_build_that_was_killed_is_made_again(
    workshop: Workshop, tmp_path: Path, moment: str, containers: int
) -> None:
    workshop.six()
    code = (
        "import sys, os, docker; from pathlib import Path; from tests.images.worlds import Workshop\n"
        "from service.execution.docker_images import DockerImages\n"
        "shop = Workshop(Path(sys.argv[1]), DockerImages(docker.from_env()))\n"
        f"shop.images.ensure(shop.six(), lambda step: {moment} and os._exit(9))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == 9
    assert list((tmp_path / "data" / "builds").iterdir())  # what it was at
    left = scratch()
    assert workshop.engine.find(reference_of(workshop.six())) is None
    assert said_by(workshop.images.ensure(workshop.six()).reference, "python", "-c", "import six; print(1)") == "1"
    assert list((tmp_path / "data" / "builds").iterdir()) == []
    assert left == scratch()  # younger than an hour: it may be another data folder's, in the middle of its work
    workshop.engine.remove_scratch(datetime.now(UTC) + timedelta(seconds=1))
    assert (len(left), scratch()) == (containers, set())


def test_what_is_laid_over_an_image_is_one_layer_and_changes_nothing_else(workshop: Workshop) -> None:
    ground = workshop.images.grounds.ensure("3.10")
    archives = {"/opt/tfbisect": context_of({"one": b"1"}), "/opt/tfbisect/environment": context_of({"two": b"2"})}
    finish = ["sh", "-c", "echo 3 > /tmp/lost; echo 3 > /opt/tfbisect/three"]
    order = LayerOrder(
        ground.id, archives, finish, "tfbisect/laid:1", {PART: "test"}, {"A": "b"}, user="probe", command=["true"]
    )
    laid = workshop.engine.lay(order)
    try:
        below, above = described(ground.id), described(laid.id)
        assert said_by(laid.id, "sh", "-c", "cd /opt/tfbisect; cat one environment/two three; ls /tmp") == "123"
        assert above["RootFS"]["Layers"][:-1] == below["RootFS"]["Layers"]
        config = above["Config"]
        assert (config["Labels"][PART], config["User"], config["Cmd"]) == ("test", "probe", ["true"])
        assert sorted(config["Env"]) == sorted(["A=b", *below["Config"]["Env"]])
        same = ("Entrypoint", "WorkingDir", "Volumes", "ExposedPorts", "OnBuild")
        assert [config.get(name) for name in same] == [below["Config"].get(name) for name in same]
    finally:
        workshop.engine.remove("tfbisect/laid:1")


@pytest.mark.parametrize(
    ("folder", "finish", "error", "words"),
    [
        ("/no/such/folder", "true", EngineLost, "no/such/folder"),
        ("/opt", "echo hopeless; exit 7", BuildFailed, "non-zero code: 7"),
        ("/opt", "echo > /proc/sys/kernel/hostname", BuildFailed, "non-zero code"),
        ("/opt", "mount -t tmpfs none /mnt", BuildFailed, "non-zero code"),
    ],
)
def test_what_cannot_be_laid_leaves_nothing(
    workshop: Workshop, folder: str, finish: str, error: type[Exception], words: str
) -> None:
    ground = workshop.images.grounds.ensure("3.10")
    before = all_images(), scratch()
    archives = {folder: context_of({"one": b"1"})}
    with pytest.raises(error, match=words):
        workshop.engine.lay(LayerOrder(ground.id, archives, ["sh", "-c", finish], "tfbisect/laid:2"))
    assert (all_images(), scratch()) == before


def test_a_nearly_full_disk_is_refused_before_anything_is_begun(tmp_path: Path, engine: DockerImages) -> None:
    workshop = Workshop(tmp_path, engine, disk_reserve_bytes=10**18)
    with pytest.raises(DiskFull, match="tfbisect images prune"):
        workshop.images.ensure(workshop.six())
    assert not (workshop.settings.data_dir / "builds").exists()


def test_a_base_that_neither_registry_nor_host_gives_is_no_interpreter(tmp_path: Path, engine: DockerImages) -> None:
    workshop = Workshop(tmp_path, engine, python_image="localhost:9/python:{python}")
    grounds = workshop.images.grounds
    with pytest.raises(NoInterpreter, match=r"Python 3\.2 is needed.*pyenv install 3\.2"):
        grounds.ensure("3.2")


def described(image: str) -> dict[str, Any]:
    shown = subprocess.run(["docker", "inspect", image], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(shown.stdout)[0]
    return found


def scratch() -> set[str]:
    command = ["docker", "ps", "--all", "--quiet", "--filter", f"label={PART}={SCRATCH}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def all_images() -> set[str]:
    listed = subprocess.run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"], capture_output=True, text=True, check=True
    )
    return {line for line in listed.stdout.splitlines() if "tfbisect/tensorflow" not in line}
