"""Twenty threads that write the same rows at the same moment: none fails, and one row is there in the end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import TypeVar

from service.bisection.outcomes import RunReport
from service.errors import NotFound
from service.storage.records import StoredDocument, StoredObservation
from service.storage.store import Store
from service.storage.ulid import new_ulid
from tests.storage.worlds import IDENTITY, REPORT, REQUEST, SNIPPET

THREADS = 20
Result = TypeVar("Result")


def at_once(act: Callable[[int], Result]) -> list[Result]:
    """Let every thread act at the same moment; raises what one of them raises."""
    ready = Barrier(THREADS)

    def one(number: int) -> Result:
        ready.wait()
        return act(number)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(one, range(THREADS)))


def test_a_cached_value_is_put_by_many(store: Store) -> None:
    for key in ("first", "second", "third"):
        at_once(lambda number, key=key: store.put_cached("releases", key, [number]))  # type: ignore[misc]
        kept = store.cached("releases", key)
        assert kept is not None
        assert kept[0][0] in range(THREADS)


def test_a_document_is_put_by_many(store: Store) -> None:
    one = store.create_bisection(REQUEST, SNIPPET).bisection.id
    document = StoredDocument("sha256:p", public=True, owner=None, tag='W/"1"', body=b"x")
    assert at_once(lambda number: store.put_document(one, replace(document, tag=str(number)))) == [True] * THREADS
    assert store.document(one) is not None


def test_one_snippet_is_submitted_by_many(store: Store) -> None:
    made = at_once(lambda number: store.create_bisection(REQUEST, SNIPPET).bisection)
    assert len({bisection.id for bisection in made}) == THREADS
    assert len({store.snippet(bisection.snippet_digest) for bisection in made}) == 1


def test_one_observation_is_appended_by_many_and_all_get_the_one_that_stays(store: Store) -> None:
    kept = at_once(lambda number: store.append_observation(IDENTITY, 0, RunReport("exited", exit_code=number)))
    assert len({(one.id, one.report.exit_code) for one in kept}) == 1


def test_observations_that_come_after_all_others_are_all_kept_and_none_twice(store: Store) -> None:
    def append(number: int) -> StoredObservation:
        report, own = RunReport("exited", exit_code=number), new_ulid()
        kept = [store.append_observation(IDENTITY, None, report, observation_id=own) for _ in range(2)]
        assert kept[0] == kept[1]
        return kept[0]

    made = at_once(append)
    assert sorted(one.repeat for one in made) == list(range(THREADS))
    assert sorted(one.report.exit_code or 0 for one in made) == list(range(THREADS))


def test_a_snippet_is_submitted_while_its_last_bisection_is_deleted(store: Store) -> None:
    old = [store.create_bisection(REQUEST, SNIPPET).bisection.id for _ in range(THREADS // 2)]

    def act(number: int) -> str | None:
        if number < len(old):
            store.delete_bisection(old[number])
            return None
        return store.create_bisection(REQUEST, SNIPPET).bisection.snippet_digest

    for digest in filter(None, at_once(act)):
        assert store.snippet(digest) == SNIPPET


def test_an_observation_is_used_while_the_last_bisection_that_used_it_is_deleted(store: Store) -> None:
    old, new = ([store.create_bisection(REQUEST, SNIPPET).bisection.id for _ in range(THREADS // 2)] for _ in range(2))
    for one in old:
        store.link(one, store.append_observation(IDENTITY, 0, REPORT).id)

    def act(number: int) -> None:
        if number < len(old):
            store.delete_bisection(old[number])
            return
        try:
            store.link(new[number - len(old)], store.append_observation(IDENTITY, 0, REPORT).id)
        except NotFound:
            return  # deleted between the two: nothing is linked, and it is run again

    at_once(act)
    for one in new:
        assert [linked.observation.report for linked in store.linked_observations(one)] in ([], [REPORT])
