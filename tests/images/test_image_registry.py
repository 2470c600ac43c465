"""Machines that share a registry build each image once, and without it each builds its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.catalog.targets import Target
from service.images.builder import reference_of
from service.images.engine import StoredImage
from service.images.shelf import LABEL
from tests.images.local_index import LocalIndex, served
from tests.images.memory_engine import MemoryEngine
from tests.images.worlds import OfflineHouse, tiny_index

PLACE = "registry.example/team"
TARGET = Target("tiny", "1.0")


@dataclass(frozen=True)
class Machine:
    house: OfflineHouse
    engine: MemoryEngine

    def image(self) -> tuple[str, bool]:
        """Return the reference of the image and whether it was built here."""
        image = self.house.images.ensure(self.house.environments.resolve(TARGET))
        return image.reference, image.reference in self.engine.contents


class Machines:
    """Machines with engines and data folders of their own, and one registry."""

    def __init__(self, folder: Path, index: LocalIndex) -> None:
        self._folder = folder
        self._index = index
        self.registry: dict[str, StoredImage] = {}
        self.made: list[Machine] = []

    def another(self) -> Machine:
        folder = self._folder / str(len(self.made))
        folder.mkdir()
        engine = MemoryEngine(self.registry)
        self.made.append(Machine(OfflineHouse(folder, self._index, engine, image_registry=PLACE), engine))
        return self.made[-1]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with served(tiny_index()) as index:
        made = Machines(tmp_path, index)
        yield made
        for machine in made.made:
            machine.house.close()


def test_what_one_machine_has_built_the_next_one_pulls(machines: Machines) -> None:
    first, second = machines.another(), machines.another()
    reference, is_built = first.image()
    assert is_built
    assert list(machines.registry) == [reference.replace("tfbisect/", f"{PLACE}/")]
    assert second.image() == (reference, False)
    names = {name for name in second.engine.images if "ground" not in name and "python:" not in name}
    assert names == {reference}, "it has the usual name and no other one"


def test_a_registry_that_is_away_costs_a_build_and_is_asked_again_only_after_a_while(machines: Machines) -> None:
    first = machines.another()
    first.engine.is_registry_away = True
    assert first.image()[1]
    assert machines.registry == {}
    first.engine.is_registry_away = False
    first.house.images.ensure(first.house.environments.resolve(Target("tiny", "1.1")))
    assert machines.registry == {}, "it was asked again at once"


def test_an_image_of_another_environment_by_the_same_name_is_not_taken(machines: Machines) -> None:
    first, second = machines.another(), machines.another()
    reference, _ = first.image()
    there = reference.replace("tfbisect/", f"{PLACE}/")
    machines.registry[there] = StoredImage("sha256:planted", (there,), {f"{LABEL}environment": "sha256:other"}, 1)
    assert second.image() == (reference, True)
    assert reference == reference_of(second.house.environments.resolve(TARGET))
