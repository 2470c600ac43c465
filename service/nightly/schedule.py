"""The nightly inside `tfbisect serve`: a cron expression with a time zone; missed passes are made up once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger
from cronsim import CronSim, CronSimError

from service.bisection.words import counted
from service.errors import BadInput, TfbisectError
from service.storage.watch_records import WatchPass

FIELDS = 5
"""Minute, hour, day of the month, month, weekday."""
_GRACE = timedelta(minutes=1)
_DELIVERY_SECONDS = 60

log = structlog.get_logger()


class CronSchedule(BaseTrigger):  # type: ignore[misc]  # apscheduler ships no types
    """When a cron expression is due, as cron reads it.

    The scheduler's own trigger counts weekdays from Monday where cron counts from Sunday, and takes a day of the month
    together with a weekday for both at once where cron takes either.
    """

    def __init__(self, expression: str, timezone: ZoneInfo) -> None:
        self.expression = expression
        self.timezone = timezone
        if len(expression.split()) != FIELDS:
            raise ValueError(f"it has {counted(len(expression.split()), 'field')} instead of {FIELDS}")
        if self.get_next_fire_time(None, datetime.now(UTC)) is None:
            raise ValueError("that day never comes")

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the first due time that is not before now; None if there is none."""
        since = max(now, previous_fire_time or now).astimezone(self.timezone)
        # cronsim starts after the given time.
        begin = since if previous_fire_time == since else since - timedelta(seconds=1)
        return next(CronSim(self.expression, begin), None)


def trigger_of(expression: str, timezone: str) -> CronSchedule:
    """Read a cron expression of five fields.

    Raises:
        BadInput: no such expression, or no such time zone.
    """
    try:
        return CronSchedule(expression, ZoneInfo(timezone))
    except (CronSimError, ValueError, ZoneInfoNotFoundError) as error:
        raise BadInput(
            f"TFBISECT_NIGHTLY_CRON={expression!r} in {timezone}: {error}; write it as `30 3 * * *`, "
            "with a time zone such as `Europe/Berlin`"
        ) from error


def was_missed(trigger: CronSchedule, last: WatchPass | None, now: datetime) -> bool:
    """Return whether a pass is overdue or unfinished; one pass makes up for all missed ones.

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
    trigger: CronSchedule, make_pass: Callable[[], object], deliver: Callable[[], object], *, at_once: bool
) -> BackgroundScheduler:
    """Start a thread that makes passes when they are due, and retries deliveries.

    Args:
        trigger: when passes are due.
        make_pass: makes one.
        deliver: delivers messages that are due.
        at_once: make one now too, since one was missed.
    """
    scheduler = BackgroundScheduler(timezone=trigger.timezone)
    # One at a time: no second pass starts while one takes longer than a day.
    options = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    nightly, deliveries = _in_words("make a nightly pass", make_pass), _in_words("deliver messages", deliver)
    scheduler.add_job(nightly, trigger, id="nightly", **options)
    scheduler.add_job(deliveries, IntervalTrigger(seconds=_DELIVERY_SECONDS), id="deliveries", **options)
    if at_once:
        scheduler.add_job(nightly, id="nightly made up", misfire_grace_time=None)
    scheduler.start()
    return scheduler


def _in_words(doing: str, work: Callable[[], object]) -> Callable[[], None]:
    """Return work whose expected errors are logged in one line; it runs again next time."""

    def done() -> None:
        try:
            work()
        except TfbisectError as error:
            log.warning("nightly.not_done", doing=doing, reason=error.message)

    return done
