"""The nightly inside `tfbisect serve`: a cron expression with a time zone; missed passes are made up once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from service.errors import BadInput

_GRACE = timedelta(minutes=1)
_DELIVERY_SECONDS = 60


def trigger_of(expression: str, timezone: str) -> CronTrigger:
    """Read a cron expression of five fields.

    Raises:
        BadInput: no such expression, or no such time zone.
    """
    try:
        return CronTrigger.from_crontab(expression, timezone=ZoneInfo(timezone))
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise BadInput(
            f"TFBISECT_NIGHTLY_CRON={expression!r} in {timezone}: {error}; write it as `30 3 * * *` in `Europe/Berlin`"
        ) from error


def was_missed(trigger: CronTrigger, last_start: datetime | None, now: datetime) -> bool:
    """Say whether a pass was due since the last one started; however many were, one makes up for them.

    Args:
        trigger: when passes are due.
        last_start: when the last pass started; None: never, so there is nothing to make up.
        now: the present moment.
    """
    if last_start is None:
        return False
    due = trigger.get_next_fire_time(None, last_start + _GRACE)
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
