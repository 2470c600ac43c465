from __future__ import annotations

import pytest

from service.errors import BadInput
from service.storage.records import ADMIN, EVERYBODY, Search, Viewer
from service.storage.store import Store
from tests.storage.worlds import REQUEST, SNIPPET, verdict


def submit(store: Store, snippet: str = SNIPPET, *, owner: str | None = None, public: bool = True, **asked: str) -> str:
    return store.create_bisection(REQUEST | asked, snippet, owner=owner, public=public).bisection.id


def found(store: Store, search: Search | None = None, viewer: Viewer = EVERYBODY) -> list[str]:
    return [bisection.id for bisection in store.bisections(search, viewer=viewer).rows]


def test_pages_together_hold_every_bisection_once_newest_first(store: Store) -> None:
    ids = [submit(store) for _ in range(5)]
    seen, cursor = [], None
    for _ in range(3):
        page = store.bisections(limit=2, cursor=cursor)
        seen += [bisection.id for bisection in page.rows]
        cursor = page.next
    assert (seen, cursor) == (ids[::-1], None)


def test_a_full_last_page_has_no_next(store: Store) -> None:
    for _ in range(2):
        submit(store)
    assert store.bisections(limit=2).next is None


def test_a_list_narrows_by_status_probe_and_package(store: Store) -> None:
    noise, keras = submit(store, probe="noise"), submit(store, package="keras")
    store.finish(noise, "done", verdict())
    assert found(store, Search(status="done")) == [noise]
    assert found(store, Search(probe="noise", status="done")) == [noise]
    assert found(store, Search(probe="noise", status="queued")) == []
    assert found(store, Search(package="keras")) == [keras]


def test_a_snippet_is_found_by_all_of_its_words_in_any_case(store: Store) -> None:
    dropout, noise = submit(store), submit(store, "layer = GaussianNoise(stddev=1)")
    assert found(store, Search(text="DROPOUT(0.2) sequential")) == [dropout]
    assert found(store, Search(text="gaussiannoise")) == [noise]
    assert found(store, Search(text="dropout gaussiannoise")) == []
    assert found(store, Search(text=" ")) == [noise, dropout]


def test_a_search_without_a_word_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="at least 3 letters"):
        store.bisections(Search(text="if"))


def test_a_verdict_is_found_by_outcome_and_by_the_release_that_changed(store: Store) -> None:
    changed, unchanged = submit(store), submit(store)
    store.finish(changed, "done", verdict(("introduced", "mainline", "1.11.0")))
    store.finish(unchanged, "done", verdict() | {"segments": [{"outcome": "drops"}]})
    assert found(store, Search(outcomes=("never-drops",))) == [changed]
    assert found(store, Search(outcomes=("drops",))) == [unchanged, changed]
    assert found(store, Search(changed_in="1.11.0")) == [changed]
    assert found(store, Search(changed_in="1.11.0", package="tensorflow", text="dropout")) == [changed]
    assert found(store, Search(changed_in="1.11.0", package="keras")) == []


def test_a_private_bisection_is_seen_by_its_owner_and_by_admins(store: Store) -> None:
    private, public = submit(store, owner="01A", public=False), submit(store)
    assert found(store) == [public]
    assert found(store, viewer=Viewer("01B")) == [public]
    assert found(store, viewer=Viewer("01A")) == [public, private]
    assert found(store, viewer=ADMIN) == [public, private]
    assert found(store, Search(owner="01A"), Viewer("01A")) == [private]
    assert [store.bisection(private).seen_by(viewer) for viewer in (EVERYBODY, Viewer("01A"), ADMIN)] == [
        False,
        True,
        True,
    ]


def test_a_release_shows_what_changed_in_it(store: Store) -> None:
    first, second = submit(store), submit(store, probe="noise")
    store.finish(first, "done", verdict(("introduced", "mainline", "1.11.0"), ("fixed", "mainline", "1.13.1")))
    store.finish(second, "done", verdict(("changed", "1.11", "1.11.0")))
    page = store.changes_in("tensorflow", "1.11.0")
    assert [(change.bisection_id, change.probe, change.kind) for change in page.rows] == [
        (second, "noise", "changed"),
        (first, "dropout", "introduced"),
    ]


def test_pages_of_changes_end_between_bisections(store: Store) -> None:
    ids = [submit(store) for _ in range(3)]
    for one in ids:
        store.finish(one, "done", verdict(("introduced", "mainline", "2.0.0"), ("introduced", "2.0", "2.0.0")))
    seen, cursor = [], None
    for _ in range(3):
        page = store.changes_in("tensorflow", "2.0.0", limit=3, cursor=cursor)
        seen += [change.bisection_id for change in page.rows]
        cursor = page.next
    assert (seen, cursor) == ([one for one in ids[::-1] for _ in range(2)], None)


def test_similar_bisections_changed_at_the_same_places(store: Store) -> None:
    same, twin, other, unchanged = (submit(store) for _ in range(4))
    for one in (same, twin):
        store.finish(one, "done", verdict(("introduced", "mainline", "1.11.0")))
    store.finish(other, "done", verdict(("introduced", "mainline", "1.12.0")))
    store.finish(unchanged, "done", verdict())
    assert [bisection.id for bisection in store.similar_bisections(same)] == [twin]
    assert store.similar_bisections(unchanged) == ()
