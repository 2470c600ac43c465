"""The `--releases` grammar: `1.9..1.14`, `>=1.9,<1.15`, `1.x`, `latest`, `2024-01-01..`, `1.10.1,1.11.0`. Pure.

Both ends are included. An end with fewer than three numbers stands for all that begins so: `1.14` is every 1.14.z.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from service.bisection.words import counted
from service.catalog.releases import NO_DATE, CatalogRelease
from service.errors import RangeError

DATE = re.compile(r"(20\d{2})(-?)(\d{2})\2(\d{2})")
WILDCARDS = re.compile(r"(\.[xX*])+")
OPERATORS = ("<", ">", "=", "!", "~")
LATEST = "latest"
NEWEST = Version(f"{2**31}!0")
"""Stands for the newest release until the catalog says which one that is."""
LONGEST_TEXT = 10_000  # some hundred releases by name
LONGEST_NAME = 128
MOST_SPANS = 50  # each is held against every release
MOST_ABSENT = 12
"""Numbers that never came out are named up to this many; where there are more, a package does not number one by one."""


@dataclass(frozen=True)
class Point:
    """One name in a range: a version, the beginning of versions, a date, or the newest release."""

    text: str
    version: Version
    is_date: bool = False
    """The date of a nightly; before it is settled, any date."""
    days: Mapping[Version, date] | None = field(default=None, repr=False, compare=False)
    """For the date of an upload: when each release came."""

    @property
    def is_prefix(self) -> bool:
        """Return whether this means every version with this prefix."""
        return not self.is_date and len(self.version.release) < 3 and not _is_marked(self.version)

    @property
    def day(self) -> date:
        """Return the date that a name of the form of a date means."""
        # `days` is only set for a text that matches.
        year, _, month, day = DATE.fullmatch(self.text).groups()  # type: ignore[union-attr]
        return date(int(year), int(month), int(day))

    def begins(self, version: Version) -> bool:
        """Return whether a version is this one, or has this prefix."""
        if self.days is not None:
            return self.days.get(version) == self.day
        if self.is_date:
            return version.dev == self.version.major
        if not self.is_prefix:
            return version == self.version
        width = len(self.version.release)
        return version.epoch == self.version.epoch and _padded(version)[:width] == self.version.release

    def is_at_most(self, version: Version) -> bool:
        """Return whether a version is at or after this point, as the first end of a range."""
        if self.days is not None:
            return version in self.days and self.days[version] >= self.day
        if self.is_date:
            return version.dev is not None and version.dev >= self.version.major
        # A candidate of 1.9.0 sorts before 1.9, and belongs to it.
        return version >= self.version or self.begins(version)

    def is_at_least(self, version: Version) -> bool:
        """Return whether a version is at or before this point, as the last end of a range."""
        if self.days is not None:
            return version in self.days and self.days[version] <= self.day
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
    """A parsed text: spans, single names, and conditions such as >=1.9."""

    text: str
    spans: tuple[Span, ...]
    points: tuple[Point, ...]
    conditions: SpecifierSet | None = None
    """All of them together."""

    @property
    def names_prereleases(self) -> bool:
        """Return whether the text names a candidate or a nightly, which includes them."""
        ends = [end for span in self.spans for end in (span.first, span.last) if end is not None]
        named = any(
            point.days is None and (point.is_date or point.version.is_prerelease) for point in (*self.points, *ends)
        )
        return named or bool(self.conditions and self.conditions.prereleases)

    def covers(self, version: Version) -> bool:
        """Return whether a version lies in a span, or fulfils the conditions."""
        fulfils = self.conditions is not None and self.conditions.contains(version, prereleases=True)
        return fulfils or any(span.holds(version) for span in self.spans)


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
    conditions = [item for item in items if item.startswith(OPERATORS)]
    named = [item for item in items if not item.startswith(OPERATORS)]
    spans = tuple(_span(item) for item in named if ".." in item)
    points = tuple(_point(item) for item in named if ".." not in item)
    if len(spans) + len(conditions) > MOST_SPANS:
        raise RangeError(
            f"{counted(len(spans) + len(conditions), 'range')} given, more than {MOST_SPANS}; join them.",
            field="releases",
        )
    return Selection(text, spans, points, _conditions(conditions))


def _conditions(items: Sequence[str]) -> SpecifierSet | None:
    """Read conditions as installers write them, such as >=1.9 and <1.15."""
    if not items:
        return None
    for item in items:
        try:
            SpecifierSet(item)
        except InvalidSpecifier:
            raise RangeError(
                f"{item[:LONGEST_NAME]!r} is not a condition; write such as >=1.9,<1.15 or ~=2.3.", field="releases"
            ) from None
    return SpecifierSet(",".join(items))


def settled(selection: Selection, releases: Sequence[CatalogRelease]) -> Selection:
    """Return a selection in which dates and `latest` mean what they mean for these releases.

    A date names a nightly where a package has nightlies, the release of that number where there is one, and otherwise
    the day of an upload.
    """
    reading = _Dates(releases)
    spans = tuple(
        Span(*(None if end is None else reading.settled(end, alone=False) for end in (span.first, span.last)))
        for span in selection.spans
    )
    return replace(selection, spans=spans, points=tuple(reading.settled(point) for point in selection.points))


class _Dates:
    """What dates and `latest` mean for a package."""

    def __init__(self, releases: Sequence[CatalogRelease]) -> None:
        self._days = {Version(each.version): each.came.date() for each in releases if each.came != NO_DATE}
        self._versions = {Version(each.version) for each in releases}
        listed = [each for each in releases if not (each.yanked or each.gone)]
        self._offered = sorted(Version(each.version) for each in listed if not each.is_prerelease) or sorted(
            Version(each.version) for each in listed
        )
        self._has_nightlies = any((version.dev or 0) > 20_000_000 for version in self._versions)

    def settled(self, point: Point, *, alone: bool = True) -> Point:
        """Return what a point means; a date that stands alone means the newest release of its day."""
        if point.version == NEWEST and self._offered:
            return Point(point.text, self._offered[-1])
        if not point.is_date or self._has_nightlies:
            return point
        if point.version in self._versions:
            return Point(point.text, point.version)
        if not alone:
            return replace(point, days=self._days)
        until = [version for version in self._offered if version in self._days and self._days[version] <= point.day]
        return Point(point.text, until[-1]) if until else replace(point, days=self._days)


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
    selection = settled(selection, present)
    wanted = prereleases or selection.names_prereleases or all(release.is_prerelease for release in present)
    usable = [Version(r.version) for r in present if not r.yanked and (wanted or not r.is_prerelease)]
    by_name = [Version(release.version) for release in present]
    chosen = {version for version in usable if selection.covers(version)}
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
    there = [release.version for release in releases if not (release.is_prerelease or release.yanked)]
    return _inside(there, chosen)


def yanked_inside(releases: Sequence[CatalogRelease], chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the yanked final releases between the first and the last chosen one that are not chosen themselves."""
    there = [release.version for release in releases if release.yanked and not release.is_prerelease]
    return _inside(there, chosen)


def unbuilt_inside(
    selection: Selection, releases: Sequence[CatalogRelease], unbuilt: Mapping[str, str], chosen: Sequence[str]
) -> dict[str, str]:
    """Return the final releases without a wheel that a span covers, between the first and the last chosen one."""
    covering = settled(selection, releases)
    finals = [version for version in unbuilt if not Version(version).is_prerelease]
    return {version: unbuilt[version] for version in _inside(finals, chosen) if covering.covers(Version(version))}


def _inside(versions: Iterable[str], chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the versions between the first and the last chosen one that are not chosen, in version order."""
    first, last = Version(chosen[0]), Version(chosen[-1])
    taken = set(map(Version, chosen))
    there = sorted(map(Version, versions))
    return tuple(str(version) for version in there if first < version < last and version not in taken)


def absent(selection: Selection, releases: Sequence[CatalogRelease], unbuilt: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the patch numbers that a selection spans and the index never had, such as 1.13.0, in version order.

    Only of minors that number their patches one by one: 2018.1.18 is a date, and the seventeen days before it are no
    releases that never came out. Where there are more of them than a reader wants to see, none is returned: whoever
    leaves out so many numbers does not count.
    """
    versions = [*(Version(each.version) for each in releases), *map(Version, unbuilt)]
    patches: dict[tuple[int, ...], set[int]] = {}
    for version in versions:
        if not version.is_prerelease and len(number := version.release) == 3 and not version.epoch:
            patches.setdefault(number[:2], set()).add(number[2])
    missing = [
        Version(".".join(map(str, (*minor, patch))))
        for minor, present in patches.items()
        if max(present) + 1 <= 2 * len(present)
        for patch in range(max(present))
        if patch not in present and (patch or any(minor))
    ]
    covering = settled(selection, releases)
    found = [str(version) for version in sorted(missing) if covering.covers(version)]
    return tuple(found) if len(found) <= MOST_ABSENT else ()


class _ByName:
    """Versions by all their names: number, prefix, date of a nightly."""

    def __init__(self, versions: Sequence[Version]) -> None:
        self.versions = versions
        self._exact = {version: version for version in versions}
        self._beginning: dict[tuple[int, tuple[int, ...]], list[Version]] = {}
        self._dates: dict[int, list[Version]] = {}
        for version in versions:
            numbers = _padded(version)
            for width in (1, 2):
                self._beginning.setdefault((version.epoch, numbers[:width]), []).append(version)
            if version.dev is not None:
                self._dates.setdefault(version.dev, []).append(version)

    def named(self, point: Point) -> Sequence[Version]:
        """Return the versions that a point means."""
        if point.days is not None:
            return ()  # no release had come by that day
        if point.is_date:
            return self._dates.get(point.version.major, ())
        if point.is_prefix:
            return self._beginning.get((point.version.epoch, point.version.release), ())
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
    if text.lower() == LATEST:
        return Point(text, NEWEST)
    if _is_day(text):
        return Point(text, Version(text.replace("-", "")), is_date=True)
    try:
        version = Version(_without_wildcards(text)) if len(text) <= LONGEST_NAME else None
    except InvalidVersion:
        version = None
    if version is None:
        raise RangeError(
            f"{text[:LONGEST_NAME]!r} is not a release; write versions such as 1.12.0, ranges such as 1.9..1.14, "
            "joined by commas.",
            field="releases",
        )
    return Point(text, version)


def _is_day(text: str) -> bool:
    """Return whether a text is a date of the calendar."""
    found = DATE.fullmatch(text)
    try:
        return found is not None and bool(date(int(found[1]), int(found[3]), int(found[4])))
    except ValueError:
        return False


def _without_wildcards(text: str) -> str:
    """Return 1 for 1.x and for 1.x.x, and 1.12 for 1.12.*."""
    found = WILDCARDS.search(text)
    return text[: found.start()] if found and found.end() == len(text) and found.start() else text.rstrip(".")


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
