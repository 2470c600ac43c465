"""Histories as the index knows them: which releases came late, after a newer minor had begun. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from packaging.version import Version

from service.bisection.releases import ReleaseTree, minor_of, tree_of
from service.catalog.releases import NO_DATE, CatalogRelease

KEPT_BESIDE = frozenset({"tensorflow", "tensorflow-cpu", "tensorflow-gpu", "intel-tensorflow"})
"""Packages whose minors are branches by their own policy: a patch release is made from the branch of its minor, also
where it came before the next minor. The contract describes TensorFlow's history so."""


def history_of(
    package: str, releases: Sequence[CatalogRelease], versions: Iterable[str], unbuilt: Mapping[str, str] | None = None
) -> ReleaseTree:
    """Return the history of some releases of a package.

    Args:
        package: whose releases these are.
        releases: all of the catalog's: what is late does not depend on the versions asked for.
        versions: those that the history has.
        unbuilt: more of them, of which nothing can be installed, with the reason.
    """
    unbuilt = unbuilt or {}
    late = None if package in KEPT_BESIDE else late_releases(releases)
    return replace(tree_of([*versions, *unbuilt], late), unbuilt=MappingProxyType(dict(unbuilt)))


def late_releases(releases: Iterable[CatalogRelease]) -> frozenset[str] | None:
    """Return the final releases that came after a newer minor had begun; None where the index gives no dates."""
    finals = [release for release in releases if not release.is_prerelease]
    if any(release.came == NO_DATE for release in finals):
        return None
    late: set[str] = set()
    by_minor: dict[str, list[CatalogRelease]] = {}
    for release in sorted(finals, key=lambda release: Version(release.version)):
        by_minor.setdefault(minor_of(release.version), []).append(release)
    newer_began = None
    for members in reversed(by_minor.values()):
        if newer_began is not None:
            late.update(release.version for release in members if release.came >= newer_began)
        began = min(release.came for release in members)
        newer_began = began if newer_began is None else min(began, newer_began)
    return frozenset(late)
