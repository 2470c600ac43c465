"""Releases and their history: a mainline with branches, oldest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from packaging.version import Version

MAINLINE = "mainline"


@dataclass(frozen=True)
class ReleaseTree:
    """The history that a planner walks.

    `mainline` holds the first release of each minor, oldest first. `branches` maps a minor such as "1.12" to its
    releases, oldest first; item 0 is the mainline release that it starts at. Only minors with patch releases have one.
    """

    mainline: tuple[str, ...]
    branches: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    left_out: tuple[str, ...] = ()
    """Releases between these that nobody asked about, since a list of releases passed over them."""

    def passed_over(self, line: str, before: str, after: str) -> tuple[str, ...]:
        """Return the releases left out between two neighbours of a line."""
        if not self.left_out:
            return ()  # and nothing is read as a version: a replayed line may have other names
        first, last = Version(before), Version(after)
        between = (release for release in self.left_out if first < Version(release) < last)
        if line != MAINLINE:
            return tuple(between)
        # Patch releases of the older side's minor hang on a branch; they do not lie on the way.
        return tuple(release for release in between if minor_of(release) not in {minor_of(before), minor_of(after)})

    def all(self) -> tuple[str, ...]:
        """Every release once, in version order of the minors: each mainline release, then the rest of its branch."""
        starts = {releases[0]: releases for releases in self.branches.values()}
        return tuple(release for first in self.mainline for release in starts.get(first, (first,)))

    def lines(self) -> Mapping[str, tuple[str, ...]]:
        """Each line by name: the mainline first, then the branches."""
        return {MAINLINE: self.mainline, **self.branches}


def minor_of(version: str) -> str:
    """Return the minor that a version belongs to: "1.12" for "1.12.3"."""
    release = (*Version(version).release, 0)[:2]
    return ".".join(str(part) for part in release)


def tree_of(versions: Iterable[str]) -> ReleaseTree:
    """Sort versions into mainline and branches.

    A final release joins the branch of its minor; the first of a minor is on the mainline. Candidates and nightlies
    are steps of the mainline, in version order, and never start a branch.

    Args:
        versions: PEP 440 versions, in any order.
    """
    ordered = sorted(set(versions), key=Version)
    by_minor: dict[str, list[str]] = {}
    mainline: list[str] = []
    for version in ordered:
        if Version(version).is_prerelease:
            mainline.append(version)
            continue
        members = by_minor.setdefault(minor_of(version), [])
        if not members:
            mainline.append(version)
        members.append(version)
    branches = {minor: tuple(members) for minor, members in by_minor.items() if len(members) > 1}
    return ReleaseTree(tuple(mainline), MappingProxyType(branches))


def positions(line: Sequence[str]) -> dict[str, int]:
    """Map each release of a line to its index, 0 the oldest."""
    return {release: index for index, release in enumerate(line)}
