"""Builds many images: forecasts time and space, and goes on after a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from service.catalog.environments import Environments
from service.catalog.targets import Target
from service.errors import ReleaseUntestable, TfbisectError, Unavailable
from service.images.builder import Images
from service.images.disk import download_bytes, unpacked_bytes
from service.images.progress import Progress, failed
from service.settings import Settings

# Measured on two cores: the minimum time per image, and how much of its wheel is processed per second.
SECONDS_PER_IMAGE = 5
WHEEL_BYTES_PER_SECOND = 25_000_000


@dataclass(frozen=True)
class BuildForecast:
    """The time and space that builds need, from the sizes of the frameworks' wheels."""

    total: int
    download_bytes: int
    seconds: float
    sizes: Mapping[Target, int]
    """Bytes of each missing image, by target."""

    @property
    def missing(self) -> int:
        """Return how many images must be built."""
        return len(self.sizes)

    @property
    def disk_bytes(self) -> int:
        """Return the size of the new images."""
        return sum(self.sizes.values())


@dataclass(frozen=True)
class BuildResult:
    """The result of one build: an image, or the reason why there is none."""

    package: str
    release: str
    hardware: str
    image: str = ""
    reason: str = ""
    lost: bool = False
    """The reason is infrastructure, not the release: the same build may succeed later."""


def forecast_build(
    targets: Sequence[Target], environments: Environments, images: Images, parallel: int
) -> BuildForecast:
    """Forecast the builds of targets, so many in parallel; existing and untestable images cost nothing."""
    found = {target: _wheel_bytes(target, environments, images) for target in targets}
    wheels = {target: size for target, size in found.items() if size is not None}
    downloads = [download_bytes(target, size) for target, size in wheels.items()]
    seconds = sum(SECONDS_PER_IMAGE + size / WHEEL_BYTES_PER_SECOND for size in downloads) / parallel
    sizes = {target: unpacked_bytes(target, size) for target, size in wheels.items()}
    return BuildForecast(len(targets), sum(downloads), seconds, sizes)


def shortage(forecast: BuildForecast, free_bytes: int, reserve_bytes: int, budget_bytes: int) -> int:
    """Return how many bytes the disk lacks; 0 if the images fit, or if pruning to the budget makes room."""
    kept = min(forecast.disk_bytes, budget_bytes) if budget_bytes else forecast.disk_bytes
    return max(0, kept - max(0, free_bytes - reserve_bytes))


def build_all(
    targets: Sequence[Target], environments: Environments, images: Images, settings: Settings, progress: Progress
) -> list[BuildResult]:
    """Build images in parallel, as many as the settings allow; a failure does not stop the others."""

    def one(target: Target) -> BuildResult:
        result = BuildResult(target.package, target.release, target.hardware)
        try:
            image = images.ensure(environments.resolve(target), progress)
            images.forget_packages()
        except TfbisectError as error:
            progress(failed(target))
            return replace(result, reason=error.message, lost=isinstance(error, Unavailable))
        return replace(result, image=image.reference)

    with ThreadPoolExecutor(settings.parallel_builds, thread_name_prefix="build") as pool:
        return list(pool.map(one, targets))


def _wheel_bytes(target: Target, environments: Environments, images: Images) -> int | None:
    """Return the size of the wheel for a missing image; None if the image exists or the wheel is unavailable."""
    try:
        known = environments.known(target)
        if known is not None and images.built(known):
            return None
        return environments.wheel_bytes(target)
    except ReleaseUntestable:
        return None
