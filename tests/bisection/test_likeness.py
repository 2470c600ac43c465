"""Answers read beside each other."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bisection.likeness import alike, close, groups, read_together
from service.bisection.outcomes import Answer, Outcome, Refused, Reported, Value
from service.bisection.planner import Policy, current_verdict
from service.bisection.releases import tree_of
from service.bisection.verdict import Unchanged, changes_of

TOLERANCE = 1e-3
OWN_MISTAKE = Refused("NameError: name 'contrib' is not defined", 3, "NameError")


def reports(value: float, label: str = "") -> Outcome:
    return Outcome(label or f"reports:{value:.3g}", reported=Reported((("loss", value),), TOLERANCE))


def labels(*values: float) -> list[str]:
    read = read_together({f"1.{at}.0": [reports(value)] for at, value in enumerate(values)})
    return [answer.label for answers in read.values() for answer in answers if isinstance(answer, Outcome)]


def test_values_on_both_sides_of_a_rounding_edge_share_an_outcome() -> None:
    edge = (0.12344999, 0.12345001)
    assert len({f"{value:.4f}" for value in edge}) == 2
    assert len(set(labels(*edge))) == 1


def test_values_further_apart_than_the_tolerance_are_two_outcomes() -> None:
    assert len(set(labels(1.0, 1.01))) == 2


def test_values_that_are_alike_through_a_third_are_alike() -> None:
    assert len(set(labels(1.0, 1.0016, 1.0008))) == 1


def test_the_label_does_not_depend_on_the_order_in_which_answers_came() -> None:
    values = (1.0, 1.0008, 1.0016, 2.0)
    found = {tuple(sorted(zip(order, labels(*order), strict=True))) for order in permutations(values)}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (0.1 + 0.2, 0.3, True),
        (1000.0, 1001.0, True),
        (1000, 1001, False),
        (1000, 1000.5, True),
        (3e-17, 0.0, True),
        (1e-6, 2e-6, False),
        (True, 1, False),
        ("a", "a", True),
        (None, 0.0, False),
        (float("inf"), float("inf"), True),
        (float("inf"), 1.0, False),
    ],
)
def test_numbers_are_compared_by_the_tolerance_and_all_else_exactly(one: Value, other: Value, same: bool) -> None:
    assert close(one, other, TOLERANCE) is same
    assert close(other, one, TOLERANCE) is same


def test_a_drift_within_the_tolerance_is_no_change() -> None:
    answers: dict[str, list[Answer]] = {f"1.{at}.0": [reports(0.5 + at * 1e-4)] * 2 for at in range(5)}
    verdict = current_verdict(tree_of(tuple(answers)), answers, Policy())
    assert isinstance(verdict, Unchanged)


def test_a_mistake_of_the_snippet_is_a_behaviour_where_another_release_answers() -> None:
    answers: dict[str, list[Answer]] = {"1.0.0": [Outcome("passes")] * 2, "1.1.0": [OWN_MISTAKE] * 2}
    verdict = current_verdict(tree_of(tuple(answers)), answers, Policy(expected=frozenset({"passes"})))
    assert [(change.old, change.new) for change in changes_of(verdict)] == [("passes", "raises:NameError")]


def test_a_mistake_of_the_snippet_in_every_release_stays_one() -> None:
    answers: dict[str, list[Answer]] = {f"1.{at}.0": [OWN_MISTAKE] for at in range(3)}
    assert read_together(answers) is answers


def test_what_a_probe_refuses_is_never_a_behaviour() -> None:
    refused: Answer = Refused("no model in it")
    assert read_together({"1.0.0": [Outcome("drops")], "1.1.0": [refused]})["1.1.0"] == [refused]


@given(st.lists(st.tuples(st.floats(-10, 10), st.sampled_from([1, 2]), st.sampled_from(["a", "b"])), max_size=12))
def test_grouping_is_what_comparing_each_with_each_gives(values: list[tuple[float, int, str]]) -> None:
    reported = {Reported((("a", number), ("b", count), ("c", text)), 0.3) for number, count, text in values}
    found = {frozenset(group) for group in groups(sorted(reported, key=repr))}
    assert found == by_brute_force(reported)


def by_brute_force(values: set[Reported]) -> set[frozenset[Reported]]:
    """Join groups until no two of them hold values that are alike."""
    found = [{value} for value in values]
    while joined := next(
        (
            (one, other)
            for one, other in combinations(found, 2)
            if any(alike(mine, theirs) for mine in one for theirs in other)
        ),
        None,
    ):
        one, other = joined
        found.remove(other)
        one |= other
    return {frozenset(group) for group in found}
