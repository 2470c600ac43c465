from __future__ import annotations

from dataclasses import replace

from service.storage.exchange import export_lines
from service.storage.records import StoredDocument
from service.storage.store import Store
from tests.storage.worlds import REQUEST, SNIPPET

DOCUMENT = StoredDocument("sha256:p", public=False, owner="OWNER", tag='W/"1"', body=b"\x1f\x8b\x00rest")


def bisection(store: Store) -> str:
    return store.create_bisection(REQUEST, SNIPPET).bisection.id


def test_a_document_is_read_back_as_it_was_put(store: Store) -> None:
    one = bisection(store)
    assert store.document(one) is None
    assert store.put_document(one, DOCUMENT)
    assert store.document(one) == DOCUMENT


def test_a_later_document_takes_the_place_of_an_earlier_one(store: Store) -> None:
    one = bisection(store)
    later = replace(DOCUMENT, made_by="sha256:q", public=True, owner=None, tag='W/"2"')
    for document in (DOCUMENT, later):
        store.put_document(one, document)
    assert store.document(one) == later


def test_who_asks_for_the_tag_gets_no_body(store: Store) -> None:
    one = bisection(store)
    assert store.document_tag(one) is None
    store.put_document(one, DOCUMENT)
    assert store.document_tag(one) == replace(DOCUMENT, body=b"")


def test_a_document_goes_with_its_bisection(store: Store) -> None:
    one = bisection(store)
    store.put_document(one, DOCUMENT)
    store.delete_bisection(one)
    assert store.document(one) is None
    assert not store.put_document(one, DOCUMENT)


def test_a_document_that_another_process_wrote_is_seen_at_once(store: Store, url: str) -> None:
    one = bisection(store)
    assert store.document(one) is None
    with Store.open(url) as other:
        other.put_document(one, DOCUMENT)
    assert store.document(one) == DOCUMENT


def test_documents_stay_behind_when_a_database_is_exported(store: Store, url: str) -> None:
    store.put_document(bisection(store), DOCUMENT)
    assert not any('"table":"documents"' in line for line in export_lines(url))
