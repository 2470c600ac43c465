"""Files of projects in the store: kept as long as something needs them."""

from __future__ import annotations

import pytest

from service.errors import BadInput
from service.projects.files import Bounds, Project, project_of
from service.storage.store import Store
from service.storage.watch_records import NewWatch
from tests.storage.worlds import REQUEST, SNIPPET, Clock

DAY = 24 * 3600


def project(content: str = "x = 1") -> Project:
    return project_of([("main.py", content.encode())], Bounds())


def put(store: Store, content: str = "x = 1") -> str:
    made = project(content)
    store.put_project(made.digest, made.packed)
    return made.digest


def test_a_project_comes_back_by_its_digest(store: Store) -> None:
    digest = put(store)
    assert put(store) == digest
    assert store.packed_project(digest) == project().packed


def test_a_project_that_nobody_sent_is_bad_input(store: Store) -> None:
    with pytest.raises(BadInput, match="there is no project sha256:a; send its files") as refused:
        store.packed_project("sha256:a")
    assert refused.value.field == "project"
    with pytest.raises(BadInput, match="there is no project"):
        store.create_bisection({**REQUEST, "project": "sha256:a"}, SNIPPET)
    assert store.bisections().rows == ()


def test_a_project_goes_with_its_last_bisection(store: Store) -> None:
    digest = put(store)
    one, other = (store.create_bisection({**REQUEST, "project": digest}, SNIPPET).bisection.id for _ in range(2))
    store.delete_bisection(one)
    assert store.packed_project(digest)
    store.delete_bisection(other)
    with pytest.raises(BadInput):
        store.packed_project(digest)


def test_what_nobody_used_for_a_day_goes_and_the_rest_stays(store: Store, clock: Clock) -> None:
    unused, used, watched = (put(store, content) for content in ("1", "2", "3"))
    store.create_bisection({**REQUEST, "project": used}, SNIPPET)
    store.add_watch(NewWatch("team", {"probe": "dropout", "project": watched}, SNIPPET, ({"package": "tensorflow"},)))
    clock.pass_seconds(DAY + 1)
    put(store, "4")
    assert store.packed_project(used)
    assert store.packed_project(watched)
    with pytest.raises(BadInput):
        store.packed_project(unused)


def test_unused_projects_have_a_limit_and_the_oldest_go_first(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.storage.projects.UNUSED_BYTES", len(project("1").packed))
    digests = []
    for content in ("1", "2", "3"):
        digests.append(put(store, content))
        clock.pass_seconds(1)
    first, second, third = digests
    assert store.packed_project(second)
    assert store.packed_project(third)
    with pytest.raises(BadInput):
        store.packed_project(first)
