from __future__ import annotations

from collections.abc import Sequence

import pytest

from service.errors import BadInput, NotFound
from service.storage.records import Claim, Standing, Waiting
from service.storage.store import Store
from tests.storage.worlds import IDENTITY, REPORT, REQUEST, SNIPPET, Clock, identity, verdict


def test_a_bisection_is_read_as_it_was_submitted(store: Store, clock: Clock) -> None:
    created = store.create_bisection(REQUEST, SNIPPET, public=False, owner="01TOKEN")
    read = store.bisection(created.bisection.id)
    assert created.is_new
    assert (read.status, read.request, read.created_at) == ("queued", REQUEST, clock.now)
    assert (read.package, read.probe, read.public, read.owner) == ("tensorflow", "dropout", False, "01TOKEN")
    assert store.snippet(read.snippet_digest) == SNIPPET


@pytest.mark.parametrize("unknown", ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "", "no\0thing"])
def test_an_unknown_bisection_is_not_found(store: Store, unknown: str) -> None:
    with pytest.raises(NotFound, match="no bisection"):
        store.bisection(unknown)


def test_an_idempotency_key_makes_one_bisection(store: Store) -> None:
    first = store.create_bisection(REQUEST, SNIPPET, idempotency_key="k")
    again = store.create_bisection(REQUEST, SNIPPET, idempotency_key="k")
    other_owner = store.create_bisection(REQUEST, SNIPPET, idempotency_key="k", owner="01TOKEN")
    assert (again.is_new, again.bisection.id) == (False, first.bisection.id)
    assert other_owner.is_new


def test_an_idempotency_key_of_another_request_is_refused(store: Store) -> None:
    store.create_bisection(REQUEST, SNIPPET, idempotency_key="k")
    with pytest.raises(BadInput, match="use a new key"):
        store.create_bisection(REQUEST, SNIPPET + "#", idempotency_key="k")


def queue(store: Store, number: int = 1) -> list[str]:
    return [store.create_bisection(REQUEST, SNIPPET).bisection.id for _ in range(number)]


def test_the_oldest_is_claimed_first_and_none_twice(store: Store) -> None:
    ids = queue(store, 2)
    assert [store.claim("a", 60), store.claim("b", 60), store.claim("a", 60)] == [*ids, None]
    assert store.open_counts() == {"queued": 0, "running": 2}


def test_a_claim_whose_holder_died_goes_to_the_next(store: Store, clock: Clock) -> None:
    (one,) = queue(store)
    store.claim("dead", 60)
    clock.pass_seconds(61)
    assert store.claim("next", 60) == one
    assert store.bisection(one).attempts == 2
    assert store.standing([Claim(one, "dead"), Claim(one, "next")]) == {
        Claim(one, "dead"): Standing(is_held=False, is_cancelled=False),
        Claim(one, "next"): Standing(is_held=True, is_cancelled=False),
    }
    assert not store.record(Claim(one, "dead"), (), [("progress", {})], {"runs_done": 7}).is_held
    assert (store.bisection(one).progress, store.events_after(one)) == (None, [])
    assert not store.finish(one, "done", verdict(), owner="dead")
    assert store.finish(one, "done", verdict(), owner="next")


def test_a_renewed_claim_is_not_taken(store: Store, clock: Clock) -> None:
    (one,) = queue(store)
    store.claim("a", 60)
    clock.pass_seconds(50)
    store.renew([Claim(one, "a")], 60)
    clock.pass_seconds(50)
    assert store.claim("b", 60) is None


def test_a_claim_that_is_given_back_is_queued_again(store: Store) -> None:
    (one,) = queue(store)
    store.claim("a", 60)
    assert not store.requeue(Claim(one, "b"))
    assert store.requeue(Claim(one, "a"))
    assert store.bisection(one).attempts == 0, "in good order: nothing went wrong"
    assert store.claim("b", 60) == one


def test_a_claim_that_failed_rests_before_it_is_queued_again(store: Store, clock: Clock) -> None:
    (one,) = queue(store)
    store.claim("a", 60)
    assert store.put_back(Claim(one, "a"), 20, {"problem": "the engine is away"})
    assert (store.bisection(one).status, store.bisection(one).attempts) == ("queued", 1)
    clock.pass_seconds(19)
    assert store.claim("b", 60) is None
    clock.pass_seconds(2)
    assert store.claim("b", 60) == one


def test_a_bisection_that_gets_ahead_begins_to_count_its_attempts_anew(store: Store, clock: Clock) -> None:
    (one,) = queue(store)
    for _ in range(3):
        clock.pass_seconds(61)
        store.claim("killed", 60)
    assert store.bisection(one).attempts == 3
    store.record(Claim(one, "killed"), (), [("progress", {})])
    assert store.bisection(one).attempts == 3, "a lost run is no progress"
    stored = store.append_observation(IDENTITY, 0, REPORT)
    store.record(Claim(one, "killed"), [(stored.id, "", False)], [("observation", {})])
    assert store.bisection(one).attempts == 0


def test_one_step_is_written_whole_or_not_at_all(store: Store) -> None:
    (one,) = queue(store)
    store.claim("a", 60)
    with pytest.raises(NotFound, match="deleted"):
        store.record(Claim(one, "a"), [("01ARZ3NDEKTSV4RRFFQ69G5FAV", "", False)], [("observation", {})], {"n": 1})
    assert (store.bisection(one).progress, store.events_after(one)) == (None, [])


def test_a_coordinator_chooses_among_those_that_wait(store: Store, clock: Clock) -> None:
    first, second = queue(store, 2)
    clock.pass_seconds(5)
    seen: list[Waiting] = []

    def the_second(waiting: Sequence[Waiting]) -> str | None:
        seen.extend(waiting)
        return waiting[1].bisection_id

    assert store.claim("nightly@host:1:X", 60, the_second) == second
    assert [(one.bisection_id, one.waited_seconds, one.nightly) for one in seen] == [
        (first, 5, False),
        (second, 5, False),
    ]
    clock.pass_seconds(61)
    assert [(one.bisection_id, one.nightly) for one in store.waiting()] == [(first, False), (second, True)]


def test_a_queued_bisection_is_cancelled_at_once(store: Store) -> None:
    (one,) = queue(store)
    assert store.request_cancel(one).status == "cancelled"
    assert store.claim("a", 60) is None
    assert [event.kind for event in store.events_after(one)] == ["end"]


def test_a_running_bisection_is_cancelled_by_its_coordinator(store: Store) -> None:
    (one,) = queue(store)
    store.claim("a", 60)
    claim = Claim(one, "a")
    assert not store.standing([claim])[claim].is_cancelled
    assert store.request_cancel(one).status == "running"
    assert store.standing([claim])[claim].is_cancelled
    assert store.record(claim, (), [("progress", {})]).is_cancelled
    assert store.finish(one, "cancelled", owner="a")
    assert store.request_cancel(one).status == "cancelled"


def test_a_finished_bisection_is_finished_once(store: Store, clock: Clock) -> None:
    (one,) = queue(store)
    store.claim("a", 60)
    found = verdict(("introduced", "mainline", "1.11.0"))
    assert store.finish(one, "done", found, events=[("verdict", found), ("end", {"status": "done"})])
    assert not store.finish(one, "failed", error={"title": "late"})
    read = store.bisection(one)
    assert (read.status, read.verdict, read.error, read.finished_at) == ("done", found, None, clock.now)
    assert [(event.seq, event.kind) for event in store.events_after(one)] == [(1, "verdict"), (2, "end")]


def test_an_exception_name_of_any_length_is_kept(store: Store) -> None:
    (one,) = queue(store)
    found = verdict(("changed", "mainline", "1.11.0"))
    found["segments"][0]["outcome"] = found["changes"][0]["old"] = "raises:" + "X" * 5000 + "\0"
    assert store.finish(one, "done", found)
    assert store.bisection(one).verdict == found


def test_progress_is_what_was_said_last(store: Store) -> None:
    (one,) = queue(store)
    store.claim("a", 60)
    store.record(Claim(one, "a"), (), (), {"runs_done": 1})
    store.record(Claim(one, "a"), (), (), {"runs_done": 2, "current": ["1.12.0"]})
    assert store.bisection(one).progress == {"runs_done": 2, "current": ["1.12.0"]}


def test_deleting_takes_what_nobody_else_uses(store: Store) -> None:
    one, other = queue(store, 2)
    private = store.append_observation(IDENTITY, 0, REPORT)
    shared = store.append_observation(identity("1.11.0"), 0, REPORT)
    store.link(one, private.id)
    store.link(one, shared.id)
    store.link(other, shared.id)
    digest = store.bisection(one).snippet_digest
    store.delete_bisection(one)
    with pytest.raises(NotFound):
        store.bisection(one)
    assert set(store.observations([private.key, shared.key])) == {shared.key}
    assert store.snippet(digest) == SNIPPET
    store.delete_bisection(other)
    with pytest.raises(NotFound):
        store.snippet(digest)
