from pathlib import Path

import pytest

from service.errors import DiskFull
from service.execution.disk import GIB, build_bytes, free_bytes, require_room


@pytest.mark.parametrize(("wheel_bytes", "least"), [(0, GIB // 2), (1_000, GIB // 2), (600_000_000, 4 * GIB)])
def test_a_build_is_estimated_from_its_wheel(wheel_bytes: int, least: int) -> None:
    assert build_bytes(wheel_bytes) >= least


def test_free_room_is_told_for_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    free = free_bytes(tmp_path / "a" / "b")
    assert free is not None
    assert free > 0


def test_too_little_room_is_refused_with_both_values(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=r"an image needs 1000000\.0 GB and .* GB are free at .*prune"):
        require_room(tmp_path, 10**15, GIB, "an image")


def test_enough_room_is_no_matter(tmp_path: Path) -> None:
    require_room(tmp_path, 1, 1, "an image")
