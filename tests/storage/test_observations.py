from __future__ import annotations

import math
from dataclasses import replace

import pytest

from service.bisection.outcomes import RunReport
from service.errors import NotFound
from service.storage.observations import observation_key
from service.storage.store import Store
from tests.storage.worlds import IDENTITY, REPORT, REQUEST, SNIPPET, identity


def test_a_report_is_read_back_as_it_was_seen(store: Store) -> None:
    kept = store.append_observation(IDENTITY, 0, REPORT)
    assert store.observations([kept.key]) == {kept.key: [kept]}
    assert (kept.report, kept.identity, kept.repeat) == (REPORT, IDENTITY, 0)


@pytest.mark.parametrize("number", [math.inf, -math.inf, 0.1, 1e308])
def test_a_loss_of_any_size_is_kept(store: Store, number: float) -> None:
    report = replace(REPORT, result={"kind": "measured", "measurements": {"loss": number}})
    assert store.append_observation(IDENTITY, 0, report).report == report


def test_a_loss_that_is_no_number_is_kept(store: Store) -> None:
    report = replace(REPORT, result={"measurements": {"loss": [math.nan]}})
    kept = store.append_observation(IDENTITY, 0, report).report.result
    assert kept is not None
    assert math.isnan(kept["measurements"]["loss"][0])


@pytest.mark.parametrize("output", ["a\0b", "\ud800", "<script>", "\x1b[31m", '{"$number":"nan"}', "日本語"])
def test_whatever_a_snippet_prints_is_kept(store: Store, output: str) -> None:
    report = RunReport("exited", output=output, exit_code=1)
    assert store.append_observation(IDENTITY, 0, report).report.output == output


def test_the_first_of_two_equal_observations_stays(store: Store) -> None:
    first = store.append_observation(IDENTITY, 0, REPORT)
    second = store.append_observation(IDENTITY, 0, RunReport("exited", exit_code=3))
    assert second == first


def test_repeats_come_in_order(store: Store) -> None:
    for repeat in (2, 0, 1):
        store.append_observation(IDENTITY, repeat, REPORT)
    key = observation_key(IDENTITY)
    assert [kept.repeat for kept in store.observations([key])[key]] == [0, 1, 2]


def test_what_the_last_bisections_asked_is_counted_by_release(store: Store) -> None:
    stored = {
        release: store.append_observation(identity(release), 0, REPORT).id for release in ("1.9.0", "1.12.0", "1.14.0")
    }
    for releases in (["1.9.0"], ["1.9.0", "1.12.0"], ["1.12.0", "1.14.0"]):
        one = store.create_bisection(REQUEST, SNIPPET).bisection.id
        for release in releases:
            store.link(one, stored[release])
    assert store.asked_releases("tensorflow") == {"1.9.0": 2, "1.12.0": 2, "1.14.0": 1}
    assert store.asked_releases("tensorflow", newest=1) == {"1.12.0": 1, "1.14.0": 1}
    assert store.asked_releases("keras") == {}


def test_the_releases_that_were_measured_of_a_snippet_are_known(store: Store) -> None:
    for release, snippet in (("1.12.0", "sha256:s"), ("1.13.1", "sha256:other"), ("1.14.0", "sha256:s")):
        store.append_observation(identity(release, snippet=snippet), 0, REPORT)
    asked = ["1.11.0", "1.12.0", "1.13.1"]
    assert store.measured_releases("tensorflow", asked, "sha256:s") == {"1.12.0"}
    assert store.measured_releases("keras", asked, "sha256:s") == frozenset()


def test_a_nul_in_another_observation_s_parameters_is_in_nobody_s_way(store: Store) -> None:
    store.append_observation(identity("1.12.0", parameters={"pattern": "a\0b"}), 0, REPORT)
    assert store.measured_releases("tensorflow", ["1.12.0"], "sha256:s") == {"1.12.0"}


@pytest.mark.parametrize("ending", ["lost", "timed-out"])
def test_a_run_without_an_answer_is_no_observation(store: Store, ending: str) -> None:
    with pytest.raises(ValueError, match="append an event"):
        store.append_observation(IDENTITY, 0, RunReport(ending, reason="engine went away"))  # type: ignore[arg-type]
    assert store.observations([observation_key(IDENTITY)]) == {}


@pytest.mark.parametrize(
    "other",
    [
        {"package": "keras"},
        {"release": "1.12.2"},
        {"hardware": "cuda"},
        {"environment": "sha256:f"},
        {"probe": "sha256:q"},
        {"snippet": "sha256:t"},
        {"parameters": {"input_shape": [28, 28]}},
    ],
)
def test_whatever_the_answer_depends_on_changes_the_key(other: dict[str, object]) -> None:
    assert observation_key(IDENTITY) != observation_key(replace(IDENTITY, **other))  # type: ignore[arg-type]


def test_the_order_of_parameters_does_not_change_the_key() -> None:
    one, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert observation_key(identity("1", parameters=one)) == observation_key(identity("1", parameters=other))


def test_many_keys_are_asked_at_once(store: Store) -> None:
    kept = store.append_observation(IDENTITY, 0, REPORT)
    asked = [observation_key(identity(str(number))) for number in range(1200)]
    assert list(store.observations([*asked, kept.key])) == [kept.key]


def test_a_link_is_said_once(store: Store) -> None:
    one = store.create_bisection(REQUEST, SNIPPET).bisection.id
    kept = store.append_observation(IDENTITY, 0, REPORT)
    for reused in (True, False):
        store.link(one, kept.id, "base", reused=reused)
    assert [(used.observation, used.variant, used.reused) for used in store.linked_observations(one)] == [
        (kept, "base", True)
    ]


def test_a_link_to_a_deleted_bisection_is_not_found(store: Store) -> None:
    kept = store.append_observation(IDENTITY, 0, REPORT)
    with pytest.raises(NotFound, match="deleted"):
        store.link("01ARZ3NDEKTSV4RRFFQ69G5FAV", kept.id)
