"""Many images at once, offline: real resolution and installation, an engine in memory."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from service.catalog.targets import Target
from service.errors import EngineLost
from service.images.builder import leave_out, reference_of
from service.images.engine import BuildFailed, LayerOrder, StoredImage
from service.images.orders import BuildForecast, BuildResult, build_all, forecast_build, shortage
from service.images.progress import BuildProgress
from service.images.shelf import REMNANT_AGE
from tests.images.local_index import LocalIndex, served
from tests.images.memory_engine import LAYER, MemoryEngine
from tests.images.worlds import OfflineHouse, tiny_index

GB = 10**9
SITE_PACKAGES = "opt/tfbisect/environment/lib/python3.11/site-packages"
TARGETS = [Target("tiny", version) for version in ("1.0", "1.1", "2.0")]


class Order:
    """A house, and an order that was given in it."""

    def __init__(self, folder: Path, index: LocalIndex, engine: MemoryEngine, **settings: Any) -> None:
        self.house = OfflineHouse(folder, index, engine, **settings)
        self.engine = engine
        self.told: list[BuildProgress] = []

    def build(self, *targets: Target) -> list[BuildResult]:
        house = self.house
        return build_all(targets or TARGETS, house.environments, house.images, house.settings, self.told.append)

    def estimate(self) -> BuildForecast:
        return forecast_build(TARGETS, self.house.environments, self.house.images, parallel=2)

    def here(self) -> list[str]:
        return sorted(row.release for row in self.house.images.shelf.rows())

    def reference(self, target: Target) -> str:
        return reference_of(self.house.environments.resolve(target))

    def last_used(self, target: Target, minutes_ago: float) -> None:
        """Make an image be used last some time ago."""
        mark = self.house.images.shelf._mark(self.reference(target))
        moment = datetime.now(UTC).timestamp() - minutes_ago * 60
        os.utime(mark, (moment, moment))


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with served(tiny_index()) as answering:
        yield answering


@pytest.fixture
def order(tmp_path: Path, index: LocalIndex) -> Iterator[Order]:
    opened = Order(tmp_path, index, MemoryEngine())
    yield opened
    opened.house.close()


def test_all_that_is_ordered_is_built_with_its_packages(order: Order) -> None:
    results = order.build()
    assert [(result.release, result.image, result.reason) for result in results] == [
        (target.release, order.reference(target), "") for target in TARGETS
    ]
    with tarfile.open(fileobj=BytesIO(order.engine.contents[results[2].image][LAYER])) as packed:
        assert {f"{SITE_PACKAGES}/{name}.py" for name in ("tiny", "helper")} <= set(packed.getnames())


def test_what_an_image_goes_without_stays_in_the_cache_that_it_is_linked_from(tmp_path: Path) -> None:
    cache, folder = tmp_path / "cache", tmp_path / "packages"
    names = ("p/include/a.h", "p/include/deep/b.h", "p/lib/c.a", "p/lib/c.so", "bin/run", "kept.py")
    for name in names:
        for root in (cache, folder):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text(name)
        (folder / name).hardlink_to(cache / name)
    leave_out(folder, ("bin", ".lock", "p/include/*", "p/lib/*.a"))
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "p/lib/c.so", "kept.py"
    }  # fmt: skip
    assert [(cache / name).read_text() for name in names] == list(names)


def test_an_image_says_what_its_packages_came_from(order: Order) -> None:
    order.build(TARGETS[1])
    environment = order.house.environments.resolve(TARGETS[1])
    (row,) = [row.to_json() for row in order.house.images.shelf.rows()]
    assert row["packages"] == {"helper": "1.0", "tiny": "1.1"}
    assert row["cutoff"] == "2020-03-08T10:00:00+00:00"
    assert (row["recipe"], row["environment"]) == (environment.recipe_digest, environment.digest)
    assert row["lock"].startswith("sha256:")
    assert row["ground"].startswith("sha256:")


def test_two_builds_on_two_machines_have_the_same_package_list_and_digests(tmp_path: Path, index: LocalIndex) -> None:
    rows = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        order = Order(tmp_path / name, index, MemoryEngine())
        order.build(TARGETS[1])
        index.wheel("helper", "3.0", "2024-01-01")
        rows += [row.to_json() for row in order.house.images.shelf.rows()]
        packed = order.engine.contents[order.reference(TARGETS[1])][LAYER]
        rows[-1]["packed"] = packed
        order.house.close()
    same = ("lock", "packages", "recipe", "environment", "cutoff", "packed")
    assert [rows[0][name] for name in same] == [rows[1][name] for name in same]


def test_what_cannot_be_built_stops_no_other_and_is_told(order: Order, index: LocalIndex) -> None:
    index.wheel("tiny", "1.2", "2020-04-01", requires="helper>=9")
    targets = [TARGETS[0], Target("tiny", "1.2"), Target("tiny", "1.7"), TARGETS[1]]
    results = order.build(*targets)
    assert [bool(result.image) for result in results] == [True, False, False, True]
    assert "cannot be resolved" in results[1].reason
    assert "not on the package index" in results[2].reason
    assert not any(result.lost for result in results)
    assert sorted(step.target.release for step in order.told if step.step == "failed") == ["1.2", "1.7"]


def test_an_engine_that_goes_away_once_loses_one_image_and_the_next_call_builds_it(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    laying, gone = order.engine.lay, iter([True])

    def lay(request: LayerOrder) -> StoredImage:
        if request.result.reference == order.reference(TARGETS[1]) and next(gone, False):
            raise EngineLost("the engine went away")
        return laying(request)

    monkeypatch.setattr(order.engine, "lay", lay)
    first = order.build()
    assert [(result.lost, result.reason) for result in first] == [
        (False, ""), (True, "the engine went away"), (False, "")
    ]  # fmt: skip
    order.told.clear()
    assert all(result.image for result in order.build())
    assert {step.target.release for step in order.told} == {"1.1"}


def test_a_release_that_cannot_be_imported_has_no_image_and_a_reason(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lay(request: LayerOrder) -> StoredImage:
        raise BuildFailed("the command returned a non-zero code: 1", "Traceback\nImportError: no tiny here")

    monkeypatch.setattr(order.engine, "lay", lay)
    (result,) = order.build(TARGETS[0])
    assert result.reason == "tiny 1.0 is installed but cannot be imported: ImportError: no tiny here"
    assert not result.lost


def test_a_budget_prunes_the_least_recently_used_and_building_goes_on(tmp_path: Path, index: LocalIndex) -> None:
    order = Order(tmp_path, index, MemoryEngine(), image_budget_bytes=1)
    for target in TARGETS:
        assert order.build(target)[0].image
        order.last_used(target, minutes_ago=60 - int(target.release[0]))
    assert order.here() == ["2.0"]
    order.build(TARGETS[0])
    assert order.here() == ["1.0"]
    order.house.close()


def test_a_budget_never_takes_what_a_container_is_made_of(tmp_path: Path, index: LocalIndex) -> None:
    order = Order(tmp_path, index, MemoryEngine(), image_budget_bytes=1)
    order.build(TARGETS[0])
    order.last_used(TARGETS[0], minutes_ago=600)
    order.engine.used.add(f"sha256:{order.reference(TARGETS[0])}")
    order.build(TARGETS[1])
    assert order.here() == ["1.0", "1.1"]
    order.house.close()


def test_each_use_counts_for_the_order_in_which_images_go(order: Order) -> None:
    order.build(*TARGETS[:2])
    order.last_used(TARGETS[0], minutes_ago=90)
    order.last_used(TARGETS[1], minutes_ago=60)
    order.house.images.used(order.house.environments.resolve(TARGETS[0]))
    assert [row.release for row in order.house.images.shelf.rows()] == ["1.0", "1.1"]


def test_what_dead_builds_left_is_gone_after_the_next_build(order: Order) -> None:
    now = datetime.now(UTC)
    old = StoredImage("sha256:old", (), {}, 1, now - 2 * REMNANT_AGE)
    fresh = StoredImage("sha256:fresh", (), {}, 1, now - timedelta(minutes=1))
    order.engine.left_behind = [old, fresh]
    order.engine.scratch = {"old": now - 2 * REMNANT_AGE, "fresh": now - timedelta(minutes=1)}
    scratch = order.house.settings.data_dir / "builds" / "tmpdead" / "packages"
    scratch.mkdir(parents=True)
    order.build(TARGETS[0])
    assert order.engine.left_behind == [fresh]  # it may be another data folder's, in the middle of its work
    assert list(order.engine.scratch) == ["fresh"]
    assert list((order.house.settings.data_dir / "builds").iterdir()) == []


def test_an_estimate_counts_what_is_missing_only(order: Order) -> None:
    before = order.estimate()
    assert (before.total, before.missing) == (3, 3)
    order.build(*TARGETS[:2])
    after = order.estimate()
    assert (after.total, after.missing) == (3, 1)
    assert list(after.sizes) == [TARGETS[2]]
    assert 0 < after.download_bytes < before.download_bytes
    assert 0 < after.seconds < before.seconds


def test_a_release_that_cannot_be_had_costs_nothing_in_an_estimate(order: Order) -> None:
    targets = [*TARGETS, Target("tiny", "1.7")]
    forecast = forecast_build(targets, order.house.environments, order.house.images, parallel=1)
    assert (forecast.total, forecast.missing) == (4, 3)


@pytest.mark.parametrize(
    ("ordered", "free", "reserve", "budget", "missing"),
    [
        (10 * GB, 20 * GB, 4 * GB, 0, 0),
        (16 * GB, 20 * GB, 4 * GB, 0, 0),
        (17 * GB, 20 * GB, 4 * GB, 0, 1 * GB),
        (17 * GB, 3 * GB, 4 * GB, 0, 17 * GB),
        (90 * GB, 20 * GB, 4 * GB, 10 * GB, 0),
        (90 * GB, 20 * GB, 4 * GB, 18 * GB, 2 * GB),
    ],
)
def test_a_shortage_is_known_ahead(ordered: int, free: int, reserve: int, budget: int, missing: int) -> None:
    forecast = BuildForecast(1, 0, 0.0, {TARGETS[0]: ordered})
    assert shortage(forecast, free, reserve, budget) == missing
