from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nightly.world import Behaviour, NightlyHouse, Site, served_site


@pytest.fixture
def site() -> Iterator[Site]:
    with served_site() as served:
        served.publish("2.0.0", "2.1.0", "2.2.0", "2.3.0")
        yield served


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def house(tmp_path: Path, site: Site, behaviour: Behaviour) -> Iterator[NightlyHouse]:
    opened = NightlyHouse(tmp_path, site, behaviour)
    opened.watch(site)
    yield opened
    opened.close()
