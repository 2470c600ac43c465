"""Hidden worlds of several aspects: each one's changes are found, at a cost that is shared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, log2
from random import Random

import pytest

from service.bisection.aspects import LOOKS, AspectSearch, RunFacts, search
from service.bisection.facts import Facts
from service.bisection.outcomes import Answer, Lost, Outcome, Untestable
from service.bisection.planner import Policy
from service.bisection.releases import tree_of
from service.bisection.verdict import changes_of

PLACES = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class AspectWorld:
    """What each aspect shows along the mainline, oldest first."""

    aspects: dict[str, list[str]]
    unsteady: frozenset[str] = frozenset()
    """Aspects that show another text in each run, beside what they show."""
    untestable: frozenset[int] = frozenset()

    @property
    def releases(self) -> list[str]:
        return [f"1.{index}.0" for index in range(len(next(iter(self.aspects.values()))))]

    def run(self, release: str, repeat: int) -> RunFacts:
        index = int(release.split(".")[1])
        if index in self.untestable:
            return RunFacts(Untestable("no wheel"), {})
        facts = {"ends": Facts((("exit code", 0),))}
        for name, shown in self.aspects.items():
            wavers = (("address", f"{release} {repeat}"),) if name in self.unsteady else ()
            facts[name] = Facts((("field", shown[index]), *wavers))
        return RunFacts(Outcome("passes"), facts)

    def places(self, name: str) -> PLACES:
        """Return the neighbours between which an aspect changes, by looking everywhere."""
        return tuple(
            pair
            for pair, (old, new) in zip(pairwise(self.releases), pairwise(self.aspects[name]), strict=True)
            if old != new
        )


def searched(world: AspectWorld, policy: Policy) -> tuple[AspectSearch, dict[str, list[RunFacts]]]:
    """Search a world until nothing is left to ask."""
    runs: dict[str, list[RunFacts]] = {}
    tree = tree_of(world.releases)
    while (found := search(tree, runs, policy)).next is not None:
        assert found.next.runs
        for run in found.next.runs[: policy.workers]:
            before = runs.setdefault(run.release, [])
            assert run.repeat == len(before), "runs of a release are planned one after the other"
            before.append(world.run(run.release, run.repeat))
    return found, runs


def places_said(found: AspectSearch, name: str) -> PLACES:
    verdict = next(aspect.verdict for aspect in found.aspects if aspect.name == name)
    return tuple((change.before, change.after) for change in changes_of(verdict))


def history(dice: Random, releases: int, shortest: int) -> list[str]:
    """Return what an aspect shows: behaviours that last at least so long."""
    shown: list[str] = []
    while len(shown) < releases:
        left = releases - len(shown)
        length = left if left < 2 * shortest else dice.randint(shortest, left - shortest)
        shown += [dice.choice([each for each in "abcd" if not shown or each != shown[-1]])] * length
    return shown


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch", range(2))
def test_the_changes_of_every_aspect_are_found_within_the_bound(batch: int, workers: int) -> None:
    for seed in range(batch * 8, batch * 8 + 8):
        dice = Random(f"{seed} {workers}")
        resolution, length = dice.randint(1, 8), dice.randint(12, 40)
        world = AspectWorld({name: history(dice, length, max(resolution, 5)) for name in ("prints", "trains", "model")})
        found, runs = searched(world, Policy(resolution=resolution, workers=workers))
        places = {place for name in world.aspects for place in world.places(name)}
        assert {name: places_said(found, name) for name in world.aspects} == {
            name: world.places(name) for name in world.aspects
        }, seed
        if workers == 1:
            releases = ceil((length - 1) / resolution) + 1 + len(places) * ceil(log2(resolution))
            assert len(runs) <= releases, seed
            assert sum(map(len, runs.values())) <= LOOKS * releases, seed


def test_a_place_where_several_aspects_change_costs_as_much_as_one() -> None:
    one = ["a"] * 13 + ["b"] * 12
    alone = searched(AspectWorld({"prints": one}), Policy(resolution=8))[1]
    together = searched(AspectWorld(dict.fromkeys(("prints", "trains", "model"), one)), Policy(resolution=8))[1]
    assert {release: len(runs) for release, runs in alone.items()} == {
        release: len(runs) for release, runs in together.items()
    }


def test_an_aspect_that_changes_everywhere_is_not_searched_further() -> None:
    drifting = [str(index) for index in range(41)]
    steady = ["a"] * 41
    found, runs = searched(AspectWorld({"warns": drifting, "prints": steady}), Policy(resolution=8))
    assert [aspect.name for aspect in found.aspects if aspect.drifts] == ["warns"]
    assert len(runs) <= 6 + 7


def test_what_wavers_is_masked_and_costs_nothing() -> None:
    world = AspectWorld({"prints": ["a"] * 10 + ["b"] * 10}, unsteady=frozenset({"prints"}))
    found, runs = searched(world, Policy(resolution=4))
    assert places_said(found, "prints") == (("1.9.0", "1.10.0"),)
    assert found.aspects[1].sampling.wavering == ("address",)
    assert sum(map(len, runs.values())) == LOOKS * len(runs)


def test_a_change_is_confirmed_by_further_runs_of_both_sides() -> None:
    world = AspectWorld({"prints": ["a"] * 6 + ["b"] * 6})
    _, runs = searched(world, Policy(resolution=4, confirmations=4))
    assert {release for release, made in runs.items() if len(made) == 4} == {"1.5.0", "1.6.0"}


def test_a_run_that_ends_well_without_an_aspect_shows_that_there_is_none_of_it() -> None:
    tree = tree_of(["1.0.0", "1.1.0", "1.2.0"])
    passed, broken = Facts((("exit code", 0),)), Facts((("exception", "ValueError"),))
    warned = Facts((("deprecated", True),))
    runs = {
        "1.0.0": [RunFacts(Outcome("passes"), {"ends": passed})] * LOOKS,
        "1.1.0": [RunFacts(Outcome("raises:ValueError"), {"ends": broken})] * LOOKS,
        "1.2.0": [RunFacts(Outcome("passes"), {"ends": passed, "warns": warned})] * LOOKS,
    }
    (change,) = changes_of(search(tree, runs, Policy(resolution=1)).aspects[1].verdict)
    assert (change.before, change.after, change.between) == ("1.0.0", "1.2.0", ("1.1.0",))


def test_a_release_that_cannot_answer_is_a_gap_in_every_aspect() -> None:
    world = AspectWorld({"prints": ["a"] * 5 + ["b"] * 5}, untestable=frozenset({5}))
    found, runs = searched(world, Policy(resolution=1))
    assert places_said(found, "prints") == (("1.4.0", "1.6.0"),)
    assert len(runs["1.5.0"]) == 1, "it is not asked twice"


@pytest.mark.parametrize(
    ("message", "labels"),
    [
        ("loss is {}", {"raises:ValueError"}),
        ("shapes differ", {"raises:ValueError"}),
    ],
)
def test_numbers_that_an_error_measured_do_not_make_it_flaky(message: str, labels: set[str]) -> None:
    tree = tree_of(["1.0.0", "1.1.0"])
    answer = Outcome("raises:ValueError", message)
    runs = {
        release: [
            RunFacts(
                answer,
                {"ends": Facts((("exception", "ValueError"), ("message", message), ("message, number 1", k / 3)))},
            )
            for k in range(LOOKS)
        ]
        for release in tree.all()
    }
    verdict = search(tree, runs, Policy(resolution=1)).aspects[0].verdict
    assert {segment.outcome for segment in verdict.segments} == labels


def test_two_errors_of_one_type_are_two_endings() -> None:
    tree = tree_of(["1.0.0", "1.1.0"])
    runs = {
        release: [RunFacts(Outcome("raises:ValueError", said), {"ends": Facts((("message", said),))})] * LOOKS
        for release, said in (("1.0.0", "no such layer"), ("1.1.0", "no such weight"))
    }
    verdict = search(tree, runs, Policy(resolution=1)).aspects[0].verdict
    assert [change.new for change in changes_of(verdict)] == ["raises:ValueError: no such weight"]


def test_a_lost_run_is_asked_again_and_is_no_answer() -> None:
    tree = tree_of(["1.0.0"])
    good = AspectWorld({"prints": ["a"]}).run("1.0.0", 0)
    lost: Answer = Lost("the engine went away")
    found = search(tree, {"1.0.0": [good, replace(good, answer=lost, aspects={})]}, Policy(resolution=1))
    assert found.next is not None
    assert [(run.release, run.repeat) for run in found.next.runs] == [("1.0.0", 1)]


def test_scripts_that_waver_and_never_change_raise_no_alarm() -> None:
    releases = tree_of([f"1.{minor}.0" for minor in range(6)])
    false = 0
    for seed in range(60):
        dice = Random(seed)
        runs: dict[str, list[RunFacts]] = {}
        while (found := search(releases, runs, Policy(resolution=1, confirmations=4))).next is not None:
            for run in found.next.runs:
                losses = Facts(tuple((f"loss {field}", dice.lognormvariate(0.0, 1.0)) for field in range(6)))
                runs.setdefault(run.release, []).append(RunFacts(Outcome("passes"), {"trains": losses}))
        false += any(changes_of(aspect.verdict) for aspect in found.aspects)
    assert false == 0
