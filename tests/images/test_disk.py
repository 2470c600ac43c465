from pathlib import Path

import pytest

from service.catalog.targets import Target
from service.errors import DiskFull
from service.images.disk import GIB, build_bytes, download_bytes, free_bytes, require_room, unpacked_bytes
from tests.images.local_index import served
from tests.images.memory_engine import MemoryEngine
from tests.images.worlds import OfflineHouse, tiny_index


@pytest.mark.parametrize(("wheel_bytes", "least"), [(0, GIB // 2), (1_000, GIB // 2), (600_000_000, 4 * GIB)])
def test_a_build_is_estimated_from_its_wheel(wheel_bytes: int, least: int) -> None:
    assert build_bytes(Target("tensorflow", "2.10.0"), wheel_bytes) >= least


def test_free_room_is_told_for_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    free = free_bytes(tmp_path / "a" / "b")
    assert free is not None
    assert free > 0


def test_too_little_room_is_refused_with_both_values(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=r"an image needs 1000000\.0 GB and .* GB are free at .*prune"):
        require_room(tmp_path, 10**15, GIB, "an image")


def test_enough_room_is_no_matter(tmp_path: Path) -> None:
    require_room(tmp_path, 1, 1, "an image")


def test_an_image_with_cuda_is_estimated_with_its_libraries() -> None:
    """2.10.0: a wheel of 578 MB and an image of 4.66 GB, 240 MB of it the ground."""
    target = Target("tensorflow", "2.10.0", "cuda")
    assert 4e9 < unpacked_bytes(target, 578_000_000) < 7e9
    assert download_bytes(target, 578_000_000) > 2e9
    assert build_bytes(target, 578_000_000) > 3 * 4_420_000_000


@pytest.mark.parametrize(("budget_bytes", "kept"), [(1, False), (10**9, True)])
def test_a_run_that_builds_an_image_keeps_the_downloads_within_their_budget(
    tmp_path: Path, budget_bytes: int, kept: bool
) -> None:
    with served(tiny_index()) as index:
        house = OfflineHouse(tmp_path, index, MemoryEngine(), package_budget_bytes=budget_bytes)
        house.images.ensure(house.environments.resolve(Target("tiny", "1.0")))
        downloads = house.environments.uv.cache_dir
        house.close()
    assert any(path.name == "helper.py" for path in downloads.rglob("*")) == kept
