"""`tfbisect serve`: the web service and the coordinator in one process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from service.coordination.patience import patiently
from service.nightly.schedule import start_scheduler, trigger_of, was_missed
from service.reports.dependencies import Surroundings, no_problem, none_known
from service.resources import resource_dir
from service.scratch import clear_away_the_dead
from service.settings import Role
from service.web.app import create_app
from service.web.server import server_config

if TYPE_CHECKING:
    from service.bootstrap import House


def serve_until_stopped(house: House, host: str, port: int, role: Role = "all") -> None:
    """Serve until interrupted; current runs are stopped and repeated after the next start.

    Args:
        house: everything put together.
        host: address to listen on.
        port: to listen on.
        role: all; web: this process uses no engine; coordinator: it listens on no port.
    """
    clear_away_the_dead()  # now, since this service may have nothing to run for days
    threads = house.threads
    with scheduled(house, role):
        try:
            if role != "web":
                threads.keep("coordinator", house.coordinator.serve)
                threads.keep("causes", house.asked_causes.keep)
                if house.settings.warm_pool_bytes and not house.settings.scheduler:
                    threads.keep("standing pool", house.standing_pool.keep)
            if role == "coordinator":
                threads.keep("warm containers", house.tell_waiting)
                _wait_for_signal()
            else:
                _listen(house, host, port, role)
        finally:
            threads.close()


def _wait_for_signal() -> None:
    """Wait until the process is told to end."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    told.wait()


def _listen_no_more(*_: object) -> None:
    """Ignore a signal that the server has already handled and raises again after it ends."""


def _listen(house: House, host: str, port: int, role: Role) -> None:
    problem = house.engine_problem if role == "all" else no_problem
    known = house.known_images if role == "all" else none_known
    waiting = house.waiting_containers if role == "all" else house.waiting_elsewhere
    surroundings = Surroundings(
        resource_dir("examples"),
        problem,
        known,
        house.threads.down,
        locks_of=house.locks_of,
        has_accelerators=house.has_accelerators,
        waiting_containers=waiting,
    )
    app = create_app(house, surroundings)
    # Otherwise SIGTERM would end the process while runs are active and claims are held.
    signal.signal(signal.SIGTERM, _listen_no_more)
    uvicorn.Server(server_config(app, host, port, house.settings)).run()


@contextmanager
def scheduled(house: House, role: Role) -> Iterator[None]:
    """Make nightly passes in the background, if a cron expression is set."""
    if role == "web" or not house.settings.nightly_cron:
        yield
        return
    trigger = trigger_of(house.settings.nightly_cron, house.settings.nightly_timezone)
    missed = was_missed(trigger, house.store.last_pass(), house.clock())
    stop = threading.Event()

    def make_pass() -> None:
        # Stored parts of a pass are not repeated, so it may start again after a database outage.
        patiently(lambda: house.make_pass(stop), house.patience, stop, "make a nightly pass")

    scheduler = start_scheduler(trigger, make_pass, house.sender.deliver, at_once=missed)
    house.threads.watch("nightly", lambda: bool(scheduler.running))
    try:
        yield
    finally:
        stop.set()
        scheduler.shutdown()
