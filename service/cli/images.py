"""`tfbisect images`: build, list, prune and verify the images of releases."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from service.bisection.words import counted
from service.bootstrap import House
from service.catalog.ranges import parse_releases, select
from service.catalog.releases import package_name
from service.catalog.targets import Hardware, ImageSource, Target
from service.cli.console import err, house, out
from service.cli.image_bar import BuildBar
from service.errors import EXIT_NO_ANSWER, BadInput, ReleaseUntestable
from service.images.checks import Check, Checker, Ledger, check_all, table_of
from service.images.disk import free_bytes, in_gb
from service.images.orders import BuildForecast, build_all, forecast_build, shortage
from service.images.shelf import ImageRow
from service.reports.durations import duration
from service.settings import Settings

app = typer.Typer(help="Build, list, check and remove images of releases.", no_args_is_help=True)
wide = None if out.is_terminal else 240  # wide enough not to wrap references in a file or pipe

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)

Releases = Annotated[str, typer.Argument(help="releases or ranges, such as 1.9..1.14 or 1.10.1,2.3")]
Package = Annotated[str, typer.Option(help="package of these releases")]
HardwareOption = Annotated[Hardware, typer.Option(help="cpu or cuda")]
ImageSourceOption = Annotated[
    ImageSource | None, typer.Option(help="built: from the package index; official: the project's own images")
]
Prereleases = Annotated[bool, typer.Option("--prereleases", help="include release candidates and nightlies")]
Parallel = Annotated[int | None, typer.Option(min=1, max=16, help="how many images to build at once")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command()
def build(
    releases: Releases,
    package: Package = "tensorflow",
    hardware: HardwareOption = "cpu",
    image_source: ImageSourceOption = None,
    prereleases: Prereleases = False,
    parallel: Parallel = None,
    as_json: AsJson = False,
) -> None:
    """Build the images of releases, except those that exist already.

    Exit code 3: an infrastructure failure prevented a build, or no image could be built.
    """
    with house(parallel_builds=parallel) as opened:
        targets = targets_of(opened, releases, package, hardware, prereleases, image_source)
        settings = opened.settings
        forecast = forecast_build(targets, opened.environments, opened.images, settings.parallel_builds)
        err.print(told(forecast))
        warn_of_shortage(forecast, settings)
        with BuildBar(err, forecast) as bar:
            results = build_all(targets, opened.environments, opened.images, settings, bar)
    if as_json:
        out.print_json(json.dumps([asdict(result) for result in results]))
    for result in results if not as_json else ():
        line = result.image or f"{'not built' if result.lost else 'untestable'}: {result.reason}"
        out.print(f"{result.release}  {line}", markup=False)
    if any(result.lost for result in results) or not any(result.image for result in results):
        raise typer.Exit(EXIT_NO_ANSWER)


@app.command()
def bases(
    releases: Releases,
    package: Package = "tensorflow",
    hardware: HardwareOption = "cpu",
    prereleases: Prereleases = False,
) -> None:
    """Build the base images of releases, for a coordinator in a container, which cannot build them."""
    with house() as opened:
        targets = targets_of(opened, releases, package, hardware, prereleases)
        for python in pythons_of(opened, targets):
            base = opened.images.grounds.ensure(python)
            out.print(f"{python}  {base.references[0] if base.references else base.id}", markup=False)


def pythons_of(opened: House, targets: Sequence[Target]) -> list[str]:
    """Return the interpreters that targets need, oldest first; untestable targets need none."""
    found = set()
    for target in targets:
        with suppress(ReleaseUntestable):
            found.add(opened.environments.recipe(target).python)
    return sorted(found, key=lambda python: tuple(map(int, python.split("."))))


@app.command("list")
def list_images(as_json: AsJson = False) -> None:
    """List the images on this machine, the most recently used first."""
    with house() as opened:
        rows = opened.images.shelf.rows()
    if as_json:
        print(json.dumps([row.to_json() for row in rows], indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("release", "package", "added", "hardware", "python", "size", "age", "last used", "image"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "size" else "left")
    now = datetime.now(UTC)
    for row in rows:
        times = (age_in_words(now - row.created), age_in_words(now - row.last_used))
        added = str(len(row.added.split()) or "")
        table.add_row(row.release, row.package, added, row.hardware, row.python, in_gb(row.bytes), *times, row.image)
    out.print(table, width=wide)
    err.print(f"{counted(len(rows), 'image')}, {in_gb(sum(row.own_bytes for row in rows))} beside what they share")


@app.command()
def prune(
    budget: Annotated[str, typer.Option(help="disk space that images may use, such as 20GB; 0 removes all")] = "",
    as_json: AsJson = False,
) -> None:
    """Remove the least recently used images until the rest fit the budget; images in use are kept."""
    with house() as opened:
        budget_bytes = bytes_of(budget) if budget else opened.settings.image_budget_bytes
        if not budget and not budget_bytes:
            raise BadInput("no budget is set; add --budget 20GB, or set TFBISECT_IMAGE_BUDGET_BYTES.", field="budget")
        removed = opened.images.shelf.prune(budget_bytes)
    if as_json:
        print(json.dumps([row.to_json() for row in removed], indent=2))
        return
    for row in removed:
        out.print(f"removed {row.image}", markup=False)
    err.print(f"{counted(len(removed), 'image')} removed, {in_gb(sum(row.own_bytes for row in removed))} freed")


@app.command()
def verify(
    releases: Annotated[str, typer.Argument(help="releases or ranges; default: every image on this machine")] = "",
    package: Package = "tensorflow",
    hardware: HardwareOption = "cpu",
    prereleases: Prereleases = False,
    build_missing: Annotated[bool, typer.Option("--build", help="build missing images first")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="remove images that were built for the check")] = False,
    parallel: Parallel = None,
    as_json: AsJson = False,
) -> None:
    """Check images: import the package in each and run the probe with its controls; load the CUDA libraries too."""
    with house(parallel_builds=parallel) as opened:
        if releases:
            targets = targets_of(opened, releases, package, hardware, prereleases)
        else:
            targets = list(dict.fromkeys(target_of_image(row) for row in opened.images.shelf.rows()))
        checks = verified(opened, targets if build_missing else built_of(opened, targets), discard=discard)
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        print(table_of(checks), end="")
    if not checks:
        err.print("there is no image to check; build some with `tfbisect images build 1.9..1.14`")
    if not checks or any(check.problem for check in checks):
        raise typer.Exit(EXIT_NO_ANSWER)


@app.command("report")
def print_checks() -> None:
    """Print the last check of every image as a Markdown table, as in docs/images.md."""
    with house() as opened:
        print(table_of(ledger_of(opened).latest()), end="")


def verified(opened: House, targets: Sequence[Target], *, discard: bool) -> list[Check]:
    """Check targets, record each in the ledger, and optionally remove the images built for the check."""
    settings = opened.settings
    checker = Checker(opened.environments, opened.images, opened.runner, opened.probes, settings.timeout_seconds)
    ledger, leaving = ledger_of(opened), Leaving(opened)

    def note(check: Check) -> None:
        ledger.append(check)
        err.print(f"{check.release} {check.hardware}: {check.problem or check.outcome}", markup=False)
        if discard and check.build_seconds is not None:
            leaving.add(check.image)

    forecast = forecast_build(targets, opened.environments, opened.images, settings.parallel_builds)
    try:
        with BuildBar(err, forecast) as bar:
            return check_all(checker, targets, settings.parallel_builds, note, bar)
    finally:
        opened.runner.close()
        leaving.settle()


class Leaving:
    """Images to remove; an image whose last container still exists is removed later."""

    def __init__(self, opened: House) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._images: list[str] = []

    def add(self, image: str) -> None:
        """Remove an image now or later, if there is one."""
        with self._lock:
            self._images += [image] if image else []
        self.settle()

    def settle(self) -> None:
        """Remove all images that can be removed now."""
        with self._lock:
            self._images = [image for image in self._images if not self._opened.images.engine.remove(image)]
        self._opened.images.forget_packages()


def ledger_of(opened: House) -> Ledger:
    return Ledger(opened.settings.data_dir / "images" / "checks.jsonl")


def targets_of(
    opened: House,
    releases: str,
    package: str,
    hardware: Hardware,
    prereleases: bool,
    source: ImageSource | None = None,
) -> list[Target]:
    """Return the targets in a range, oldest first."""
    package = package_name(package)
    known = opened.catalog.releases(package)
    versions = select(parse_releases(releases), known, prereleases=prereleases)
    return [Target(package, version, hardware, source) for version in versions]


def target_of_image(row: ImageRow) -> Target:
    hardware: Hardware = "cuda" if row.hardware == "cuda" else "cpu"
    return Target(row.package, row.release, hardware, "official" if row.official else "built")


def built_of(opened: House, targets: Sequence[Target]) -> list[Target]:
    """Return the targets that have an image made by the current recipe."""
    return [target for target in targets if is_built(opened, target)]


def is_built(opened: House, target: Target) -> bool:
    """Return whether the image of a run exists; images of earlier recipes are never used again."""
    try:
        return opened.images.built(opened.environments.resolve(target)) is not None
    except ReleaseUntestable as error:
        err.print(f"{target.release} {target.hardware}: not checked: {error.message}", markup=False)
        return False


def warn_of_shortage(forecast: BuildForecast, settings: Settings) -> None:
    """Warn before a build that the disk is too small."""
    free = free_bytes(settings.data_dir)
    missing = shortage(forecast, free, settings.disk_reserve_bytes, settings.image_budget_bytes)
    if missing:
        err.print(
            f"the disk is {in_gb(missing)} too small, with {in_gb(settings.disk_reserve_bytes)} kept in reserve: the "
            "build will stop when it is full; set TFBISECT_IMAGE_BUDGET_BYTES to remove old images automatically"
        )


def told(forecast: BuildForecast) -> str:
    if not forecast.missing:
        return "the image exists already" if forecast.total == 1 else f"all {forecast.total} images exist already"
    return (
        f"{forecast.missing} of {counted(forecast.total, 'image')} to build: about "
        f"{in_gb(forecast.download_bytes)} to download, {in_gb(forecast.disk_bytes)} on disk, "
        f"{duration(forecast.seconds)}"
    )


def bytes_of(text: str) -> int:
    """Read a size such as 20GB or 512MiB.

    Raises:
        BadInput: it is not a size.
    """
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"{text!r} is not a size; write it as 20GB.", field="budget")
    number, prefix, binary = match.groups()
    step = 1024 if binary else 1000
    return int(float(number) * step ** " KMGT".index(prefix.upper() or " "))


def age_in_words(age: timedelta) -> str:
    """Return an age in its largest unit."""
    seconds = int(age.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
