"""The nights of a watch in one line: what the newest release did, night by night. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.nightly.nights import newest_outcome
from service.storage.watch_records import WatchRun

SAYS = {
    "first": "first verdict",
    "unchanged": "nothing changed",
    "changed": "changed",
    "blind": "no answer",
    "failed": "failed",
}
"""A status in words."""


@dataclass(frozen=True)
class Night:
    run: WatchRun
    outcome: str
    """The latest outcome known on this night; empty before the first answer."""
    tone: str

    @property
    def says(self) -> str:
        outcome = f" ({self.outcome})" if self.outcome and self.run.status not in {"blind", "failed"} else ""
        return f"{self.run.finished_at:%Y-%m-%d}: {SAYS[self.run.status]}{outcome}"


def nights(newest_first: Iterable[WatchRun], before: WatchRun | None, tone: Callable[[str], str]) -> list[Night]:
    """Return nights with what was known on each, oldest first.

    A night on which nothing was new has no verdict of its own: the one before it still holds.

    Args:
        newest_first: the nights.
        before: the last night with a verdict before them, if there is one.
        tone: which tone an outcome wears.
    """
    outcome = newest_outcome(before.verdict or {}) if before else ""
    told: list[Night] = []
    for run in reversed(list(newest_first)):
        outcome = newest_outcome(run.verdict) if run.verdict else outcome
        told.append(Night(run, outcome, tone(outcome) if outcome else "none"))
    return told
