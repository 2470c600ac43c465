"""The `--releases` grammar: `1.9..1.14`, `1.9..`, `..2.3`, `1.10.1,1.11.0`. Pure.

Both ends are included. An end with fewer than three numbers stands for all that begins so: `1.14` is every 1.14.z.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from service.catalog.releases import CatalogRelease
from service.errors import RangeError

DATE = re.compile(r"20\d{2}-?\d{2}-?\d{2}")


@dataclass(frozen=True)
class Point:
    """One name in a range: a version, the beginning of versions, or the date of a nightly."""

    text: str
    version: Version
    is_date: bool = False

    @property
    def is_prefix(self) -> bool:
        """Say whether this stands for every version that begins so."""
        return not self.is_date and len(self.version.release) < 3 and not _is_marked(self.version)

    def begins(self, version: Version) -> bool:
        """Say whether a version is this one, or begins so."""
        if self.is_date:
            return version.dev == self.version.major
        if not self.is_prefix:
            return version == self.version
        width = len(self.version.release)
        return _padded(version)[:width] == self.version.release

    def is_at_most(self, version: Version) -> bool:
        """Say whether a version is at or after this point, as the first end of a range."""
        if self.is_date:
            return version.dev is not None and version.dev >= self.version.major
        # A candidate of 1.9.0 sorts before 1.9, and belongs to it.
        return version >= self.version or self.begins(version)

    def is_at_least(self, version: Version) -> bool:
        """Say whether a version is at or before this point, as the last end of a range."""
        if self.is_date:
            return version.dev is not None and version.dev <= self.version.major
        return version <= self.version or self.begins(version)


@dataclass(frozen=True)
class Span:
    """Every release from one point to another; None is an open end."""

    first: Point | None
    last: Point | None

    def holds(self, version: Version) -> bool:
        """Say whether a version lies in the span."""
        return (self.first is None or self.first.is_at_most(version)) and (
            self.last is None or self.last.is_at_least(version)
        )


@dataclass(frozen=True)
class Selection:
    """What a text asked for: spans and single names, in any mixture."""

    text: str
    spans: tuple[Span, ...]
    points: tuple[Point, ...]

    @property
    def names_prereleases(self) -> bool:
        """Say whether the text names a candidate or a nightly, and so asks for them."""
        ends = [end for span in self.spans for end in (span.first, span.last) if end is not None]
        return any(point.is_date or point.version.is_prerelease for point in (*self.points, *ends))


def parse_releases(text: str) -> Selection:
    """Read a `--releases` text.

    Raises:
        RangeError: no version where one is due, or the ends are swapped.
    """
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise RangeError(
            "no releases are named; write a range such as 1.9..1.14, or 1.9.. to the newest.", field="releases"
        )
    spans = tuple(_span(item) for item in items if ".." in item)
    points = tuple(_point(item) for item in items if ".." not in item)
    return Selection(text, spans, points)


def select(
    selection: Selection, releases: Sequence[CatalogRelease], *, prereleases: bool = False, keep_gone: bool = False
) -> tuple[str, ...]:
    """Return the versions that a selection names, in version order.

    Candidates and nightlies come in only when asked for, by the flag or by name, or where a package has nothing else.
    Yanked releases come in only by their exact name; those that the index has dropped only with `keep_gone`.

    Args:
        selection: what was asked for.
        releases: the catalog's list.
        prereleases: take candidates and nightlies too.
        keep_gone: take what the index lists no more: stored observations may still answer for it.

    Raises:
        RangeError: nothing in the catalog fits, or a name in a list is not there.
    """
    present = [release for release in releases if keep_gone or not release.gone]
    wanted = prereleases or selection.names_prereleases or all(release.is_prerelease for release in present)
    usable = [Version(r.version) for r in present if not r.yanked and (wanted or not r.is_prerelease)]
    by_name = [Version(release.version) for release in present]
    chosen = {version for version in usable if any(span.holds(version) for span in selection.spans)}
    for point in selection.points:
        chosen.update(_named(point, usable, by_name))
    if not chosen:
        raise RangeError(f"no release in {selection.text!r}; {_offer(usable)}", field="releases")
    return tuple(str(version) for version in sorted(chosen))


def absent_patches(versions: Sequence[str], releases: Sequence[CatalogRelease]) -> dict[str, str]:
    """Say which patch releases a selection would hold if they had ever come out here, each with the reason.

    A minor counts from patch 0 to its newest patch in the catalog: 1.13.0 is absent where 1.13.1 is there.

    Args:
        versions: the selection, in version order.
        releases: the catalog's list.
    """
    first, last = Version(versions[0]), Version(versions[-1])
    known = {Version(release.version) for release in releases}
    newest: dict[tuple[int, int], int] = {}
    for version in known:
        if not version.is_prerelease:
            newest[version.major, version.minor] = max(newest.get((version.major, version.minor), 0), version.micro)
    patches = [Version(f"{major}.{minor}.{micro}") for (major, minor), top in newest.items() for micro in range(top)]
    holes = sorted(patch for patch in patches if patch not in known and first <= patch <= last)
    minors = {Version(version).release[:2] for version in versions}
    return {str(patch): "not on the package index" for patch in holes if patch.release[:2] in minors}


def absent(selection: Selection, releases: Sequence[CatalogRelease]) -> tuple[str, ...]:
    """Return the patch numbers that a selection spans and the catalog never had, such as 1.13.0, in version order."""
    finals = [Version(release.version) for release in releases if not release.is_prerelease]
    present = {version.release for version in finals}
    newest: dict[tuple[int, ...], int] = {}
    for version in finals:
        if len(version.release) == 3:
            minor = version.release[:2]
            newest[minor] = max(newest.get(minor, 0), version.release[2])
    numbers = [(*minor, patch) for minor, last in newest.items() for patch in range(last)]
    missing = [Version(".".join(map(str, number))) for number in numbers if number not in present]
    return tuple(str(version) for version in sorted(missing) if any(span.holds(version) for span in selection.spans))


def _named(point: Point, usable: Iterable[Version], by_name: Sequence[Version]) -> list[Version]:
    """Return what a single name stands for; an exact name may be yanked or a candidate."""
    found = [version for version in (usable if point.is_prefix else by_name) if point.begins(version)]
    if not found:
        raise RangeError(f"no release {point.text}; {_offer(by_name, point.version)}", field="releases")
    return found


def _span(item: str) -> Span:
    """Read `FIRST..LAST`, either end may be missing."""
    before, _, after = item.partition("..")
    first, last = (_point(end.strip()) if end.strip() else None for end in (before, after))
    if first is not None and last is not None and _are_swapped(first, last):
        raise RangeError(f"{first.text} is newer than {last.text}; swap the ends.", field="releases")
    return Span(first, last)


def _are_swapped(first: Point, last: Point) -> bool:
    """Say whether the first end is newer; a date and a version cannot be compared."""
    return first.is_date == last.is_date and first.version > last.version and not last.begins(first.version)


def _point(text: str) -> Point:
    """Read one version or date."""
    if DATE.fullmatch(text):
        return Point(text, Version(text.replace("-", "")), is_date=True)
    try:
        return Point(text, Version(text.rstrip(".")))
    except InvalidVersion:
        raise RangeError(
            f"{text!r} is not a release; write versions such as 1.12.0, ranges such as 1.9..1.14, joined by commas.",
            field="releases",
        ) from None


def _offer(versions: Iterable[Version], near: Version | None = None) -> str:
    """Say which releases there are: the neighbours of one that was asked for, or the two ends."""
    ordered = sorted(versions)
    if not ordered:
        return "the package has none for Linux on x86-64."
    if near is None:
        return f"there are {ordered[0]} to {ordered[-1]}."
    before = [version for version in ordered if version < near][-1:]
    after = [version for version in ordered if version > near][:1]
    return f"the nearest are {' and '.join(str(version) for version in before + after)}."


def _padded(version: Version) -> tuple[int, ...]:
    """Return the numbers of a version, at least three."""
    return (*version.release, 0, 0)[: max(3, len(version.release))]


def _is_marked(version: Version) -> bool:
    """Say whether a version is more than numbers: a candidate, a nightly, a post-release."""
    return version.is_prerelease or version.is_postrelease
