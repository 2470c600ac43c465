"""The catalog as rows for people: what there is, how it is installed, and why a release cannot answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.bisection.releases import MAINLINE, ReleaseTree, minor_of
from service.catalog.environments import Environments
from service.catalog.histories import history_of
from service.catalog.releases import CatalogRelease
from service.catalog.targets import Hardware, Target
from service.errors import BadInput, ReleaseUntestable


def release_rows(
    package: str,
    hardware: Hardware,
    releases: Sequence[CatalogRelease],
    environments: Environments,
    images: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return one row per release, oldest first.

    Args:
        package: whose releases these are.
        hardware: what they are to run on.
        releases: the catalog's rows.
        environments: tells how a release is installed.
        images: environment digest -> image reference, for the images that are built.
    """
    tree = history_of(package, releases, (release.version for release in releases))
    return [
        _row(Target(package, release.version, hardware), release, tree, environments, images) for release in releases
    ]


def _row(
    target: Target,
    release: CatalogRelease,
    tree: ReleaseTree,
    environments: Environments,
    images: Mapping[str, str],
) -> dict[str, Any]:
    python, untestable = _python(target, environments)
    known = environments.known(target) if not untestable else None
    return {
        "release": release.version,
        "line": MAINLINE if release.version in tree.mainline else minor_of(release.version),
        "uploaded": release.uploaded.date().isoformat(),
        "python": python,
        "hardware": target.hardware,
        "source": environments.source(target),
        "image": images.get(known.digest, "") if known else "",
        "untestable": untestable or _standing(release),
    }


def _python(target: Target, environments: Environments) -> tuple[str, str]:
    """Return the interpreter of a release, or why there is none; that of an official image is not known."""
    if environments.source(target) == "official":
        return "", ""
    try:
        return environments.recipe(target).python, ""
    except (ReleaseUntestable, BadInput) as error:
        return "", error.message


def _standing(release: CatalogRelease) -> str:
    """Return why an installable release is left out unless it is named."""
    if release.gone:
        return "gone from the index; what was measured is kept"
    return "yanked from the index; name it to test it" if release.yanked else ""
