"""What a bisection would cost, before anything is started."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from service.coordination.intake import BisectionRequest
from service.reports.dependencies import Dependencies, Surroundings
from service.reports.durations import duration
from service.reports.foresight import look_ahead

RUN_SECONDS = 3.0
"""Start, import and probe of one release (2 to 9 s here, FACTS of 2026: 1.x 2.5 s, 2.x up to 9 s)."""
BUILD_SECONDS = 15.0
"""One image from a filled download cache: 10 s for 1.12, up to a minute for the largest of 2.x."""


@dataclass(frozen=True)
class Estimate:
    releases: int
    runs: int
    """Where nothing changes."""
    runs_with_changes: int
    """Where the behaviour is lost once and comes back."""
    images_to_build: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def words(self) -> list[tuple[str, str]]:
        """Return the parts of the sentence that the form shows, each a number and what it counts."""
        runs = f"{self.runs} to {self.runs_with_changes}" if self.runs < self.runs_with_changes else f"{self.runs}"
        parts = [(runs, "run" if runs == "1" else "runs"), (duration(self.seconds), "")]
        if self.images_to_build:
            parts.append(
                (f"{self.images_to_build}", "image to build" if self.images_to_build == 1 else "images to build")
            )
        return parts


class Estimator:
    """Estimates from the plan, the known images, and typical times."""

    def __init__(self, dependencies: Dependencies, surroundings: Surroundings) -> None:
        self._dependencies = dependencies
        self._surroundings = surroundings

    def estimate(self, request: BisectionRequest) -> Estimate:
        """Return what a bisection would cost.

        Raises:
            BadInput: it cannot be made.
        """
        outlook = look_ahead(self._dependencies.intake, request, {}, simulate=True)
        warm = set(self._surroundings.warm_releases(request.package, request.hardware))
        cold = sum(release not in warm for release in outlook.planned)
        runs = max(outlook.runs_at_least, outlook.runs_with_changes)
        workers = self._dependencies.settings.workers
        seconds = (runs * RUN_SECONDS + cold * BUILD_SECONDS) / workers
        return Estimate(len(outlook.tree.all()), outlook.runs_at_least, runs, cold, round(seconds, 1))
