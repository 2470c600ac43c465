"""What a plan promises beside the changes that it finds: order, workers, anytime, filling in, words."""

from __future__ import annotations

from math import ceil, log
from random import Random
from typing import Any

import pytest

from service.bisection.comparison import differences
from service.bisection.outcomes import Answer, Lost, Outcome, Refused, Untestable
from service.bisection.planner import NextRuns, current_verdict, plan
from service.bisection.releases import ReleaseTree, tree_of
from service.bisection.verdict import NothingTestable, changes_of
from tests.bisection.worlds import bisected, branch, policy, rows, spoken

TREE = ReleaseTree(tuple(f"1.{index}.0" for index in range(9)))
W, B = Outcome("works"), Outcome("broken")


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_rounds_for_one_change_fall_as_the_logarithm_to_the_base_of_workers_plus_one(workers: int) -> None:
    result = bisected("w" * 401 + "b" * 600, resolution=1000, workers=workers)
    search = ceil(log(1000) / log(workers + 1))
    ends_and_confirmations = ceil(2 / workers) * 2
    assert len(result.rounds) <= search + ends_and_confirmations


def test_a_plan_does_not_depend_on_the_order_of_observations() -> None:
    answers: list[tuple[str, Answer]] = [("1.0.0", W), ("1.8.0", B), ("1.4.0", W), ("1.4.0", B), ("1.6.0", Lost("x"))]
    answers += [("1.2.0", Untestable("a")), ("1.2.0", Untestable("b")), ("1.8.0", W), ("1.8.0", B)]
    plans = set()
    for seed in range(30):
        shuffled = answers.copy()
        Random(seed).shuffle(shuffled)
        observations: dict[str, list[Answer]] = {}
        for release, answer in shuffled:
            observations.setdefault(release, []).append(answer)
        plans.add(
            (repr(plan(TREE, observations, policy(workers=3))), repr(current_verdict(TREE, observations, policy())))
        )
    assert len(plans) == 1


def test_no_run_is_planned_twice_at_once_and_none_beyond_the_workers() -> None:
    for workers in (1, 2, 5, 16):
        for step in bisected("wwbbwwccww", workers=workers).rounds:
            runs = [(run.release, run.repeat) for run, _ in step.runs]
            assert len(runs) == len(set(runs)) <= workers


def test_repeats_of_a_release_are_planned_in_order_without_a_hole() -> None:
    noisy = [{"release": row["release"], "outcomes": {"works": 0.8, "broken": 0.2}} for row in rows("w" * 12)]
    seen: dict[str, set[int]] = {}
    for step in bisected(noisy, seed=3, workers=4).rounds:
        for run, _ in step.runs:
            seen.setdefault(run.release, set()).add(run.repeat)
    assert all(repeats == set(range(len(repeats))) for repeats in seen.values())


def test_a_lost_run_is_planned_again_under_the_same_repeat() -> None:
    step = plan(ReleaseTree(("1.0.0",)), {"1.0.0": [Lost("engine gone")]}, policy())
    assert isinstance(step, NextRuns)
    assert [(run.release, run.repeat) for run in step.runs] == [("1.0.0", 0)]


def test_what_follows_for_sure_is_named_ahead() -> None:
    step = plan(TREE, {}, policy(workers=2))
    assert isinstance(step, NextRuns)
    assert (len(step.runs), len(step.then), step.planned_at_least) == (2, 7, 9)


def test_at_every_moment_a_verdict_can_be_stated_and_is_not_complete_until_the_end() -> None:
    observations: dict[str, list[Answer]] = {}
    truth = dict(zip(TREE.mainline, [W, W, W, W, W, B, B, B, B], strict=True))
    while isinstance(step := plan(TREE, observations, policy(resolution=8)), NextRuns):
        assert not current_verdict(TREE, observations, policy(resolution=8)).coverage.complete
        for run in step.runs:
            observations.setdefault(run.release, []).append(truth[run.release])
    assert step.coverage.complete
    assert step == current_verdict(TREE, observations, policy(resolution=8))


def test_an_open_change_names_the_releases_that_may_still_narrow_it() -> None:
    verdict = current_verdict(TREE, {"1.0.0": [W], "1.8.0": [B]}, policy(resolution=8))
    (change,) = changes_of(verdict)
    assert change.unasked == TREE.mainline[1:8]
    assert "not yet narrowed down" in verdict.summary


def test_filling_in_comes_last_and_says_when_it_overturns_the_verdict() -> None:
    world = "wbwwwwwww"
    assert bisected(world, resolution=4).runs == 3
    filled = bisected(world, resolution=4, complete=True)
    assert spoken(filled.verdict) == ["introduced 1.1.0", "fixed 1.2.0"]
    assert len(filled.filling_changed) == 2
    assert {run.purpose for run, _ in filled.rounds[3].runs} == {"complete"}


def test_filling_in_what_was_right_changes_nothing() -> None:
    filled = bisected("wwwwbbbb", resolution=4, complete=True)
    assert filled.filling_changed == ()
    assert filled.verdict.coverage.measured == 8


def test_a_snippet_that_is_refused_everywhere_is_not_run_everywhere() -> None:
    observations: dict[str, list[Answer]] = {
        release: [Refused("there is no model in the snippet")] for release in TREE.mainline[:3]
    }
    verdict = plan(TREE, observations, policy())
    assert isinstance(verdict, NothingTestable)
    assert "there is no model in the snippet" in verdict.summary


def test_a_failure_in_every_release_is_laid_at_the_door_of_the_snippet() -> None:
    table = [{"release": row["release"], "outcome": "raises:NameError"} for row in rows("www")]
    assert "points to the snippet" in bisected(table).verdict.summary


@pytest.mark.parametrize(
    ("world", "options", "words"),
    [
        ("wwubb", {}, "after 1.1.0 and in 1.3.0 at the latest (1.2.0 untestable)"),
        ("uuu", {}, "No verdict: none of the 3 releases tried can be tested (1.0.0: no wheel)"),
        ("lll", {}, "this says nothing about the releases"),
        ("wwww", {}, "No change from 1.0.0 to 1.3.0: works in all 4 releases measured."),
        ("w" * 9, {"resolution": 4}, "No change found in the 3 of 9 releases measured, 1.0.0 to 1.8.0"),
        ("w", {}, "works in 1.0.0, the only release that was measured."),
        ("w", {}, "The only release, 1.0.0, was measured."),
        ("u", {}, "The only release, 1.0.0, is untestable."),
        ("w" * 9, {"resolution": 4}, "Every behaviour that lasts 4 or more mainline releases is found"),
        ([*rows("wbw"), *branch(1, "b")], {}, "the 1.1 patch releases up to 1.1.1 never got the fix"),
        ([*rows("wwww"), *branch(1, "b")], {}, "patch releases beside no change"),
    ],
)
def test_the_words_say(world: Any, options: dict[str, Any], words: str) -> None:
    verdict = bisected(world, **options).verdict
    assert words in f"{verdict.summary} {verdict.words}"


def test_a_flaky_release_is_said_with_its_probability_and_interval() -> None:
    verdict = bisected("ww~ww", seed=5, repeats=4).verdict
    (flaky,) = verdict.flaky
    assert sum(share.probability for share in flaky.shares) == pytest.approx(1)
    assert all(share.low < share.probability < share.high for share in flaky.shares)
    assert f"{flaky.release} is unstable: " in verdict.words
    assert f" of {flaky.runs} runs (" in verdict.words


@pytest.mark.parametrize(
    ("earlier", "later", "count"),
    [("wb", "wbb", 0), ("wb", "wbw", 1), ("wwb", "wbb", 2), ("ww", "bb", 1), ("w", "ww", 0)],
)
def test_verdicts_differ_when_a_change_does(earlier: str, later: str, count: int) -> None:
    assert len(differences(bisected(earlier).to_json()["verdict"], bisected(later).to_json()["verdict"])) == count


def test_what_the_promise_does_not_cover_yet_is_not_run_rather_than_inferred() -> None:
    tree = tree_of([f"1.{minor}.0" for minor in range(12)])
    ends: dict[str, list[Answer]] = {release: [Outcome("works")] for release in ("1.0.0", "1.11.0")}
    cancelled = current_verdict(tree, ends, policy(resolution=4))
    assert (cancelled.coverage.inferred, cancelled.coverage.unexamined) == (0, 10)
    assert cancelled.segments[0].inferred == ()
    survey: dict[str, list[Answer]] = {**ends, "1.4.0": [Outcome("works")], "1.8.0": [Outcome("works")]}
    assert current_verdict(tree, survey, policy(resolution=4)).coverage.inferred == 8


@pytest.mark.parametrize("wrong", [{"resolution": 0}, {"workers": 0}, {"branches": "some"}])
def test_a_policy_that_promises_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        policy(**wrong)


def test_the_one_line_names_what_was_raised_and_leaves_the_message_to_the_segments() -> None:
    said = (
        "raises:ValueError: The first argument to `Layer.call` must always be passed, and so on for a whole paragraph"
    )
    table = [{"release": f"1.{at}.0", "outcome": "passes" if at < 3 else said} for at in range(6)]
    verdict = bisected(table).verdict
    assert verdict.summary == "Changed in 1.3.0: passes became raises:ValueError."
    assert verdict.segments[1].outcome == said
