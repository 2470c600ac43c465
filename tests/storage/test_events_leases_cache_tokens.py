from __future__ import annotations

from datetime import timedelta

import pytest

from service.errors import BadInput, NotFound
from service.storage.records import Claim
from service.storage.store import Store
from tests.storage.worlds import REQUEST, SNIPPET, Clock


def test_events_resume_after_the_last_one_seen(store: Store, clock: Clock) -> None:
    one = store.create_bisection(REQUEST, SNIPPET).bisection.id
    store.claim_one(one, "a", 60)
    for number in range(3):
        store.record(Claim(one, "a"), happened=[("progress", {"runs_done": number})])
    after = store.events_after(one, 1)
    assert [(event.seq, event.payload, event.created_at) for event in after] == [
        (2, {"runs_done": 1}, clock.now),
        (3, {"runs_done": 2}, clock.now),
    ]
    assert [event.seq for event in store.events_after(one, 0, limit=2)] == [1, 2]


def test_one_question_tells_where_many_streams_stand(store: Store) -> None:
    quiet, busy = (store.create_bisection(REQUEST, SNIPPET).bisection.id for _ in range(2))
    store.claim_one(busy, "a", 60)
    store.record(Claim(busy, "a"), happened=[("progress", {})])
    assert store.event_positions([quiet, busy, "unknown"]) == {quiet: (0, "queued"), busy: (1, "running")}


def test_a_lease_has_one_holder_until_it_runs_out(store: Store, clock: Clock) -> None:
    assert store.acquire_lease("nightly", "a", 60)
    assert store.acquire_lease("nightly", "a", 60)
    assert not store.acquire_lease("nightly", "b", 60)
    assert store.lease_holder("nightly") == "a"
    clock.pass_seconds(61)
    assert store.lease_holder("nightly") is None
    assert store.acquire_lease("nightly", "b", 60)
    store.release_lease("nightly", "a")
    assert store.lease_holder("nightly") == "b"
    store.release_lease("nightly", "b")
    assert store.acquire_lease("nightly", "a", 60)


def test_a_lease_written_before_the_clock_was_set_back_holds_nobody_up(store: Store, clock: Clock) -> None:
    bisection_id = store.create_bisection(REQUEST, SNIPPET).bisection.id
    assert store.claim_one(bisection_id, "died", 60)
    assert store.acquire_lease("nightly", "died", 60)
    clock.pass_seconds(-3600)
    assert store.lease_holder("nightly") is None
    assert store.acquire_lease("nightly", "next", 60)
    assert store.claim("next", 60) == bisection_id


@pytest.mark.parametrize("key", ["tensorflow", "x" * 5000])
def test_the_cache_keeps_the_newest_value(store: Store, clock: Clock, key: str) -> None:
    assert store.cached("project", key) is None
    store.put_cached("project", key, {"files": [1]})
    clock.pass_seconds(5)
    store.put_cached("project", key, [None, 1.5])
    assert store.cached("project", key) == ([None, 1.5], clock.now)
    assert store.cached("other", key) is None


def test_containers_that_wait_are_counted_over_all_coordinators_that_still_tell(store: Store, clock: Clock) -> None:
    assert store.waiting_noted(30) == 0
    store.note_waiting("serve@one:1:a", 3)
    clock.pass_seconds(20)
    store.note_waiting("serve@two:1:b", 4)
    assert store.waiting_noted(30) == 7
    store.note_waiting("serve@two:1:b", 2)
    clock.pass_seconds(20)
    assert store.waiting_noted(30) == 2, "the other one is gone"


def test_a_token_opens_until_it_is_revoked(store: Store) -> None:
    token, secret = store.create_token("ci", ["submit", "read"])
    assert token.scopes == {"read", "submit"}
    opened = store.token_of(secret)
    assert opened is not None
    assert opened.id == token.id
    assert store.token_of(secret + "x") is None
    assert store.revoke_token("ci") == 1
    assert store.token_of(secret) is None
    with pytest.raises(NotFound, match="tokens list"):
        store.revoke_token("ci")


def test_a_token_opens_until_it_expires(store: Store, clock: Clock) -> None:
    _, secret = store.create_token("ci", ["read"], clock.now + timedelta(hours=1))
    clock.pass_seconds(3599)
    assert store.token_of(secret) is not None
    clock.pass_seconds(1)
    assert store.token_of(secret) is None


def test_the_last_use_of_a_token_is_noted(store: Store, clock: Clock) -> None:
    _, secret = store.create_token("ci", ["read"])
    store.token_of(secret)
    assert [token.last_used_at for token in store.tokens()] == [clock.now]


@pytest.mark.parametrize("scopes", [[], ["read", "root"]])
def test_a_token_without_a_known_scope_is_refused(store: Store, scopes: list[str]) -> None:
    with pytest.raises(BadInput, match="read, submit, admin"):
        store.create_token("ci", scopes)
