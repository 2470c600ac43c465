"""Passes that do not reach their end, and passes that meet."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.clock import utc_now
from service.nightly import passes as nightly
from service.nightly.nights import Summary
from service.storage.engine import make_engine, transaction
from service.storage.tables import observations
from tests.nightly.world import Behaviour, NightlyHouse, Site

# Gives so many answers, then waits until its standard input is closed.
PASS_OF_ITS_OWN = """
import sys
from functools import partial
from pathlib import Path
from tests.nightly.world import Behaviour, NightlyHouse, Site

class Told(Behaviour):
    def __call__(self, request, cancelled):
        report = super().__call__(request, cancelled)
        print(request.target.release, flush=True)
        return report

behaviour = Told(broken_from="2.3")
behaviour.disturb(int(sys.argv[3]), lambda cancelled: sys.stdin.read())
NightlyHouse(Path(sys.argv[1]), Site(address=sys.argv[2]), behaviour).make_pass()
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
def long(behaviour: Behaviour, site: Site) -> Behaviour:
    """Makes a bisection that takes many runs."""
    site.publish(*(f"2.{minor}.0" for minor in range(4, 12)))
    behaviour.broken_from = "2.3"
    return behaviour


class Deadline:
    """Stands for the timer of a pass: its time is spent when a test says so."""

    def __init__(self) -> None:
        self._spends: list[Callable[[], None]] = []
        self.seconds: list[float] = []

    def __call__(self, seconds: float, spend: Callable[[], None]) -> threading.Thread:
        self.seconds.append(seconds)
        self._spends.append(spend)
        timer = threading.Timer(seconds, spend)
        timer.start = timer.cancel  # type: ignore[method-assign]  # never goes off by itself
        return timer

    def comes(self, ended: threading.Event) -> None:
        """Spend the time of the newest pass, and wait until the run in which it happens is told to end."""
        self._spends[-1]()
        ended.wait()


@pytest.fixture
def deadline(monkeypatch: pytest.MonkeyPatch) -> Deadline:
    driven = Deadline()
    monkeypatch.setattr(nightly, "Timer", driven)
    return driven


def begun_pass(folder: Path, site: Site, answers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PASS_OF_ITS_OWN, str(folder), site.address, str(answers)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_killed_pass_is_finished_by_the_next_with_no_observation_twice(
    tmp_path: Path, site: Site, long: Behaviour, house: NightlyHouse
) -> None:
    with begun_pass(tmp_path, site, answers=4) as killed:
        assert killed.stdout is not None
        for _ in range(4):
            killed.stdout.readline()
        killed.kill()
    before = stored_observations(house)
    assert before
    the_next = NightlyHouse(tmp_path, site, long, clock=lambda: utc_now() + timedelta(days=1))
    assert statuses(the_next.make_pass()) == ["first"]
    # Each run gave a new observation: what the dying process had kept was not run again.
    assert stored_observations(the_next) == before + len(long.asked)
    assert house.store.last_pass() == the_next.store.last_pass()
    the_next.close()


def test_of_two_passes_at_once_the_second_says_who_is_there_and_does_nothing(
    tmp_path: Path, site: Site, long: Behaviour, house: NightlyHouse
) -> None:
    with begun_pass(tmp_path, site, answers=1) as first:
        assert first.stdout is not None
        first.stdout.readline()
        second = house.make_pass()
        assert str(first.pid) in second.busy
        assert (second.rows, second.exit_code, long.asked) == ((), 0, [])
        first.communicate()
    assert first.returncode == 0
    assert house.make_pass().rows[0].message == "nothing new"


def test_a_pass_that_is_told_to_end_leaves_the_rest_to_the_next(
    site: Site, long: Behaviour, house: NightlyHouse
) -> None:
    stop = threading.Event()

    def interrupt(ended: threading.Event) -> None:
        stop.set()
        ended.wait()

    long.disturb(2, interrupt)
    summary = house.make_pass(stop)
    assert (summary.interrupted, summary.exit_code, summary.rows) == (True, 130, ())
    assert len(long.asked) >= 2
    long.before_runs = None
    again = house.make_pass()
    assert (statuses(again), again.pass_id) == (["first"], summary.pass_id)
    assert stored_observations(house) == len(long.asked)


def test_what_a_spent_budget_leaves_waits_for_the_next_pass_and_no_coordinator_takes_it(
    tmp_path: Path, site: Site, long: Behaviour, house: NightlyHouse, deadline: Deadline
) -> None:
    long.disturb(2, deadline.comes)
    poor = NightlyHouse(tmp_path, site, long, nightly_seconds=7.0)
    summary = poor.make_pass()
    poor.close()
    long.before_runs = None
    assert deadline.seconds == [7.0]
    assert (summary.postponed, summary.exit_code, summary.interrupted) == (("team · tensorflow",), 0, False)
    (left,) = house.store.bisections().rows
    assert left.status == "queued"
    assert house.store.claim("a coordinator", 60) is None
    assert statuses(house.make_pass()) == ["first"]
    assert house.store.bisection(left.id).status == "done"
    assert stored_observations(house) == len(long.asked)


def test_a_pass_that_spends_its_time_leaves_the_next_nights_of_one_service_alone(
    tmp_path: Path, site: Site, long: Behaviour, deadline: Deadline
) -> None:
    # As `tfbisect serve` does it: one house and one event for as long as the process lives.
    serving = NightlyHouse(tmp_path, site, long)
    serving.watch(site)
    long.disturb(2, deadline.comes)
    stop = threading.Event()
    first = serving.make_pass(stop)
    assert (first.postponed, first.interrupted) == (("team · tensorflow",), False)
    assert not stop.is_set()
    long.before_runs = None
    assert statuses(serving.make_pass(stop)) == ["first"]
    site.publish("2.12.0")
    third = serving.make_pass(stop)
    assert (statuses(third), third.postponed) == (["unchanged"], ())
    serving.close()


def test_a_lost_right_ends_one_pass_and_not_the_service(
    monkeypatch: pytest.MonkeyPatch, site: Site, long: Behaviour, house: NightlyHouse
) -> None:
    monkeypatch.setattr(nightly, "_RENEW_SECONDS", 0.1)
    stop = threading.Event()
    long.disturb(1, partial(_take_the_right_away, house))
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
    site: Site, long: Behaviour, house: NightlyHouse, deadline: Deadline
) -> None:
    long.disturb(2, deadline.comes)
    house.make_pass()
    long.before_runs = None
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
    monkeypatch: pytest.MonkeyPatch, site: Site, long: Behaviour, house: NightlyHouse
) -> None:
    monkeypatch.setattr(nightly, "_RENEW_SECONDS", 0.1)
    long.disturb(1, partial(_take_the_right_away, house))
    assert house.make_pass().interrupted
    assert house.store.lease_holder(nightly.LEASE_NAME) == "another"


def _take_the_right_away(house: NightlyHouse, ended: threading.Event) -> None:
    """Do what happens to a machine that sleeps for longer than its lease."""
    while not house.store.acquire_lease(nightly.LEASE_NAME, "another", 60):
        house.store.release_lease(nightly.LEASE_NAME, house.store.lease_holder(nightly.LEASE_NAME) or "")
    ended.wait()


def test_a_bisection_that_somebody_cancels_is_no_verdict_and_is_made_the_next_night(
    site: Site, long: Behaviour, house: NightlyHouse
) -> None:
    house.make_pass()
    site.publish("2.12.0", "2.13.0")
    long.disturb(0, lambda ended: (house.store.request_cancel(house.store.bisections().rows[0].id), ended.wait()))
    summary = house.make_pass()
    long.before_runs = None
    assert statuses(summary) == ["failed"]
    assert "cancelled" in summary.rows[0].message
    assert statuses(house.make_pass()) == ["unchanged"]
    assert site.received == []
