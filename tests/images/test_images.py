import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.catalog.targets import Target
from service.errors import DiskFull, NoInterpreter, NotInstallable
from service.images.builder import reference_of
from service.images.docker_images import DockerImages
from service.images.known import KnownImages
from service.images.progress import BuildProgress
from tests.images.worlds import Workshop, all_images, said_by, scratch

pytestmark = [pytest.mark.containers, pytest.mark.index]


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


def test_additions_lie_over_the_image_of_the_release_with_their_byte_code(workshop: Workshop) -> None:
    environment = workshop.environments.resolve(Target("six", "1.16.0", additions=("iniconfig",)))
    image = workshop.images.ensure(environment)
    below, stored = (workshop.engine.find(reference_of(each)) for each in (environment.below, environment))
    assert below is not None
    assert stored is not None
    assert stored.labels["org.tfbisect.added"].startswith("iniconfig==1")
    code = "import six, iniconfig, os; print(six.__version__, os.getuid() > 0, os.path.exists(iniconfig.__cached__))"
    assert said_by(image.reference, "python", "-c", code) == "1.16.0 True True"
    rows = {row.image: row for row in workshop.images.shelf.rows() if row.package == "six"}
    assert rows[image.reference].added == stored.labels["org.tfbisect.added"]
    assert 0 < rows[image.reference].own_bytes < 1_000_000
    assert KnownImages(lambda: [stored])("six", "cpu") == set()


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
    ("by_load", "moment", "containers"),
    [
        (True, "step.step == 'packing'", 0),
        (True, "step.step == 'importing'", 1),
        (False, "step.moved_bytes > step.total_bytes // 3", 1),
        (False, "step.step == 'importing'", 1),
    ],
)
def test_a_build_that_was_killed_is_made_again(
    workshop: Workshop, tmp_path: Path, by_load: bool, moment: str, containers: int
) -> None:
    workshop.six()
    code = (
        "import sys, os, docker; from pathlib import Path; from tests.images.worlds import Workshop\n"
        "from service.images.docker_images import DockerImages\n"
        "shop = Workshop(Path(sys.argv[1]), DockerImages(docker.from_env()))\n"
        f"shop.engine._way = {None if by_load else 'none'!r}\n"
        f"shop.images.ensure(shop.six(), lambda step: {moment} and os._exit(9))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == 9
    assert list((tmp_path / "data" / "builds").iterdir())  # what it was at
    left = scratch()
    assert len(left) == containers
    assert workshop.engine.find(reference_of(workshop.six())) is None
    assert said_by(workshop.images.ensure(workshop.six()).reference, "python", "-c", "import six; print(1)") == "1"
    assert list((tmp_path / "data" / "builds").iterdir()) == []
    assert not left & scratch()  # young, but nobody's: its process is gone


def test_a_nearly_full_disk_is_refused_before_anything_is_begun(tmp_path: Path, engine: DockerImages) -> None:
    workshop = Workshop(tmp_path, engine, disk_reserve_bytes=10**18)
    with pytest.raises(DiskFull, match="tfbisect images prune"):
        workshop.images.ensure(workshop.six())
    assert not (workshop.settings.data_dir / "builds").exists()


def test_a_full_disk_is_found_out_once_and_not_by_each_release(
    tmp_path: Path, engine: DockerImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(tmp_path, engine, disk_reserve_bytes=10**18)
    looked: list[object] = []
    look = workshop.images._require_room

    def counted(*words: Any) -> None:
        looked.append(words)
        look(*words)

    monkeypatch.setattr(workshop.images, "_require_room", counted)
    said = set()
    for _ in range(3):
        with pytest.raises(DiskFull) as refused:
            workshop.images.ensure(workshop.six())
        said.add(refused.value.message)
    assert (len(looked), len(said)) == (1, 1)


def test_a_base_that_neither_registry_nor_host_gives_is_no_interpreter(tmp_path: Path, engine: DockerImages) -> None:
    workshop = Workshop(tmp_path, engine, python_image="localhost:9/python:{python}")
    grounds = workshop.images.grounds
    with pytest.raises(NoInterpreter, match=r"Python 3\.2 is needed.*pyenv install 3\.2"):
        grounds.ensure("3.2")
