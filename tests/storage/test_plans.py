"""Lists and searches walk along an index from its newest end: their cost does not grow with the table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from service.storage.engine import make_engine, transaction
from service.storage.exchange import import_lines
from service.storage.records import EVERYBODY, Search, Viewer
from service.storage.store import Store
from service.storage.ulid import made_at
from tests.storage.crowd import crowd_lines, made_id

CROWD = 4000
LIMIT = 20
# Generous: a page, its neighbours that the viewer may not see, and the rows that they are joined with.
ROWS_OF_A_PAGE = 20 * LIMIT

# Fine: a walk along an index, the count of a bounded subquery, rows of one bisection put in order.
_SQLITE_COMPLAINT = re.compile(r"SCAN (?!anon_|.*USING (COVERING )?INDEX)|USE TEMP B-TREE (?!FOR RIGHT PART)")

SEARCHES = {
    "all": Search(),
    "by status": Search(status="done"),
    "by rare status": Search(status="queued"),
    "by probe": Search(probe="noise"),
    "by probe and status": Search(probe="custom", status="failed"),
    "by owner": Search(owner="OWNER3"),
    "by common word": Search(text="dropout"),
    "by rare word": Search(text="rare_layer"),
    "by rare and common words": Search(text="model tensorflow rare_layer dropout"),
    "by outcome": Search(outcomes=("flaky",)),
    "by release that changed": Search(changed_in="1.11.0"),
    "by a finding": Search(finding="changed"),
    "by another finding": Search(finding="unchanged"),
    "by package and finding": Search(package="tensorflow", finding="changed"),
    "by date": Search(since=made_at(made_id(0, 100)), until=made_at(made_id(0, 900))),
    "oldest first": Search(oldest_first=True, probe="noise"),
    "by everything": Search(text="dropout", outcomes=("drops",), changed_in="2.7.0", package="tensorflow"),
}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('crowd') / 'store.sqlite3'}"
    else:
        url = request.getfixturevalue("crowded_postgres_url")
    import_lines(url, crowd_lines(CROWD, 2))
    engine = make_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if request.param == "postgres":
            # The whole table is read for its statistics: of the default sample the planner drew, now and then, the
            # wrong conclusion, and walked along the entries of a common word.
            connection.execute(text("SET default_statistics_target = 10000"))
            connection.execute(text("VACUUM"))
        connection.execute(text("ANALYZE"))
    engine.dispose()
    with Store.open(url) as store:
        yield store


def explained(store: Store, statement: str, parameters: Any) -> list[str]:
    """Return what is wrong with a statement's plan: whole tables read, sorts, more rows than a page needs."""
    with transaction(store._engine, writes=False) as connection:
        if store._engine.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [str(row[3]) for row in rows]
            return [step for step in steps if _SQLITE_COMPLAINT.match(step)]
        (plan,) = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).one()
        found = plan if isinstance(plan, list) else json.loads(plan)
        return list(_complaints(found[0]["Plan"]))


def _complaints(node: dict[str, Any]) -> Iterator[str]:
    touched = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    kind = node["Node Type"]
    if kind in {"Seq Scan", "Sort", "Bitmap Heap Scan"} and touched > ROWS_OF_A_PAGE:
        yield f"{kind} of {touched} rows"
    elif kind == "Seq Scan" or touched > 3 * ROWS_OF_A_PAGE:
        yield f"{kind} on {node.get('Relation Name')}: {touched} rows"
    for child in node.get("Plans", ()):
        yield from _complaints(child)


def every_statement(engine: Engine) -> tuple[list[tuple[str, Any]], Any]:
    seen: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    return seen, note


@pytest.mark.parametrize("cursor", [None, made_id(0, CROWD // 2)])
@pytest.mark.parametrize("viewer", [EVERYBODY, Viewer("OWNER3")])
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())
def test_a_list_reads_no_more_than_its_page(crowded: Store, search: Search, viewer: Viewer, cursor: str | None) -> None:
    seen, note = every_statement(crowded._engine)
    crowded.bisections(search, limit=LIMIT, viewer=viewer, cursor=cursor)
    event.remove(crowded._engine, "before_cursor_execute", note)
    assert seen
    assert [explained(crowded, *statement) for statement in seen] == [[]] * len(seen)


@pytest.mark.parametrize("release", ["1.11.0", "2.7.0", "9.9.9"])
def test_what_changes_in_a_release_is_read_along_its_index(crowded: Store, release: str) -> None:
    seen, note = every_statement(crowded._engine)
    crowded.changes_in("tensorflow", release, limit=LIMIT)
    one = crowded.bisections(Search(status="done"), limit=1).rows[0].id
    crowded.similar_bisections(one)
    crowded.events_after(one)
    crowded.event_positions([one])
    crowded.open_counts()
    crowded.measured_releases("tensorflow", ["1.0.0", "1.1.0", "9.9.9"], "sha256:1000")
    event.remove(crowded._engine, "before_cursor_execute", note)
    assert [explained(crowded, *statement) for statement in seen] == [[]] * len(seen)


def test_a_whole_table_read_is_noticed(crowded: Store) -> None:
    statement = "SELECT * FROM bisections WHERE attempts > 0 ORDER BY created_at"
    assert explained(crowded, statement, ())


def test_a_search_finds_among_many_what_it_finds_among_few(crowded: Store) -> None:
    page = crowded.bisections(Search(text="rare_layer dropout", status="done"), limit=500, viewer=Viewer(sees_all=True))
    rare = [made_id(0, number) for number in range(0, CROWD, 100)]
    assert {bisection.id for bisection in page.rows} == {one for one in rare if crowded.bisection(one).status == "done"}
