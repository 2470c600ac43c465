"""Which releases stand ready for whoever asks first, and when one more is started."""

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
"""How long an order of what stands is kept: what is asked most changes slowly."""

Stand = Callable[[Target, str, int], bool]
"""Whatever can have a release stand ready, as the n-th process of a bisection; says whether it did."""


def standing_order(mainline: Sequence[str], present: Collection[str], asked: Mapping[str, int]) -> list[str]:
    """Return which releases should stand ready, the likeliest first.

    What is asked most comes first, then the rest of the mainline as a survey takes it: both ends, then halving.

    Args:
        mainline: oldest first.
        present: releases that have an image; others cannot stand.
        asked: how many of the last bisections ran a release, by release.
    """
    here = [release for release in mainline if release in present]
    survey = [here[at] for at in coarse_to_fine(list(range(len(here))))]
    others = sorted(release for release in asked if release in present and release not in here)
    # Sorting keeps the order of equals: a survey's where the whole range was asked by everybody.
    return sorted([*survey, *others], key=lambda release: -asked.get(release, 0))


class StandingPool:
    """Keeps the likeliest releases ready while cores idle, and nothing else: runs come first."""

    def __init__(self, stand: Stand, likely: Callable[[], Sequence[Target]], idle_workers: Callable[[], int]) -> None:
        """Make a pool.

        Args:
            stand: starts one that is missing, as long as there is memory for it.
            likely: what should stand, the likeliest first.
            idle_workers: how many workers nobody has a use for.
        """
        self._stand = stand
        self._likely = likely
        self._idle_workers = idle_workers
        self._order: Sequence[Target] = ()
        self._ordered_at = float("-inf")

    def keep(self, stop: threading.Event) -> None:
        """Start one after the other whenever a core idles, until told to stop."""
        while not stop.is_set():
            if not self.add_one():
                stop.wait(LOOK_SECONDS)

    def add_one(self) -> bool:
        """Start the likeliest that is missing, if a core idles; say whether one was started."""
        if self._idle_workers() < 1:
            return False
        # A second process of each once all have a first: both neighbours of a change are confirmed by one.
        return any(self._stood(target, process) for process in range(PROCESSES) for target in self._in_order())

    def _stood(self, target: Target, process: int) -> bool:
        try:
            return self._stand(target, target.package, process)
        except TfbisectError:
            return False  # one that cannot be started keeps no other from standing

    def _in_order(self) -> Sequence[Target]:
        if time.monotonic() - self._ordered_at > ORDER_SECONDS:
            with suppress(TfbisectError):
                self._order = self._likely()
            self._ordered_at = time.monotonic()
        return self._order
