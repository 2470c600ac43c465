"""Which packages changed their version between two runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from service.bisection.outcomes import RunReport


@dataclass(frozen=True)
class VersionDifference:
    """One package that differs between the sides; "" if it is absent."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class EnvironmentDifference:
    """What differs between the environments of two releases, besides the release itself."""

    packages: tuple[VersionDifference, ...]
    same: int
    """Packages with one version on both sides."""
    python: VersionDifference | None = None


def between(before: RunReport, after: RunReport, package: str) -> EnvironmentDifference:
    """Compare the environments of two runs; the package under test is left out."""
    old, new = _versions(before.packages), _versions(after.packages)
    names = sorted({*old, *new} - {canonicalize_name(package)})
    differing = tuple(
        VersionDifference(name, old.get(name, ""), new.get(name, ""))
        for name in names
        if old.get(name) != new.get(name)
    )
    python = VersionDifference("python", before.python, after.python) if before.python != after.python else None
    return EnvironmentDifference(differing, len(names) - len(differing), python)


def _versions(packages: Mapping[str, str]) -> dict[str, str]:
    """Return versions by the canonical names of their packages."""
    return {canonicalize_name(name): version for name, version in packages.items()}
