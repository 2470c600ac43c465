"""What a bisection would cost, before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from service.coordination.intake import BisectionRequest
from service.errors import TfbisectError
from service.reports.dependencies import Dependencies, Surroundings
from service.reports.durations import duration
from service.reports.foresight import look_ahead

RUN_SECONDS = 3.0
"""Start, import and probe of one release (2 to 9 s here, FACTS of 2026: 1.x 2.5 s, 2.x up to 9 s)."""
BUILD_SECONDS = 15.0
"""One image from a filled download cache: 10 s for 1.12, up to a minute for the largest of 2.x."""


IMAGE_FACTOR = 5
"""An image holds this many times the bytes of the framework's wheel, as images/disk.py measured."""


@dataclass(frozen=True)
class Estimate:
    releases: int
    runs: int
    """Where nothing changes."""
    runs_with_changes: int
    """Where the behaviour is lost once and comes back."""
    images_to_build: int
    disk_bytes: int
    """Of the images to build."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def words(self) -> list[tuple[str, str]]:
        """Return the parts of the sentence that the form shows, each a number and what it counts."""
        runs = f"{self.runs} to {self.runs_with_changes}" if self.runs < self.runs_with_changes else f"{self.runs}"
        parts = [(runs, "run" if runs == "1" else "runs"), (duration(self.seconds), "")]
        if self.images_to_build:
            noun = "image to build" if self.images_to_build == 1 else "images to build"
            parts += [
                (f"at most {self.images_to_build}", noun),
                (f"{max(0.1, self.disk_bytes / 1e9):.1f} GB", "on disk"),
            ]
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
        cold = [release for release in outlook.planned if release not in warm]
        runs = max(outlook.runs_at_least, outlook.runs_with_changes)
        workers = self._dependencies.settings.workers
        seconds = (runs * RUN_SECONDS + len(cold) * BUILD_SECONDS) / workers
        return Estimate(
            len(outlook.tree.all()),
            outlook.runs_at_least,
            runs,
            len(cold),
            self._disk_bytes(request, cold),
            round(seconds, 1),
        )

    def _disk_bytes(self, request: BisectionRequest, cold: Sequence[str]) -> int:
        """Return what the images of releases take, from the sizes of their wheels."""
        if not cold:
            return 0
        try:
            known = self._dependencies.catalog.at_rest().releases(request.package)
        except TfbisectError:
            return 0
        sizes = {release.version: release.bytes for release in known}
        return IMAGE_FACTOR * sum(sizes.get(release, 0) for release in cold)
