"""Which runner this machine can have, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.errors import NoRunner
from service.execution.runner import Runner
from service.settings import Settings


@dataclass(frozen=True)
class Choice:
    """A runner and why it was chosen."""

    runner: Runner
    why: str


def choose_runner(
    settings: Settings,
    connect: Callable[[], Any],
    docker: Callable[[Any], Runner],
    local: Callable[[], Runner],
    interpreters: Callable[[], list[str]],
) -> Choice:
    """Return the runner that the settings ask for; `auto` chooses Docker if an engine responds.

    Args:
        settings: `runner` says which.
        connect: connects to the engine; raises NoRunner.
        docker: makes the runner over a connected engine.
        local: makes the runner over this machine's interpreters.
        interpreters: the Python minors that are here, for the local runner.

    Raises:
        NoRunner: what was asked for is not here; for `auto`, neither is.
    """
    if settings.runner == "local":
        return Choice(local(), "the local runner was asked for")
    if settings.runner == "docker":
        return Choice(docker(connect()), "Docker was asked for")
    try:
        client = connect()
    except NoRunner as no_engine:
        found = interpreters()
        if not found:
            raise NoRunner(f"{no_engine.message} No Python interpreter was found for the local runner.") from None
        return Choice(local(), f"{no_engine.message} Using the local runner with Python {', '.join(found)}.")
    return Choice(docker(client), "a container engine is available")
