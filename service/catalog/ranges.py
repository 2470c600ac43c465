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
LONGEST_TEXT = 10_000  # some hundred releases by name
LONGEST_NAME = 128
MOST_SPANS = 50  # each is held against every release


@dataclass(frozen=True)
class Point:
    """One name in a range: a version, the beginning of versions, or the date of a nightly."""

    text: str
    version: Version
    is_date: bool = False

    @property
    def is_prefix(self) -> bool:
        """Return whether this means every version with this prefix."""
        return not self.is_date and len(self.version.release) < 3 and not _is_marked(self.version)

    def begins(self, version: Version) -> bool:
        """Return whether a version is this one, or has this prefix."""
        if self.is_date:
            return version.dev == self.version.major
        if not self.is_prefix:
            return version == self.version
        width = len(self.version.release)
        return _padded(version)[:width] == self.version.release

    def is_at_most(self, version: Version) -> bool:
        """Return whether a version is at or after this point, as the first end of a range."""
        if self.is_date:
            return version.dev is not None and version.dev >= self.version.major
        # A candidate of 1.9.0 sorts before 1.9, and belongs to it.
        return version >= self.version or self.begins(version)

    def is_at_least(self, version: Version) -> bool:
        """Return whether a version is at or before this point, as the last end of a range."""
        if self.is_date:
            return version.dev is not None and version.dev <= self.version.major
        return version <= self.version or self.begins(version)


@dataclass(frozen=True)
class Span:
    """Every release from one point to another; None is an open end."""

    first: Point | None
    last: Point | None

    def holds(self, version: Version) -> bool:
        return (self.first is None or self.first.is_at_most(version)) and (
            self.last is None or self.last.is_at_least(version)
        )


@dataclass(frozen=True)
class Selection:
    """A parsed text: spans and single names."""

    text: str
    spans: tuple[Span, ...]
    points: tuple[Point, ...]

    @property
    def names_prereleases(self) -> bool:
        """Return whether the text names a candidate or a nightly, which includes them."""
        ends = [end for span in self.spans for end in (span.first, span.last) if end is not None]
        return any(point.is_date or point.version.is_prerelease for point in (*self.points, *ends))


def parse_releases(text: str) -> Selection:
    """Read a `--releases` text.

    Raises:
        RangeError: no version where one is due, or the ends are swapped.
    """
    if len(text) > LONGEST_TEXT:
        raise RangeError(
            f"the list of releases has {len(text)} characters, more than {LONGEST_TEXT}; use ranges.", field="releases"
        )
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise RangeError(
            "no releases given; write a range such as 1.9..1.14, or 1.9.. for all newer ones.", field="releases"
        )
    spans = tuple(_span(item) for item in items if ".." in item)
    points = tuple(_point(item) for item in items if ".." not in item)
    if len(spans) > MOST_SPANS:
        raise RangeError(f"{len(spans)} ranges given, more than {MOST_SPANS}; join them.", field="releases")
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
    names, usable_names = _ByName(by_name), _ByName(usable)
    for point in selection.points:
        chosen.update(_named(point, usable_names, names))
    if not chosen:
        raise RangeError(f"no release in {selection.text!r}; {_offer(usable)}", field="releases")
    return tuple(str(version) for version in sorted(chosen))


def left_out(selection: Selection, releases: Sequence[CatalogRelease], chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the releases that a list passes over, between its first and its last, in version order; of a span none."""
    if not selection.points or not chosen:
        return ()
    first, last = Version(chosen[0]), Version(chosen[-1])
    there = [Version(release.version) for release in releases if not (release.is_prerelease or release.yanked)]
    taken = set(map(Version, chosen))
    return tuple(str(version) for version in sorted(there) if first < version < last and version not in taken)


def absent(selection: Selection, releases: Sequence[CatalogRelease]) -> tuple[str, ...]:
    """Return the patch numbers that a selection spans and the catalog never had, such as 1.13.0, in version order.

    Only of minors that number their patches one by one: 2018.1.18 is a date, and the seventeen days before it are no
    releases that never came out. So there are never more of them than releases, whatever a release calls itself.
    """
    patches: dict[tuple[int, ...], set[int]] = {}
    for release in releases:
        if not release.is_prerelease and len(number := Version(release.version).release) == 3:
            patches.setdefault(number[:2], set()).add(number[2])
    missing = [
        Version(".".join(map(str, (*minor, patch))))
        for minor, present in patches.items()
        if max(present) + 1 <= 2 * len(present)
        for patch in range(max(present))
        if patch not in present
    ]
    return tuple(str(version) for version in sorted(missing) if any(span.holds(version) for span in selection.spans))


class _ByName:
    """Versions by all their names: number, prefix, date of a nightly."""

    def __init__(self, versions: Sequence[Version]) -> None:
        self.versions = versions
        self._exact = {version: version for version in versions}
        self._beginning: dict[tuple[int, ...], list[Version]] = {}
        self._dates: dict[int, list[Version]] = {}
        for version in versions:
            numbers = _padded(version)
            for width in (1, 2):
                self._beginning.setdefault(numbers[:width], []).append(version)
            if version.dev is not None:
                self._dates.setdefault(version.dev, []).append(version)

    def named(self, point: Point) -> Sequence[Version]:
        """Return the versions that a point means."""
        if point.is_date:
            return self._dates.get(point.version.major, ())
        if point.is_prefix:
            return self._beginning.get(point.version.release, ())
        return (self._exact[point.version],) if point.version in self._exact else ()


def _named(point: Point, usable: _ByName, by_name: _ByName) -> Sequence[Version]:
    """Return the versions that a single name means; an exact name may be yanked or a candidate."""
    found = (usable if point.is_prefix else by_name).named(point)
    if not found:
        raise RangeError(f"no release {point.text}; {_offer(by_name.versions, point.version)}", field="releases")
    return found


def _span(item: str) -> Span:
    """Read `FIRST..LAST`, either end may be missing."""
    before, _, after = item.partition("..")
    first, last = (_point(end.strip()) if end.strip() else None for end in (before, after))
    if first is not None and last is not None and _are_swapped(first, last):
        raise RangeError(f"{first.text} is newer than {last.text}; swap the ends.", field="releases")
    return Span(first, last)


def _are_swapped(first: Point, last: Point) -> bool:
    """Return whether the first end is newer; a date and a version cannot be compared."""
    return first.is_date == last.is_date and first.version > last.version and not last.begins(first.version)


def _point(text: str) -> Point:
    if DATE.fullmatch(text):
        return Point(text, Version(text.replace("-", "")), is_date=True)
    try:
        version = Version(text.rstrip(".")) if len(text) <= LONGEST_NAME else None
    except InvalidVersion:
        version = None
    if version is None:
        raise RangeError(
            f"{text[:LONGEST_NAME]!r} is not a release; write versions such as 1.12.0, ranges such as 1.9..1.14, "
            "joined by commas.",
            field="releases",
        )
    return Point(text, version)


def _offer(versions: Iterable[Version], near: Version | None = None) -> str:
    """List releases for an error message: the neighbours of the one asked for, or the two ends."""
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
    """Return whether a version is more than numbers: a candidate, a nightly, a post-release."""
    return version.is_prerelease or version.is_postrelease
