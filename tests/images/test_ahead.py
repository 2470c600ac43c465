"""What a bisection announces is prepared: grounds and packages, so that builds find them."""

from __future__ import annotations

import time
from pathlib import Path

from service.catalog.targets import Target
from tests.images.local_index import served
from tests.images.memory_engine import MemoryEngine
from tests.images.worlds import OfflineHouse, tiny_index


def test_packages_and_ground_of_what_is_announced_are_there_before_anybody_asks(tmp_path: Path) -> None:
    engine = MemoryEngine()
    with served(tiny_index()) as index:
        house = OfflineHouse(tmp_path, index, engine)
        assert house.runner.name == "docker"
        house.expect("bisection", [(Target("tiny", "9.9"), 0), (Target("tiny", "1.0"), 0), (Target("tiny", "1.1"), 0)])
        until = time.monotonic() + 60
        wanted = {"tiny-1.0-py3-none-any.whl", "tiny-1.1-py3-none-any.whl", "helper-1.0-py3-none-any.whl"}
        while not (wanted <= set(index.asked) and any("ground" in name for name in engine.images)):
            assert time.monotonic() < until, (index.asked, list(engine.images))
            time.sleep(0.05)  # nothing tells when it is there
        assert not any("tiny" in name for name in engine.images), "an image that nobody asked for"
        house.early_images.close()
        index.asked.clear()
        house.images.ensure(house.environments.resolve(Target("tiny", "1.0")))
        assert [name for name in index.asked if "tiny-1.0" in name] == []
        house.close()
