"""Many images at once: what it will take, and building them one after the other without stopping at a bad one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from service.catalog.environments import Environments
from service.errors import ReleaseUntestable
from service.execution.disk import IMAGE_FACTOR
from service.execution.images import Images, Progress
from service.execution.runner import Target
from service.settings import Settings

# Measured on two cores: what each image costs at least, and how much of its wheel is dealt with in a second.
SECONDS_PER_IMAGE = 12
WHEEL_BYTES_PER_SECOND = 25_000_000


@dataclass(frozen=True)
class Estimate:
    """What building will take, from the sizes of the frameworks' wheels."""

    total: int
    missing: int
    download_bytes: int
    disk_bytes: int
    seconds: float


@dataclass(frozen=True)
class BuildResult:
    """What became of one order: an image, or the reason why there is none."""

    package: str
    release: str
    hardware: str
    image: str = ""
    reason: str = ""


def estimate(targets: Sequence[Target], environments: Environments, images: Images, parallel: int = 2) -> Estimate:
    """Say what building targets will take; those whose image is here, or that cannot be built, cost nothing."""
    wheels = [size for target in targets if (size := _wheel_bytes(target, environments, images)) is not None]
    seconds = sum(SECONDS_PER_IMAGE + size / WHEEL_BYTES_PER_SECOND for size in wheels) / parallel
    return Estimate(len(targets), len(wheels), sum(wheels), sum(wheels) * IMAGE_FACTOR, seconds)


def build_all(
    targets: Sequence[Target], environments: Environments, images: Images, settings: Settings, progress: Progress
) -> list[BuildResult]:
    """Build many images, so many at once as the settings say; a release that cannot be built stops no other.

    Raises:
        Unavailable: what would stop them all: no engine, no index, no room on the disk.
    """

    def one(target: Target) -> BuildResult:
        try:
            image = images.ensure(environments.resolve(target), progress)
        except ReleaseUntestable as error:
            return BuildResult(target.package, target.release, target.hardware, reason=error.message)
        images.forget_packages()
        return BuildResult(target.package, target.release, target.hardware, image=image.reference)

    with ThreadPoolExecutor(settings.parallel_builds, thread_name_prefix="build") as pool:
        return list(pool.map(one, targets))


def _wheel_bytes(target: Target, environments: Environments, images: Images) -> int | None:
    """Return the size of the wheel that a missing image needs; None where it is here or cannot be had."""
    try:
        known = environments.known(target)
        if known is not None and images.built(known):
            return None
        return environments.wheel_bytes(target)
    except ReleaseUntestable:
        return None
