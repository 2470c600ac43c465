"""Causes in the store: shared by content, and gone with the last bisection that uses them."""

from __future__ import annotations

from dataclasses import replace

from service.storage.store import Store
from tests.storage.worlds import REPORT, REQUEST, SNIPPET

KEY, HYPOTHESIS = "sha256:a", "sha256:h"


def explained(store: Store) -> str:
    one = store.create_bisection(REQUEST, SNIPPET).bisection.id
    store.put_explanation(KEY, {"before": "1.10.1"}, {"axis": "release"}, used_by=(one, 0))
    return one


def test_an_explanation_grows_and_belongs_to_every_bisection_with_that_change(store: Store) -> None:
    one, other = explained(store), explained(store)
    store.put_explanation(KEY, {"before": "1.10.1"}, {"axis": "release", "runs": 9}, "sha256:f")
    found = store.explanations_of(other)
    assert found == store.explanations_of(one)
    assert {change: dict(each.found) for change, each in found.items()} == {0: {"axis": "release", "runs": 9}}
    assert list(store.like_explanations("sha256:f")) == [(other, 0), (one, 0)]
    assert store.explanations_of("01JD3X5QZW0000000000000000") == {}


def test_the_first_run_of_a_hypothesis_stays(store: Store) -> None:
    explained(store)
    assert store.hypothesis_run(HYPOTHESIS, 0) is None
    store.append_hypothesis_run(KEY, HYPOTHESIS, 0, {"definitions": ["sha256:d"]}, REPORT)
    store.append_hypothesis_run(KEY, HYPOTHESIS, 0, {"definitions": ["sha256:d"]}, replace(REPORT, output="another"))
    store.append_hypothesis_run(KEY, HYPOTHESIS, 1, {"definitions": ["sha256:d"]}, replace(REPORT, output="second"))
    assert store.hypothesis_run(HYPOTHESIS, 0) == REPORT
    assert (store.hypothesis_run(HYPOTHESIS, 1) or REPORT).output == "second"


def test_causes_go_with_the_last_bisection_that_uses_them(store: Store) -> None:
    one, other = explained(store), explained(store)
    store.append_hypothesis_run(KEY, HYPOTHESIS, 0, {}, REPORT)
    store.delete_bisection(one)
    assert store.hypothesis_run(HYPOTHESIS, 0) == REPORT
    store.delete_bisection(other)
    assert store.explanation(KEY) is None
    assert store.hypothesis_run(HYPOTHESIS, 0) is None


def test_a_request_waits_until_it_is_done_or_its_bisection_is_deleted(store: Store) -> None:
    one, other = explained(store), explained(store)
    store.request_explanation(one, 60)
    store.request_explanation(other, 60)
    store.request_explanation(one, 100)
    assert {each.bisection_id: each.budget for each in store.requested_explanations()} == {one: 100, other: 60}
    store.end_explanation_request(one)
    assert not store.is_explanation_requested(one)
    store.delete_bisection(other)
    assert store.requested_explanations() == []
