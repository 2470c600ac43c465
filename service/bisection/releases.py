"""Releases and their history: a mainline with branches, oldest first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from packaging.version import Version

MAINLINE = "mainline"


@dataclass(frozen=True)
class ReleaseTree:
    """The history that a planner walks.

    `mainline` is oldest first. `branches` maps a minor such as "1.12" to the releases that hang on it, oldest first;
    item 0 is the mainline release that it starts at.
    """

    mainline: tuple[str, ...]
    branches: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    left_out: tuple[str, ...] = ()
    """Releases between these that nobody asked about, since a list of releases passed over them."""
    yanked: tuple[str, ...] = ()
    """Releases between these that are not asked unless they are named."""
    unbuilt: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Releases of this tree that nothing can be installed of, with the reason."""
    late: frozenset[str] | None = None
    """As in `tree_of`."""

    def passed_over(self, line: str, before: str, after: str) -> tuple[str, ...]:
        """Return the releases left out between two neighbours of a line."""
        return self._between(self.left_out, line, before, after)

    def yanked_between(self, line: str, before: str, after: str) -> tuple[str, ...]:
        """Return the yanked releases between two neighbours of a line."""
        return self._between(self.yanked, line, before, after)

    def _between(self, releases: Sequence[str], line: str, before: str, after: str) -> tuple[str, ...]:
        """Return those of some releases that lie on the way between two neighbours of a line."""
        if not releases:
            return ()  # and nothing is read as a version: a replayed line may have other names
        first, last = Version(before), Version(after)
        between = (release for release in releases if first < Version(release) < last)
        if line != MAINLINE:
            return tuple(between)
        # Patch releases that hang on a branch do not lie on the way.
        if self.late is None:
            return tuple(release for release in between if minor_of(release) not in {minor_of(before), minor_of(after)})
        return tuple(release for release in between if release not in self.late)

    def without(self, releases: Collection[str]) -> ReleaseTree:
        """Return the tree without some releases; a branch whose start is gone starts at what is left of it."""
        left = tuple(release for release in self.all() if release not in releases)
        return replace(tree_of(left, self.late), unbuilt=self.unbuilt)

    def all(self) -> tuple[str, ...]:
        """Every release once, in version order of the minors: each mainline release, then the rest of its branch."""
        starts = {releases[0]: releases for releases in self.branches.values()}
        return tuple(release for first in self.mainline for release in starts.get(first, (first,)))

    def lines(self) -> Mapping[str, tuple[str, ...]]:
        """Each line by name: the mainline first, then the branches."""
        return {MAINLINE: self.mainline, **self.branches}


def minor_of(version: str) -> str:
    """Return the minor that a version belongs to: "1.12" for "1.12.3", "1!0.2" for "1!0.2.0"."""
    parsed = Version(version)
    epoch = f"{parsed.epoch}!" if parsed.epoch else ""
    return epoch + ".".join(str(part) for part in (*parsed.release, 0)[:2])


def tree_of(versions: Iterable[str], late: Collection[str] | None = None) -> ReleaseTree:
    """Sort versions into mainline and branches.

    The first final release of a minor is on the mainline. Where minors are kept beside each other, all further ones
    are on the minor's branch. Where it is known which releases came late, after a newer minor had begun, only those
    are: the others lie on the way to the next minor. Candidates and nightlies are steps of the mainline, in version
    order, and never start a branch.

    Args:
        versions: PEP 440 versions, in any order.
        late: the releases that came after a newer minor had begun; None: every patch release counts as one.
    """
    ordered = sorted(set(versions), key=Version)
    by_minor: dict[str, list[str]] = {}
    mainline: list[str] = []
    for version in ordered:
        if Version(version).is_prerelease:
            mainline.append(version)
            continue
        members = by_minor.setdefault(minor_of(version), [])
        if members and (late is None or version in late or len(members) > 1):
            members.append(version)
        else:
            # The branch of a minor starts at its last release on the mainline.
            members[:] = [version]
            mainline.append(version)
    branches = {minor: tuple(members) for minor, members in by_minor.items() if len(members) > 1}
    return ReleaseTree(tuple(mainline), MappingProxyType(branches), late=None if late is None else frozenset(late))


def positions(line: Sequence[str]) -> dict[str, int]:
    """Map each release of a line to its index, 0 the oldest."""
    return {release: index for index, release in enumerate(line)}
