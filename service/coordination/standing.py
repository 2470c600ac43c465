"""Keeps releases ready for the first run of any bisection: which ones, and when one more is started."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from service.bisection.lines import coarse_to_fine
from service.catalog.targets import Target
from service.coordination.laboratory import PROCESSES
from service.errors import TfbisectError

LOOK_SECONDS = 5.0
"""How often the standing pool is checked."""
ORDER_SECONDS = 60.0
"""How long the order of releases is cached: which releases are run most changes slowly."""

Stand = Callable[[Target, str, int], bool]
"""Makes a release ready as the n-th process of a bisection; returns whether it did."""


def standing_order(mainline: Sequence[str], present: Collection[str], asked: Mapping[str, int]) -> list[str]:
    """Return which releases should be ready, likeliest first.

    The releases that are run most come first, then the rest of the mainline in survey order: both ends, then halving.

    Args:
        mainline: oldest first.
        present: releases that have an image; others cannot be ready.
        asked: by release, how many of the last bisections ran it.
    """
    here = [release for release in mainline if release in present]
    survey = [here[at] for at in coarse_to_fine(list(range(len(here))))]
    others = sorted(release for release in asked if release in present and release not in here)
    # Sorting is stable: releases that are run equally often keep the survey's order.
    return sorted([*survey, *others], key=lambda release: -asked.get(release, 0))


class StandingPool:
    """Keeps the likeliest releases ready, using only idle cores: runs come first."""

    def __init__(self, stand: Stand, likely: Callable[[], Sequence[Target]], idle_workers: Callable[[], int]) -> None:
        """Make a pool.

        Args:
            stand: starts a missing release if there is memory for it.
            likely: returns what should be ready, likeliest first.
            idle_workers: returns how many workers are idle.
        """
        self._stand = stand
        self._likely = likely
        self._idle_workers = idle_workers
        self._order: Sequence[Target] = ()
        self._ordered_at = float("-inf")

    def keep(self, stop: threading.Event) -> None:
        """Start one release after the other whenever a core is idle, until told to stop."""
        while not stop.is_set():
            if not self.add_one():
                stop.wait(LOOK_SECONDS)

    def add_one(self) -> bool:
        """Start the likeliest missing release if a core is idle; return whether one was started."""
        if self._idle_workers() < 1:
            return False
        # Once every release has one process, each gets a second: it confirms the neighbours of a change.
        return any(self._stood(target, process) for process in range(PROCESSES) for target in self._in_order())

    def _stood(self, target: Target, process: int) -> bool:
        try:
            return self._stand(target, target.package, process)
        except TfbisectError:
            return False  # a release that cannot be started does not block the others

    def _in_order(self) -> Sequence[Target]:
        if time.monotonic() - self._ordered_at > ORDER_SECONDS:
            with suppress(TfbisectError):
                self._order = self._likely()
            self._ordered_at = time.monotonic()
        return self._order
