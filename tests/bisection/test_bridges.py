"""Bridges tell what a change comes from, in every small world and never without a run that shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain, combinations, product

import pytest

from service.bisection.bridges import NEITHER, OTHER_SIDE, PYTHON, TIED, TOGETHER, Bridge, Cause, Shown, next_bridge

PARTS = (PYTHON, "numpy", "scipy", "six", "protobuf")
World = Callable[[Bridge], Shown]


def found_in(world: World, parts: tuple[str, ...] = PARTS) -> tuple[Cause, Mapping[Bridge, Shown]]:
    """Run bridges until there is a cause."""
    seen: dict[Bridge, Shown] = {}
    while isinstance(step := next_bridge(parts, seen), Bridge):
        assert step not in seen, "a bridge is asked for once"
        seen[step] = world(step)
    return step, seen


def subsets(parts: tuple[str, ...]) -> list[frozenset[str]]:
    return [frozenset(each) for each in chain.from_iterable(combinations(parts, n) for n in range(len(parts) + 1))]


def comes_from(*culprits: str) -> World:
    """Return a world in which a release behaves like the other one once all culprits are moved."""

    def world(bridge: Bridge) -> Shown:
        return OTHER_SIDE[bridge.release] if bridge.moved.issuperset(culprits) else bridge.release

    return world


def test_a_release_that_keeps_its_behaviour_in_the_other_environment_is_the_cause() -> None:
    cause, seen = found_in(lambda bridge: bridge.release)
    assert (cause, len(seen)) == (Cause("release"), 1)


@pytest.mark.parametrize("culprit", PARTS)
def test_the_one_part_that_it_comes_from_is_named_after_few_bridges(culprit: str) -> None:
    cause, seen = found_in(comes_from(culprit))
    assert cause == Cause("interpreter" if culprit == PYTHON else "environment", (culprit,))
    assert len(seen) <= 7


def test_parts_that_matter_only_together_are_named_together() -> None:
    cause, _ = found_in(comes_from("numpy", "protobuf"))
    assert (cause.axis, cause.reason) == ("environment", TOGETHER)
    assert {"numpy", "protobuf"} <= set(cause.names)


def test_if_the_older_release_cannot_be_moved_the_newer_one_is() -> None:
    def world(bridge: Bridge) -> Shown:
        return "cannot" if bridge.release == "before" else comes_from("scipy")(bridge)

    assert found_in(world)[0] == Cause("environment", ("scipy",))


def test_without_any_bridge_the_cause_is_unknown() -> None:
    assert found_in(lambda _: "cannot")[0] == Cause("unknown", PARTS, TIED)
    assert found_in(lambda _: "neither")[0] == Cause("unknown", PARTS, NEITHER)


def test_what_comes_only_with_the_release_stays_unknown_and_the_rest_is_cleared() -> None:
    seen: dict[Bridge, Shown] = {
        Bridge("before", frozenset(PARTS)): "cannot",
        Bridge("after", frozenset(PARTS)): "cannot",
        Bridge("before", frozenset(PARTS) - {"six"}): "before",
    }
    assert next_bridge(PARTS, seen) == Cause("unknown", ("six",), TIED)


def test_in_every_small_world_nothing_is_blamed_that_no_run_has_shown() -> None:
    parts = (PYTHON, "numpy", "scipy")
    bridges = [Bridge(release, moved) for release in OTHER_SIDE for moved in subsets(parts) if moved]
    shown: tuple[Shown, ...] = ("before", "after", "cannot")
    # The worlds differ where it matters: each whole bridge, and each half of the older release.
    varied = [bridge for bridge in bridges if bridge.release == "before" or bridge.moved == frozenset(parts)]
    for answers in product(shown, repeat=len(varied)):
        world = dict(zip(varied, answers, strict=True))
        # mypy has no type for a lambda that keeps a loop's value as a default.
        cause, seen = found_in(lambda bridge, world=world: world.get(bridge, "cannot"), parts)  # type: ignore[misc]
        check_shown(cause, seen, parts)


def check_shown(cause: Cause, seen: Mapping[Bridge, Shown], parts: tuple[str, ...]) -> None:
    """Assert that a run has shown what a cause says."""
    if cause.axis == "release":
        assert any(seen.get(Bridge(release, frozenset(parts))) == release for release in OTHER_SIDE)
    elif cause.axis != "unknown":
        named = frozenset(cause.names)
        assert any(seen.get(Bridge(release, named)) == OTHER_SIDE[release] for release in OTHER_SIDE)
    else:
        assert cause.reason
