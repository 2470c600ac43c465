from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest

from service.errors import BadInput, StoreError
from service.storage.exchange import export_lines, import_lines
from service.storage.records import Claim
from service.storage.schema import downgrade
from service.storage.store import Store
from service.storage.tables import metadata
from tests.storage.crowd import crowd_lines
from tests.storage.worlds import IDENTITY, REPORT, REQUEST, SNIPPET, live_a_night, verdict

ODD = replace(REPORT, result={"measurements": {"loss": math.inf}}, output="a\0b\ud800日本\n")


def fill(url: str) -> None:
    with Store.open(url) as store:
        store.put_project("sha256:p", bytes(range(256)))
        request = {**REQUEST, "project": "sha256:p"}
        one = store.create_bisection(request, SNIPPET + "# 日本\n", idempotency_key="k", public=False).bisection.id
        store.link(one, store.append_observation(IDENTITY, 0, ODD).id, "base")
        store.claim_one(one, "a", 60)
        store.record(Claim(one, "a"), happened=[("progress", {"runs_done": 1})])
        store.put_explanation("sha256:e", {"before": "1.10.1"}, {"axis": "release"}, used_by=(one, 0))
        store.append_hypothesis_run("sha256:e", "sha256:h", 0, {"set": []}, ODD)
        store.request_explanation(one, 60)
        store.put_cached("project", "tensorflow", {"files": [None, 1.5]})
        store.put_cached("project", "nothing", None)
        store.create_token("ci", ["read"])
        store.acquire_lease("nightly", "a", 60)
        store.finish(one, "done", verdict(("introduced", "mainline", "1.11.0")))
        live_a_night(store, one)


def test_an_export_is_imported_without_a_difference(url: str, empty_postgres_url: str, tmp_path: Path) -> None:
    fill(url)
    exported = list(export_lines(url))
    there = empty_postgres_url if url.startswith("sqlite") else f"sqlite:///{tmp_path / 'there.sqlite3'}"
    counts = import_lines(there, exported)
    assert counts["bisections"] == counts["observations"] == 1
    # Rendered answers stay behind.
    assert set(counts) == set(metadata.tables) - {"documents"}
    assert list(export_lines(there)) == exported


CROWD = 1_500
"""More than are read or written at once."""


@pytest.mark.postgres
def test_more_bisections_than_a_batch_travel_to_postgresql_and_back_row_by_row(
    empty_postgres_url: str, tmp_path: Path
) -> None:
    here, back = (f"sqlite:///{tmp_path / name}.sqlite3" for name in ("here", "back"))
    import_lines(here, crowd_lines(CROWD, 1))
    rows_here = list(export_lines(here))
    counts = import_lines(empty_postgres_url, rows_here)
    rows_there = list(export_lines(empty_postgres_url))
    import_lines(back, rows_there)
    assert (counts["bisections"], counts["observations"], counts["links"]) == (CROWD, CROWD, CROWD)
    for three in zip_longest(rows_here, rows_there, export_lines(back)):
        assert len(set(three)) == 1


Spoil = Callable[[list[str]], list[str]]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda lines: lines[:-1], "incomplete"),
        (lambda lines: [line for line in lines if '"events"' not in line[:20]], "0 rows of events, but 1 exported"),
        (lambda lines: [], "not JSON"),
        (lambda lines: ["[]"], "not an object"),
        (lambda lines: ['{"format": "other"}'], "not tfbisect/export/1"),
        (lambda lines: ['{"format": "tfbisect/export/1", "version": "0000"}'], "export again"),
        (lambda lines: [lines[0], '{"table": "users", "row": {}}'], "no table users"),
    ],
)
def test_a_spoilt_export_imports_nothing(url: str, tmp_path: Path, spoil: Spoil, says: str) -> None:
    source = f"sqlite:///{tmp_path / 'source.sqlite3'}"
    fill(source)
    with pytest.raises(BadInput, match=says):
        import_lines(url, spoil(list(export_lines(source))))
    with Store.open(url) as store:
        assert store.tokens() == []
        assert store.bisections().rows == ()


def test_an_import_into_a_database_in_use_is_refused(url: str) -> None:
    fill(url)
    lines = list(export_lines(url))
    with pytest.raises(StoreError, match="import into a new database"):
        import_lines(url, lines)


def test_an_export_of_an_old_database_says_what_to_do(url: str) -> None:
    downgrade(url, "0001")
    with pytest.raises(StoreError, match="tfbisect db upgrade"):
        list(export_lines(url))
