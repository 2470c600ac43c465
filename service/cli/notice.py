"""What a bisection takes before it starts: images, download, disk and time, and whether to go on."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import typer

from service.bisection.words import counted
from service.bootstrap import House
from service.cli.console import err
from service.coordination.intake import BisectionRequest
from service.errors import EXIT_INTERRUPTED, TfbisectError
from service.images.orders import forecast_build
from service.reports.durations import duration
from service.reports.estimate import RUN_SECONDS
from service.reports.foresight import look_ahead

WORTH_SAYING_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Takes:
    """What a bisection needs that is not here yet, by estimate."""

    releases: int
    images: int
    download_bytes: int
    disk_bytes: int
    seconds: float

    @property
    def words(self) -> str:
        return (
            f"{counted(self.releases, 'release')} in this range; up to {counted(self.images, 'image')} to build first: "
            f"about {_gigabytes(self.download_bytes)} to download, {_gigabytes(self.disk_bytes)} of disk, "
            f"{duration(self.seconds)} in all. They are kept and reused."
        )


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"


def what_it_takes(opened: House, request: BisectionRequest) -> Takes | None:
    """Return what a bisection needs that is not here; None where that is not known, or where no images are made."""
    if opened.settings.scheduler or opened.runner.name != "docker":
        return None
    try:
        outlook = look_ahead(opened.intake, request, {}, simulate=True)
        case = opened.intake.case(request)
        targets = [case.target(release) for release in outlook.planned]
        forecast = forecast_build(targets, opened.environments, opened.images, opened.settings.parallel_builds)
    except TfbisectError:
        return None  # the run itself reports it
    runs = max(outlook.runs_at_least, outlook.runs_with_changes) * RUN_SECONDS / opened.settings.workers
    return Takes(
        len(outlook.tree.all()),
        forecast.missing,
        forecast.download_bytes,
        forecast.disk_bytes,
        forecast.seconds + runs,
    )


def announce(takes: Takes | None, *, yes: bool, quiet: bool) -> None:
    """Say what a bisection takes where that is gigabytes, and ask whether to go on; never where nobody could answer.

    Raises:
        typer.Exit: the user does not want it.
    """
    if takes is None or takes.disk_bytes < WORTH_SAYING_BYTES:
        return
    if not quiet:
        err.print(takes.words, markup=False)
    if yes or quiet or not (sys.stdin.isatty() and err.is_terminal):
        return
    if not typer.confirm("Go on?", default=True, err=True):
        err.print("Nothing was started. A narrower --releases takes less.", markup=False)
        raise typer.Exit(EXIT_INTERRUPTED)
