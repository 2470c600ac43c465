"""A package index in trouble: readers never wait for it, and what it said before is shown with its age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.cli.doctor import CHECKS
from tests.catalog.odd_index import OddIndex, odd_index
from tests.web.conftest import Served, served
from tests.web.world import TUTORIAL, World

READ = (
    "/b/{id}",
    "/b/{id}.md",
    "/b/{id}.svg",
    "/b/{id}.csv",
    "/b/{id}/r/1.11.0",
    "/compare?left={id}&right={id}",
    "/api/v1/bisections/{id}",
    "/api/v1/bisections",
    "/bisections",
    "/releases/tensorflow/1.11.0",
    "/releases/never-heard-of/1.0",
    "/",
)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddIndex]:
    # An index in trouble is left alone for a while; here every view that asks it is seen.
    monkeypatch.setattr("service.catalog.releases.ASKED_AGAIN_AFTER", timedelta(0))
    with odd_index({}) as up:
        up.mode = "internal error"
        yield up


@pytest.fixture
def served_beside_it(index: OddIndex, tmp_path: Path) -> Iterator[Served]:
    with served(World(tmp_path, index_url=index.url, catalog_max_age_seconds=0.001)) as up:
        yield up


def test_no_page_of_a_finished_bisection_asks_the_index(index: OddIndex, served_beside_it: Served) -> None:
    done = served_beside_it.bisected(TUTORIAL)
    assert done["status"] == "done"
    asked = len(index.asked)
    for path in READ:
        answer = served_beside_it.client.get(path.format(id=done["id"]))
        assert answer.status_code == 200, path
        assert index.asked[asked:] == [], path


def test_a_list_that_the_index_gave_before_is_shown_with_its_age_and_what_is_wrong(
    index: OddIndex, served_beside_it: Served
) -> None:
    listed = served_beside_it.client.get("/api/v1/releases").json()
    assert len(listed["items"]) > 50
    assert not any(item["gone"] for item in listed["items"])
    assert listed["as_of"].startswith("20")
    assert "answers 500" in listed["problem"]
    page = served_beside_it.client.get("/releases").text
    assert "answers 500" in page
    assert listed["as_of"][:10] in page


def test_the_doctor_tells_of_an_index_in_trouble(index: OddIndex, tmp_path: Path) -> None:
    world = World(tmp_path, index_url=index.url, catalog_max_age_seconds=0.001)
    state, message = dict(CHECKS)["package index"](world)
    assert state == "warning"
    assert "answers 500" in message
    world.close()
