"""Passes that do not reach their end, and passes that meet."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.clock import utc_now
from service.nightly import passes as nightly
from service.nightly.nights import Summary
from service.storage.engine import make_engine, transaction
from service.storage.tables import observations
from tests.nightly.world import Behaviour, NightlyHouse, Site

PASS_OF_ITS_OWN = """
import sys
from pathlib import Path
from tests.nightly.world import Behaviour, NightlyHouse, Site

class Told(Behaviour):
    def __call__(self, request, cancelled):
        report = super().__call__(request, cancelled)
        print(request.target.release, flush=True)
        return report

house = NightlyHouse(Path(sys.argv[1]), Site(address=sys.argv[2]), Told(broken_from="2.3", pause_seconds=0.3))
house.make_pass()
"""


def statuses(summary: Summary) -> list[str]:
    return [row.status for row in summary.rows]


def stored_observations(house: NightlyHouse) -> int:
    engine = make_engine(house.settings.store_url.reveal())
    try:
        with transaction(engine, writes=False) as connection:
            return connection.scalar(select(func.count()).select_from(observations)) or 0
    finally:
        engine.dispose()


@pytest.fixture
def slow(behaviour: Behaviour, site: Site) -> Behaviour:
    """Runs that take a while, and many of them."""
    site.publish(*(f"2.{minor}.0" for minor in range(4, 12)))
    behaviour.broken_from = "2.3"
    behaviour.pause_seconds = 0.3
    return behaviour


def begun_pass(folder: Path, site: Site) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PASS_OF_ITS_OWN, str(folder), site.address]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_pass_is_finished_by_the_next_with_no_observation_twice(
    tmp_path: Path, site: Site, slow: Behaviour, house: NightlyHouse
) -> None:
    with begun_pass(tmp_path, site) as killed:
        assert killed.stdout is not None
        for _ in range(4):
            killed.stdout.readline()
        killed.kill()
    before = stored_observations(house)
    assert before
    the_next = NightlyHouse(tmp_path, site, slow, clock=lambda: utc_now() + timedelta(days=1))
    assert statuses(the_next.make_pass()) == ["first"]
    # Each run gave a new observation: what the dying process had kept was not run again.
    assert stored_observations(the_next) == before + len(slow.asked)
    assert house.store.last_pass() == the_next.store.last_pass()
    the_next.close()


def test_of_two_passes_at_once_the_second_says_who_is_there_and_does_nothing(
    tmp_path: Path, site: Site, slow: Behaviour, house: NightlyHouse
) -> None:
    with begun_pass(tmp_path, site) as first:
        assert first.stdout is not None
        first.stdout.readline()
        second = house.make_pass()
        assert str(first.pid) in second.busy
        assert (second.rows, second.exit_code, slow.asked) == ((), 0, [])
        first.communicate()
    assert first.returncode == 0
    assert house.make_pass().rows[0].message == "nothing new"


def test_a_pass_that_is_told_to_end_leaves_the_rest_to_the_next(
    site: Site, slow: Behaviour, house: NightlyHouse
) -> None:
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    summary = house.make_pass(stop)
    assert (summary.interrupted, summary.exit_code, summary.rows) == (True, 130, ())
    before = len(slow.asked)
    assert before
    again = house.make_pass()
    assert (statuses(again), again.pass_id) == (["first"], summary.pass_id)
    assert stored_observations(house) == len(slow.asked)


def test_what_a_spent_budget_leaves_waits_for_the_next_pass_and_no_coordinator_takes_it(
    tmp_path: Path, site: Site, slow: Behaviour, house: NightlyHouse
) -> None:
    poor = NightlyHouse(tmp_path, site, slow, nightly_seconds=1.0)
    summary = poor.make_pass()
    poor.close()
    assert (summary.postponed, summary.exit_code, summary.interrupted) == (("team · tensorflow",), 0, False)
    (left,) = house.store.bisections().rows
    assert left.status == "queued"
    assert house.store.claim("a coordinator", 60) is None
    assert statuses(house.make_pass()) == ["first"]
    assert house.store.bisection(left.id).status == "done"
    assert stored_observations(house) == len(slow.asked)


def test_a_pass_that_spends_its_time_leaves_the_next_nights_of_one_service_alone(
    tmp_path: Path, site: Site, slow: Behaviour
) -> None:
    # As `tfbisect serve` does it: one house and one event for as long as the process lives.
    serving = NightlyHouse(tmp_path, site, slow, nightly_seconds=1.0)
    serving.watch(site)
    stop = threading.Event()
    first = serving.make_pass(stop)
    assert (first.postponed, first.interrupted) == (("team · tensorflow",), False)
    assert not stop.is_set()
    slow.pause_seconds = 0.0
    assert statuses(serving.make_pass(stop)) == ["first"]
    site.publish("2.12.0")
    third = serving.make_pass(stop)
    assert (statuses(third), third.postponed) == (["unchanged"], ())
    serving.close()


def test_a_lost_right_ends_one_pass_and_not_the_service(
    monkeypatch: pytest.MonkeyPatch, site: Site, slow: Behaviour, house: NightlyHouse
) -> None:
    monkeypatch.setattr(nightly, "_RENEW_SECONDS", 0.1)
    stop = threading.Event()
    threading.Thread(target=_take_the_right_away, args=(house,)).start()
    assert house.make_pass(stop).interrupted
    assert not stop.is_set()


def test_a_wait_within_a_pass_ends_with_the_pass_and_with_its_caller() -> None:
    for ends in ("own", "caller"):
        caller = threading.Event()
        own = nightly.PassStop(caller)
        assert (own.is_set(), own.wait(0.0)) == (False, False)
        threading.Timer(0.05, (own if ends == "own" else caller).set).start()
        assert own.wait(60.0)
        assert caller.is_set() == (ends == "caller")


def test_what_a_spent_budget_left_is_ended_when_other_news_come_first(
    tmp_path: Path, site: Site, slow: Behaviour, house: NightlyHouse
) -> None:
    poor = NightlyHouse(tmp_path, site, slow, nightly_seconds=1.0)
    poor.make_pass()
    poor.close()
    (left,) = house.store.bisections().rows
    site.publish("2.12.0")
    assert statuses(house.make_pass()) == ["first"]
    assert house.store.bisection(left.id).status == "cancelled"
    assert house.store.open_counts() == {"queued": 0, "running": 0}


def test_without_disk_nothing_is_begun_and_the_next_pass_goes_on(
    tmp_path: Path, site: Site, behaviour: Behaviour, house: NightlyHouse
) -> None:
    poor = NightlyHouse(tmp_path, site, behaviour, nightly_free_bytes=10**18)
    assert poor.make_pass().postponed == ("team · tensorflow",)
    poor.close()
    assert behaviour.asked == []
    assert statuses(house.make_pass()) == ["first"]


def test_a_pass_whose_right_went_to_another_ends(
    monkeypatch: pytest.MonkeyPatch, site: Site, slow: Behaviour, house: NightlyHouse
) -> None:
    monkeypatch.setattr(nightly, "_RENEW_SECONDS", 0.1)
    threading.Thread(target=_take_the_right_away, args=(house,)).start()
    assert house.make_pass().interrupted
    assert house.store.lease_holder(nightly.LEASE_NAME) == "another"


def _take_the_right_away(house: NightlyHouse) -> None:
    """Do what happens to a machine that sleeps for longer than its lease."""
    while (holder := house.store.lease_holder(nightly.LEASE_NAME)) is None:
        time.sleep(0.05)
    house.store.release_lease(nightly.LEASE_NAME, holder)
    while not house.store.acquire_lease(nightly.LEASE_NAME, "another", 60):
        holder = house.store.lease_holder(nightly.LEASE_NAME) or holder
        house.store.release_lease(nightly.LEASE_NAME, holder)


def test_a_bisection_that_somebody_cancels_is_no_verdict_and_is_made_the_next_night(
    site: Site, slow: Behaviour, house: NightlyHouse
) -> None:
    house.make_pass()
    site.publish("2.12.0", "2.13.0")
    canceller = threading.Thread(target=_cancel_the_running_one, args=(house,))
    canceller.start()
    summary = house.make_pass()
    canceller.join()
    assert statuses(summary) == ["failed"]
    assert "cancelled" in summary.rows[0].message
    assert statuses(house.make_pass()) == ["unchanged"]
    assert site.received == []


def _cancel_the_running_one(house: NightlyHouse) -> None:
    while not (running := [row for row in house.store.bisections().rows if row.status == "running"]):
        time.sleep(0.05)
    house.store.request_cancel(running[0].id)
