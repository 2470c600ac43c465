"""The house: each part is made once however many threads ask at once, and all of it is closed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Barrier
from typing import cast

import pytest

from service.bootstrap import House
from service.locks import made_once
from service.settings import Settings

THREADS = 16


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    opened = House(Settings(data_dir=tmp_path, index_url="http://127.0.0.1:9/simple/"))
    yield opened
    opened.close()


def test_a_part_is_made_once_though_many_threads_ask_at_the_same_moment() -> None:
    made: list[object] = []
    ready = Barrier(THREADS)
    met = Barrier(THREADS)

    class Whole:
        @made_once
        def part(self) -> object:
            made.append(object())
            # Where another thread makes one too, both are here at once; where none does, waiting for it is in vain.
            met.wait(0.2) if len(made) > 1 else None
            return made[-1]

        @made_once
        def other(self) -> object:
            return self.part  # parts are made of parts

    whole = Whole()

    def ask(number: int) -> object:
        ready.wait()
        return whole.part if number % 2 else whole.other

    with ThreadPoolExecutor(THREADS) as threads:
        assert set(threads.map(ask, range(THREADS))) == {made[0]}
    assert len(made) == 1


def test_no_part_of_the_house_is_made_in_a_way_that_two_threads_can_share() -> None:
    parts = {name: part for name, part in vars(House).items() if isinstance(part, cached_property)}
    assert len(parts) > 10
    assert {name for name, part in parts.items() if not isinstance(part, made_once)} == set()


def test_many_threads_get_the_same_house(house: House) -> None:
    ready = Barrier(THREADS)

    def ask(_: int) -> tuple[int, ...]:
        ready.wait()
        return tuple(map(id, (house.coordinator, house.submission, house.intake, house.catalog, house.store)))

    with ThreadPoolExecutor(THREADS) as threads:
        assert len(set(threads.map(ask, range(THREADS)))) == 1


class Part:
    """A part that may fail to be closed."""

    def __init__(self, closed: list[str], name: str, *, fails: bool = False) -> None:
        self._closed, self._name, self._fails = closed, name, fails

    def close(self) -> None:
        self._closed.append(self._name)
        if self._fails:
            raise OSError(f"{self._name} does not close")

    def shutdown(self, *, cancel_futures: bool) -> None:
        self.close()


@pytest.mark.parametrize("failing", ["threads", "executor", "cluster", "runner", "store"])
def test_everything_is_closed_though_one_part_fails(tmp_path: Path, failing: str) -> None:
    house, closed = House(Settings(data_dir=tmp_path)), cast("list[str]", [])
    for name in ("threads", "executor", "cluster", "runner", "store"):
        house.__dict__[name] = Part(closed, name, fails=name == failing)
    with pytest.raises(OSError, match=f"{failing} does not close"):
        house.close()
    assert closed == ["threads", "executor", "cluster", "runner", "store"]


def test_what_nobody_asked_for_is_not_made_to_be_closed(tmp_path: Path) -> None:
    House(Settings(data_dir=tmp_path)).close()
    assert not list(tmp_path.iterdir())
