"""Watches, their nights and their messages, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from service.errors import BadInput, NotFound
from service.storage.engine import make_engine, transaction
from service.storage.records import ADMIN, EVERYBODY, Claim, Viewer
from service.storage.schema import upgrade
from service.storage.store import Store
from service.storage.tables import deliveries, watch_passes, watch_runs
from service.storage.watch_records import NewDelivery, NewWatch, NewWatchRun, Watch
from tests.storage.crowd import made_id
from tests.storage.test_plans import every_statement, explained
from tests.storage.worlds import SNIPPET, Clock, live_a_night

TEAM = NewWatch("team", {"probe": "dropout"}, SNIPPET, ({"package": "tensorflow"},), origin="file:team.toml")
HOOK = NewDelivery("webhook", "https://ci.test/hook", {"event": "verdict.changed"})


def night(store: Store, watch: Watch, status: Any = "unchanged", **more: Any) -> NewWatchRun:
    return NewWatchRun(watch.id, store.open_pass().id, "tensorflow", status, {}, **more)


def test_a_watch_of_a_file_says_what_the_file_says_now(store: Store) -> None:
    first = store.put_watch(TEAM)
    now = store.put_watch(replace(TEAM, snippet=SNIPPET + "# edited\n", blind_after=5))
    assert (now.id, now.blind_after) == (first.id, 5)
    assert store.snippet(now.snippet_digest).endswith("# edited\n")
    assert len(store.watches()) == 1


def test_a_file_does_not_take_the_name_of_a_watch_that_somebody_else_made(store: Store) -> None:
    store.add_watch(replace(TEAM, origin="cli"))
    with pytest.raises(BadInput, match="choose another name"):
        store.put_watch(TEAM)


def test_a_removed_watch_is_found_by_its_id_only_and_frees_its_name(store: Store) -> None:
    gone = store.add_watch(TEAM)
    store.remove_watch("team")
    with pytest.raises(NotFound):
        store.watch("team")
    assert store.watch(gone.id).removed_at is not None
    assert store.add_watch(TEAM).id != gone.id


def test_a_private_watch_is_its_owners_and_the_admins(store: Store) -> None:
    watch = store.add_watch(replace(TEAM, public=False, owner="01OWNER"))
    store.add_watch_run(night(store, watch))
    for viewer, seen in ((EVERYBODY, 0), (Viewer("01OTHER"), 0), (Viewer("01OWNER"), 1), (ADMIN, 1)):
        assert len(store.watches(viewer=viewer)) == seen
        assert len(store.night_statuses(viewer=viewer)) == seen
        assert len(store.night_statuses(watch_id=watch.id, viewer=viewer)) == seen


def test_a_night_is_kept_once_and_its_messages_with_it(store: Store) -> None:
    watch = store.add_watch(TEAM)
    found = night(store, watch, "changed")
    with ThreadPoolExecutor(4) as hands:
        kept = list(hands.map(lambda _: store.add_watch_run(found, [HOOK]).id, range(4)))
    assert len(set(kept)) == 1
    assert len(store.deliveries()) == 1


def test_the_last_verdict_before_a_night_is_found(store: Store) -> None:
    watch = store.add_watch(TEAM)
    ids = []
    for verdict in ({"n": 1}, None, {"n": 2}, None):
        ids.append(store.add_watch_run(night(store, watch, verdict=verdict)).id)
        store.finish_pass(store.open_pass().id, {})
    found = [store.last_verdict_run(watch.id, "tensorflow", before=before) for before in (None, ids[2], ids[0])]
    assert [run.verdict if run else None for run in found] == [{"n": 2}, {"n": 1}, None]


def test_a_pass_that_was_not_finished_is_gone_on_with(store: Store) -> None:
    begun = store.open_pass()
    assert store.open_pass() == begun
    store.finish_pass(begun.id, {"rows": []})
    assert store.open_pass().id > begun.id


def test_a_message_is_claimed_by_one_sender(store: Store, clock: Clock) -> None:
    watch = store.add_watch(TEAM)
    store.add_watch_run(night(store, watch), [replace(HOOK, target=f"https://ci.test/{number}") for number in range(6)])
    with ThreadPoolExecutor(4) as hands:
        claimed = list(hands.map(lambda _: store.claim_delivery(60), range(10)))
    ids = [delivery.id for delivery in claimed if delivery]
    assert len(ids) == len(set(ids)) == 6
    clock.now += timedelta(seconds=61)
    assert store.claim_delivery(60) is not None


def test_what_a_program_said_is_kept_whatever_letters_it_holds(store: Store) -> None:
    bisection = store.create_bisection({"package": "tensorflow", "probe": "dropout"}, SNIPPET).bisection.id
    watch = live_a_night(store, bisection)
    assert store.history(watch).rows[0].message.endswith("it said: a\ufffdb\ufffd")


def test_a_reserved_bisection_waits_for_its_name(store: Store) -> None:
    one = store.create_bisection({"package": "tensorflow", "probe": "dropout"}, SNIPPET).bisection.id
    assert store.claim("pass", 60) == one
    assert store.requeue(Claim(one, "pass"), reserved_for="nightly")
    assert (store.claim("anybody", 60), store.reserved("nightly")) == (None, [one])
    assert store.claim_one(one, "pass", 60)
    assert store.reserved("nightly") == []


# With half as many watches PostgreSQL walks through the nights of all of them, which costs it less: a page of a watch
# is never far from the newest night. That does not grow with the nights either, but it hides whether an index is there.
WATCHES, NIGHTS = 80, 125


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def long_watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Eighty watches for four months, a message every tenth night."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('nights') / 'store.sqlite3'}"
    else:
        url = request.getfixturevalue("crowded_postgres_url")
    upgrade(url)
    with Store.open(url) as store:
        made = [store.add_watch(replace(TEAM, name=f"team-{number}")) for number in range(WATCHES)]
        _live(url, [watch.id for watch in made], store.open_pass().started_at)
        engine = make_engine(url)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE" if request.param == "postgres" else "ANALYZE"))
        engine.dispose()
        yield store


def _live(url: str, watch_ids: list[str], moment: Any) -> None:
    nights = [(number, one) for number in range(NIGHTS) for one in range(WATCHES)]
    ids = {pair: made_id(5, place) for place, pair in enumerate(nights)}
    passes = [{"id": made_id(4, number), "started_at": moment, "finished_at": moment} for number in range(NIGHTS)]
    runs = [
        {
            "id": ids[number, one],
            "watch_id": watch_ids[one],
            "pass_id": made_id(4, number),
            "package": "tensorflow",
            "finished_at": moment,
            "status": "changed" if number % 10 == 0 else "unchanged",
            "seen": {},
            "verdict": {"n": number},
            "message": "nothing new",
        }
        for number, one in nights
    ]
    sent = [
        {
            "id": made_id(6, place),
            "watch_run_id": run["id"],
            "channel": "webhook",
            "target": "https://ci.test/hook",
            "payload": {},
            "attempts": 1,
            "status": "delivered",
            "created_at": moment,
            "next_attempt_at": None,
        }
        for place, run in enumerate(runs)
        if run["status"] == "changed"
    ]
    engine = make_engine(url)
    with transaction(engine, writes=True) as connection:
        for table, rows in ((watch_passes, passes), (watch_runs, runs), (deliveries, sent)):
            connection.execute(insert(table), rows)
    engine.dispose()


READS: dict[str, Callable[[Store, str], object]] = {
    "the strip of a watch": lambda store, one: store.recent_runs(one, "tensorflow", 60),
    "its history": lambda store, one: store.history(one, limit=30),
    "older nights": lambda store, one: store.history(one, limit=30, cursor=made_id(5, 3000)),
    "its last verdict": lambda store, one: store.last_verdict_run(one, "tensorflow"),
    "a verdict long ago": lambda store, one: store.last_verdict_run(one, "tensorflow", before=made_id(5, 500)),
    "how its nights ended": lambda store, one: store.night_statuses(watch_id=one, limit=365),
    "nights by their ids": lambda store, _: store.watch_runs([made_id(5, number) for number in (1, 77, 4000)]),
    "the last pass": lambda store, _: store.last_pass(),
    "what a pass found": lambda store, _: store.runs_of_pass(made_id(4, 100)),
    "what is due": lambda store, _: store.claim_delivery(60),
    "the newest messages": lambda store, _: store.deliveries(),
    "whose night it was": lambda store, _: store.watch_of_run(made_id(5, 4000)),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_of_ten_thousand_nights_goes_along_an_index(long_watched: Store, name: str) -> None:
    watch = long_watched.watches()[7]
    seen, note = every_statement(long_watched._engine)
    READS[name](long_watched, watch.id)
    event.remove(long_watched._engine, "before_cursor_execute", note)
    # The handful of watches is read as it is; their nights are not.
    many = [statement for statement in seen if "watch_runs" in statement[0] or "deliveries" in statement[0]]
    assert many or name == "the last pass"
    wrong = [complaint for statement in many for complaint in explained(long_watched, *statement)]
    assert [complaint for complaint in wrong if not complaint.startswith("Seq Scan on watches:")] == []
