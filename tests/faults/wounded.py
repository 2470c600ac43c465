"""`tfbisect` with a wound: the same program, which dies at a named step, or whose clock is told what to say.

    python -m tests.faults.wounded serve --port 8000

The wound is in TFBISECT_WOUND, as JSON, and the service knows nothing of it:
    die_at_commit      kill -9 by itself in place of the n-th commit of the database, counted from 1
    die_in             kill -9 by itself when "module:Class.function" is called, or has returned with `die_after`
    die_after          let the function of `die_in` return first
    commits            a file that gets a line for each commit: the first writing statement of its transaction
    loses_answers      make every n-th commit and tell its caller that the database is away
    runs               a file that gets a line for each run that a runner begins
    repeats_runs       answer a run from memory with what the first run of its release said, but for snippets that
                       contain "for real": the volume of a soak
    clock              a file with seconds to add to the clock, read each time somebody asks for the time
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

VARIABLE = "TFBISECT_WOUND"
_WRITES = ("INSERT", "UPDATE", "DELETE")


def die() -> None:
    """End this process as `kill -9` does: nothing is closed, flushed or told."""
    os.kill(os.getpid(), signal.SIGKILL)


def _step_clock(path: Path) -> None:
    import service.clock

    honest = time.time

    def shifted() -> float:
        text = path.read_text(encoding="ascii").strip() if path.exists() else ""
        return honest() + float(text or 0)

    time.time = shifted
    service.clock.utc_now = lambda: datetime.fromtimestamp(0, UTC) + timedelta(seconds=shifted())


def _die_at_commit(number: int, told: Path | None) -> None:
    from sqlalchemy import Connection, Engine, event

    counted = itertools.count(1)

    @event.listens_for(Engine, "before_cursor_execute")
    def remember(
        connection: Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
    ) -> None:
        if statement.lstrip().startswith(_WRITES):
            connection.info.setdefault("first_write", " ".join(statement.split()[:3]))

    @event.listens_for(Engine, "commit")
    def count(connection: Connection) -> None:
        first_write = connection.info.pop("first_write", None)
        if first_write is None:
            return
        now = next(counted)
        if told is not None:
            with told.open("a", encoding="utf-8") as file:
                file.write(f"{first_write}\n")
        if now == number:
            die()

    @event.listens_for(Engine, "rollback")
    def forget(connection: Connection) -> None:
        connection.info.pop("first_write", None)


def _lose_answers(every: int) -> None:
    from service.errors import StoreError
    from service.storage.connected import Connected

    whole, counted = Connected._writing, itertools.count(1)

    @contextmanager
    def writing(self: Connected) -> Iterator[Any]:
        with whole(self) as connection:
            yield connection
        if next(counted) % every == 0:
            raise StoreError("the database went away while it answered")

    setattr(Connected, whole.__name__, writing)


def _die_in(place: str, *, after: bool) -> None:
    module_name, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = functools.reduce(getattr, owners, importlib.import_module(module_name))
    whole = getattr(owner, name)

    @functools.wraps(whole)
    def wounded(*arguments: Any, **named: Any) -> Any:
        answer = whole(*arguments, **named) if after else None
        die()
        return answer

    setattr(owner, name, wounded)


def _count_runs(told: Path) -> None:
    from service.execution.sessions import SessionRunner

    whole = SessionRunner.run

    @functools.wraps(whole)
    def counted(self: SessionRunner, request: Any, *arguments: Any) -> Any:
        with told.open("a", encoding="utf-8") as file:
            file.write(f"{request.target.release}\n")
        return whole(self, request, *arguments)

    setattr(SessionRunner, whole.__name__, counted)


def _repeat_runs() -> None:
    from service.execution.sessions import SessionRunner

    whole = SessionRunner.run
    said: dict[str, Any] = {}

    @functools.wraps(whole)
    def repeated(self: SessionRunner, request: Any, *arguments: Any) -> Any:
        release = request.target.release
        if release not in said or "for real" in request.snippet:
            report = whole(self, request, *arguments)
            if report.ending != "answered":
                return report
            said[release] = report
        return said[release]

    setattr(SessionRunner, whole.__name__, repeated)


def main() -> None:
    """Wound this process, then be `tfbisect`."""
    wound = json.loads(os.environ.get(VARIABLE) or "{}")
    if clock := wound.get("clock"):
        _step_clock(Path(clock))
    if "die_at_commit" in wound or "commits" in wound:
        _die_at_commit(wound.get("die_at_commit", 0), Path(wound["commits"]) if "commits" in wound else None)
    if every := wound.get("loses_answers"):
        _lose_answers(every)
    if "runs" in wound:
        _count_runs(Path(wound["runs"]))
    if wound.get("repeats_runs"):
        _repeat_runs()
    if "die_in" in wound:
        _die_in(wound["die_in"], after=wound.get("die_after", False))
    from service.cli.app import main as tfbisect

    tfbisect()


if __name__ == "__main__":
    main()
