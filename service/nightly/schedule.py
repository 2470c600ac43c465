"""The nightly inside `tfbisect serve`: a cron expression with a time zone; missed passes are made up once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from service.errors import BadInput
from service.storage.watch_records import WatchPass

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SUNDAY_AGAIN = 7
_GRACE = timedelta(minutes=1)
_DELIVERY_SECONDS = 60


def trigger_of(expression: str, timezone: str) -> CronTrigger:
    """Read a cron expression of five fields.

    Raises:
        BadInput: no such expression, or no such time zone.
    """
    try:
        *fields, weekdays = expression.split()
        return CronTrigger.from_crontab(" ".join([*fields, weekdays_of(weekdays)]), timezone=ZoneInfo(timezone))
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise BadInput(
            f"TFBISECT_NIGHTLY_CRON={expression!r} in {timezone}: {error}; write it as `30 3 * * *` in `Europe/Berlin`"
        ) from error


def weekdays_of(field: str) -> str:
    """Return a field of weekdays by their names: cron counts from Sunday, the scheduler from Monday.

    Raises:
        ValueError: it names no weekday.
    """
    if field == "*":
        return field
    numbers = [number % 7 for part in field.lower().split(",") for number in _weekday_numbers(part)]
    return ",".join(WEEKDAYS[number] for number in sorted(set(numbers)))


def _weekday_numbers(part: str) -> range:
    """Read `1`, `mon`, `1-5`, `*/2` or `1-5/2`."""
    span, _, step = part.partition("/")
    first, dash, last = ("0", "-", "6") if span == "*" else span.partition("-")
    begin = _weekday_number(first)
    end = _weekday_number(last) if dash else 6 if step else begin
    if end == 0 < begin:
        end = 7  # fri-sun: a Sunday at the end of a week is its seventh day
    if end < begin:
        raise ValueError(f"{span} ends before it begins")
    return range(begin, end + 1, int(step or 1))


def _weekday_number(name: str) -> int:
    number = WEEKDAYS.index(name) if name in WEEKDAYS else int(name)
    if not 0 <= number <= SUNDAY_AGAIN:
        raise ValueError(f"{name} is not a weekday; use 0 (Sunday) to 7 (Sunday)")
    return number


def was_missed(trigger: CronTrigger, last: WatchPass | None, now: datetime) -> bool:
    """Say whether a pass was due since the last one started, or is to be finished; however many were, one makes up.

    Args:
        trigger: when passes are due.
        last: the last pass; None: there was never one, so there is nothing to make up.
        now: the present moment.
    """
    if last is None:
        return False
    if last.finished_at is None:
        return True
    due = trigger.get_next_fire_time(None, last.started_at + _GRACE)
    return due is not None and due <= now


def start_scheduler(
    trigger: CronTrigger, make_pass: Callable[[], object], deliver: Callable[[], object], *, at_once: bool
) -> BackgroundScheduler:
    """Start a thread that makes passes when they are due, and delivers what waits for another try.

    Args:
        trigger: when passes are due.
        make_pass: makes one.
        deliver: delivers messages that are due.
        at_once: make one now too, since one was missed.
    """
    scheduler = BackgroundScheduler(timezone=trigger.timezone)
    # One at a time, however late: a pass that takes longer than a day is not joined by another.
    options = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    scheduler.add_job(make_pass, trigger, id="nightly", **options)
    scheduler.add_job(deliver, IntervalTrigger(seconds=_DELIVERY_SECONDS), id="deliveries", **options)
    if at_once:
        scheduler.add_job(make_pass, id="nightly made up", misfire_grace_time=None)
    scheduler.start()
    return scheduler
