"""The cause of a change, stage by stage, over a real store; runs and environments are made up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from service.causes.asked import AskedCauses
from service.causes.explaining import Explaining, Inquiry, environment_cause
from service.causes.places import places_of
from service.errors import BadInput
from service.reports.causes import cause_cards, changes_like, verdict_explained, with_likes
from service.reports.readings import Readings
from service.storage.records import ADMIN, Bisection, Search
from tests.coordination.test_bridging import BridgedWorld, bisected, by_numpy, by_release


@pytest.fixture
def world_where(tmp_path: Path) -> Iterator[Callable[..., BridgedWorld]]:
    opened: list[BridgedWorld] = []

    def make(breaks: Callable[[str, Mapping[str, str]], bool]) -> BridgedWorld:
        opened.append(BridgedWorld(tmp_path, breaks))
        return opened[-1]

    yield make
    for world in opened:
        world.close()


def newest(world: BridgedWorld) -> Bisection:
    return world.store.bisection_named("last", viewer=ADMIN)


def test_what_bridges_have_shown_is_the_first_stage(world_where: Callable[..., BridgedWorld]) -> None:
    world = world_where(by_numpy)
    bisected(world)
    found = world.explaining.explain(newest(world))
    assert list(found) == [0]
    assert (found[0]["axis"], found[0]["package"]["name"]) == ("environment", "numpy")
    assert found[0]["definitions"] == []
    (card,) = cause_cards(verdict_explained(newest(world).verdict or {}, found))
    assert card.facts[0] == "It comes from what came along: numpy 1.14.5 to 1.15.4."


def test_a_change_that_no_bridge_was_run_for_is_not_blamed_on_the_release(
    world_where: Callable[..., BridgedWorld],
) -> None:
    world = world_where(by_release)
    bisected(world, why=False)
    cause = world.explaining.explain(newest(world))[0]
    assert (cause["axis"], cause["reason"]) == ("unknown", "no run has told the release from what came along with it")


def test_a_stage_is_gone_through_once_for_all_bisections_with_that_change_and_again_with_a_larger_budget(
    world_where: Callable[..., BridgedWorld],
) -> None:
    went: list[int] = []

    class Counted:
        name = "counted"

        def __call__(self, inquiry: Inquiry) -> None:
            went.append(inquiry.budget)
            inquiry.done(self.name, "it was looked at", 3)

    world = world_where(by_release)
    explaining = Explaining(world.store, world.intake, [Counted()])
    for _ in range(2):
        bisected(world)
        found = explaining.explain(newest(world), budget=10)
    assert went == [10]
    assert [stage["said"] for stage in found[0]["stages"]] == ["it was looked at"]
    explaining.explain(newest(world), budget=20)
    assert went == [10, 20]
    bridges = environment_cause(places_of(world.store, world.intake, newest(world))[0])["runs"]
    assert explaining.explain(newest(world), budget=20)[0]["runs"] == bridges + 3


def test_a_cause_that_comes_later_is_in_the_answer_that_was_rendered_before(
    world_where: Callable[..., BridgedWorld],
) -> None:
    world = world_where(by_release)
    bisected(world)
    readings, name = Readings(world), newest(world).id
    before = readings.document(name, ADMIN)
    world.explaining.explain(newest(world))
    after = readings.document(name, ADMIN)
    assert after.etag != before.etag
    assert b'"stages"' in after.plain().content


def test_a_bisection_that_is_deleted_while_its_causes_are_sought_ends_the_search_and_leaves_nothing(
    world_where: Callable[..., BridgedWorld],
) -> None:
    world = world_where(by_release)
    bisected(world)
    name = newest(world).id
    keys = [place.key for place in places_of(world.store, world.intake, newest(world))]

    class Deleting:
        name = "deleting"

        def __call__(self, inquiry: Inquiry) -> None:
            world.store.delete_bisection(name)
            inquiry.done(self.name, "it was looked at", 1)

    world.store.request_explanation(name, 10)
    asked = AskedCauses(world.store, lambda: Explaining(world.store, world.intake, [Deleting()]))
    assert asked.work_off(threading.Event())
    assert world.store.requested_explanations() == []
    assert [world.store.explanation(key) for key in keys] == [None]


def test_there_is_no_cause_of_a_change_that_is_not_there(world_where: Callable[..., BridgedWorld]) -> None:
    world = world_where(by_release)
    bisected(world)
    with pytest.raises(BadInput, match="no change 4; choose one of 1 to 1"):
        world.explaining.explain(newest(world), only=3)


def test_a_cause_that_is_known_from_another_change_says_so_to_those_who_may_see_it(
    world_where: Callable[..., BridgedWorld],
) -> None:
    world = world_where(by_numpy)
    for _ in range(2):
        bisected(world)
        world.explaining.explain(newest(world))
    older = world.store.bisections(Search(), limit=2, viewer=ADMIN).rows[1].id
    verdict = newest(world).verdict or {}
    found = {number: each.found for number, each in world.store.explanations_of(newest(world).id).items()}
    likes = changes_like(world.store, newest(world).id, ADMIN)
    (card,) = cause_cards(with_likes(verdict_explained(verdict, found), likes))
    assert card.facts[-1] == f"The same cause as in 1 other change: {older} (change 1)."
    world.store.delete_bisection(older)
    assert changes_like(world.store, newest(world).id, ADMIN) == {0: []}
