"""What stands ready for whoever asks first: the likeliest, while cores idle."""

from __future__ import annotations

import pytest

from service.catalog.targets import Target
from service.coordination.standing import StandingPool, standing_order
from service.errors import NoRunner

MAINLINE = ["1.9.0", "1.10.0", "1.11.0", "1.12.0", "1.13.1"]
EVERYTHING = {*MAINLINE, "1.12.3"}


@pytest.mark.parametrize(
    ("present", "asked", "order"),
    [
        (EVERYTHING, {}, ["1.9.0", "1.13.1", "1.11.0", "1.10.0", "1.12.0"]),
        (EVERYTHING - {"1.9.0"}, {}, ["1.10.0", "1.13.1", "1.11.0", "1.12.0"]),
        (EVERYTHING, {"1.12.0": 3, "1.12.3": 2}, ["1.12.0", "1.12.3", "1.9.0", "1.13.1", "1.11.0", "1.10.0"]),
        (EVERYTHING, dict.fromkeys(MAINLINE, 5), ["1.9.0", "1.13.1", "1.11.0", "1.10.0", "1.12.0"]),
        ({"1.9.0"}, {"2.3.0": 9}, ["1.9.0"]),
    ],
)
def test_what_is_asked_most_stands_first_and_then_the_mainline_as_a_survey_takes_it(
    present: set[str], asked: dict[str, int], order: list[str]
) -> None:
    assert standing_order(MAINLINE, present, asked) == order


class Shelf:
    """Takes what is to stand, as far as there is room."""

    def __init__(self, room: int, broken: str = "") -> None:
        self.room = room
        self.broken = broken
        self.idle = 1
        self.stands: list[tuple[str, int]] = []

    def stand(self, target: Target, framework: str, process: int) -> bool:
        if target.release == self.broken:
            raise NoRunner("gone")
        one = (target.release, process)
        if one in self.stands or len(self.stands) >= self.room:
            return False
        self.stands.append(one)
        return True

    def pool(self, *releases: str) -> StandingPool:
        return StandingPool(
            self.stand, lambda: [Target("tensorflow", release, "cpu") for release in releases], lambda: self.idle
        )


def test_second_processes_stand_once_every_release_has_a_first() -> None:
    shelf = Shelf(room=3)
    pool = shelf.pool("1.9.0", "1.14.0")
    assert [pool.add_one() for _ in range(4)] == [True, True, True, False]
    assert shelf.stands == [("1.9.0", 0), ("1.14.0", 0), ("1.9.0", 1)]


def test_nothing_is_started_while_every_worker_has_a_run_and_what_was_used_up_comes_back_after() -> None:
    shelf = Shelf(room=1)
    pool = shelf.pool("1.9.0")
    shelf.idle = 0
    assert not pool.add_one()
    shelf.idle = 1
    assert pool.add_one()
    shelf.stands.clear()
    assert pool.add_one()


def test_one_that_cannot_be_started_keeps_no_other_from_standing() -> None:
    shelf = Shelf(room=2, broken="1.9.0")
    assert shelf.pool("1.9.0", "1.14.0").add_one()
    assert shelf.stands == [("1.14.0", 0)]
