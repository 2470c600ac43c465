"""When passes are made inside `tfbisect serve`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from structlog.testing import capture_logs

from service.cli.serve import scheduled
from service.errors import BadInput, StoreError
from service.nightly.schedule import start_scheduler, trigger_of, was_missed
from service.storage.watch_records import WatchPass
from tests.nightly.relived_index import Clock
from tests.nightly.world import Behaviour, NightlyHouse, Site

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


def the_next(expression: str, timezone: str, moment: datetime) -> datetime:
    due: datetime | None = trigger_of(expression, timezone).get_next_fire_time(None, moment)
    assert due is not None
    return due.astimezone(UTC)


@pytest.mark.parametrize(
    ("expression", "timezone", "expected"),
    [
        ("30 3 * * *", "UTC", MONDAY.replace(hour=3, minute=30)),
        ("30 3 * * *", "Europe/Berlin", MONDAY.replace(hour=1, minute=30)),
        ("30 3 * * *", "America/New_York", MONDAY.replace(hour=7, minute=30)),
        ("0 0 1 7 *", "UTC", MONDAY.replace(month=7)),
        ("0 5 * * 1", "UTC", MONDAY.replace(hour=5)),
        ("0 5 * * mon", "UTC", MONDAY.replace(hour=5)),
        ("0 5 * * 0", "UTC", MONDAY.replace(day=7, hour=5)),
        ("0 5 * * 7", "UTC", MONDAY.replace(day=7, hour=5)),
        ("0 5 * * 5-7", "UTC", MONDAY.replace(day=5, hour=5)),
        ("0 5 * * */2", "UTC", MONDAY.replace(day=2, hour=5)),
        ("0 5 * * 3-5/2", "UTC", MONDAY.replace(day=3, hour=5)),
        ("0 5 * * SAT,sun", "UTC", MONDAY.replace(day=6, hour=5)),
        # A day of the month and a weekday: either, as in cron.
        ("0 5 20 * 3", "UTC", MONDAY.replace(day=3, hour=5)),
    ],
)
def test_an_expression_means_what_cron_means_by_it(expression: str, timezone: str, expected: datetime) -> None:
    assert the_next(expression, timezone, MONDAY) == expected


@pytest.mark.parametrize(
    ("expression", "timezone"),
    [
        ("", "UTC"),
        ("nightly", "UTC"),
        ("30 3 * *", "UTC"),
        ("30 3 * * * *", "UTC"),
        ("61 3 * * *", "UTC"),
        ("30 3 * * 8", "UTC"),
        ("30 3 * * 5-2", "UTC"),
        ("0 0 30 2 *", "UTC"),
        ("30 3 * * *", "Europe/Atlantis"),
    ],
)
def test_what_cannot_be_read_is_said_with_an_example(expression: str, timezone: str) -> None:
    with pytest.raises(BadInput, match=r"TFBISECT_NIGHTLY_CRON=.*30 3 \* \* \*"):
        trigger_of(expression, timezone)


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_night_in_which_clocks_are_set_has_its_pass(day: str) -> None:
    midnight = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert the_next("30 2 * * *", "Europe/Berlin", midnight) - midnight < timedelta(hours=4)


def a_pass(started: datetime, *, finished: bool = True) -> WatchPass:
    return WatchPass("p", started, started + timedelta(hours=1) if finished else None, None)


@pytest.mark.parametrize(
    ("last", "now", "missed"),
    [
        (None, MONDAY, False),
        (a_pass(MONDAY.replace(hour=3)), MONDAY.replace(hour=9), False),
        (a_pass(MONDAY.replace(hour=3)), MONDAY.replace(day=2, hour=2), False),
        (a_pass(MONDAY.replace(hour=3)), MONDAY.replace(day=2, hour=4), True),
        (a_pass(MONDAY.replace(hour=3)), MONDAY.replace(day=20), True),
        (a_pass(MONDAY.replace(hour=3), finished=False), MONDAY.replace(hour=4), True),
    ],
)
def test_a_pass_is_missed_when_one_was_due_or_is_not_finished(
    last: WatchPass | None, now: datetime, missed: bool
) -> None:
    assert was_missed(trigger_of("0 3 * * *", "UTC"), last, now) is missed


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC) - timedelta(days=30))


@pytest.fixture
def house(tmp_path: Path, site: Site, behaviour: Behaviour, clock: Clock) -> Iterator[NightlyHouse]:
    """A house that made its last pass weeks ago."""
    opened = NightlyHouse(tmp_path, site, behaviour, clock=clock, nightly_cron="30 3 * * *")
    opened.watch(site)
    opened.make_pass()
    clock.moment = datetime.now(UTC)
    yield opened
    opened.close()


def nights_of(house: NightlyHouse) -> int:
    return len(house.store.history(house.store.watch("team").id).rows)


def test_weeks_of_missed_passes_are_made_up_once(house: NightlyHouse) -> None:
    with scheduled(house, "all"):
        while nights_of(house) == 1:
            time.sleep(0.05)
        time.sleep(1)
    assert nights_of(house) == 2


def test_a_service_whose_last_pass_is_of_tonight_makes_none_at_its_start(house: NightlyHouse) -> None:
    house.make_pass()
    with scheduled(house, "coordinator"):
        time.sleep(1)
    assert nights_of(house) == 2


@pytest.mark.parametrize(("cron", "role"), [("", "all"), ("30 3 * * *", "web")])
def test_no_pass_is_made_where_none_is_wished_and_none_by_the_web_process(
    tmp_path: Path, site: Site, behaviour: Behaviour, house: NightlyHouse, cron: str, role: str
) -> None:
    quiet = NightlyHouse(tmp_path, site, behaviour, nightly_cron=cron)
    before = threading.active_count()
    with scheduled(quiet, role):  # type: ignore[arg-type]
        assert threading.active_count() == before
    assert nights_of(house) == 1
    quiet.close()


def test_the_end_of_the_service_ends_its_pass_between_two_runs(
    house: NightlyHouse, site: Site, behaviour: Behaviour
) -> None:
    site.publish(*(f"2.{minor}.0" for minor in range(4, 12)))
    under_way = threading.Event()

    def wait_for_the_end(ended: threading.Event) -> None:
        under_way.set()
        ended.wait()

    behaviour.disturb(1, wait_for_the_end)
    with scheduled(house, "all"):
        assert under_way.wait(60)
    assert nights_of(house) == 1
    last = house.store.last_pass()
    assert last is not None
    assert last.finished_at is None


def test_a_pass_that_takes_longer_than_its_interval_is_not_joined_by_another() -> None:
    running, most, made = [0], [0], [0]

    def make_pass() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(1.2)
        running[0] -= 1
        made[0] += 1

    scheduler = start_scheduler(CronTrigger(second="*"), make_pass, lambda: None, at_once=False)
    while made[0] < 2:
        time.sleep(0.05)
    scheduler.shutdown()
    assert most == [1]


@pytest.mark.parametrize("error", [RuntimeError("this night went wrong"), StoreError("the database is away")])
def test_a_pass_that_fails_does_not_keep_the_next_from_its_time(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    made = [0]

    def make_pass() -> None:
        made[0] += 1
        raise error

    with capture_logs() as logs:
        scheduler = start_scheduler(CronTrigger(second="*"), make_pass, lambda: None, at_once=False)
        while made[0] < 2:
            time.sleep(0.05)
        scheduler.shutdown()
    in_words = [log["reason"] for log in logs if log["event"] == "nightly.not_done"]
    if isinstance(error, StoreError):
        assert (in_words[:1], caplog.records) == (["the database is away"], []), "foreseen: without a traceback"
    else:
        assert [record.exc_info for record in caplog.records][:1] != [None]
