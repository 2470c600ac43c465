"""Which packages changed their version between two runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from service.bisection.bridges import PYTHON, Bridge
from service.bisection.outcomes import RunReport
from service.bisection.verdict import VersionDifference


@dataclass(frozen=True)
class EnvironmentDifference:
    """What differs between the environments of two releases, besides the release itself."""

    packages: tuple[VersionDifference, ...]
    same: int
    """Packages with one version on both sides."""
    python: VersionDifference | None = None

    @property
    def parts(self) -> tuple[VersionDifference, ...]:
        """Return all that differs, the interpreter first."""
        return (*([self.python] if self.python else []), *self.packages)


@dataclass(frozen=True)
class HeldVersions:
    """The interpreter and the exact versions that a bridge has."""

    python: str
    pins: tuple[str, ...]


def held_by(bridge: Bridge, before: RunReport, after: RunReport, package: str) -> HeldVersions:
    """Return what a bridge between two runs is installed with: all that it has from either side, but the package."""
    own, other = (before, after) if bridge.release == "before" else (after, before)
    mine, theirs = _versions(own.packages), _versions(other.packages)
    wanted = {name: (theirs if name in bridge.moved else mine).get(name, "") for name in {*mine, *theirs}}
    pins = sorted(
        f"{name}=={version}" for name, version in wanted.items() if version and name not in own_names(package)
    )
    return HeldVersions(minor_python((other if PYTHON in bridge.moved else own).python), tuple(pins))


def own_names(package: str) -> frozenset[str]:
    """Return the names under which a package is installed: TensorFlow's slim wheel is a package of its own."""
    name = canonicalize_name(package)
    return frozenset({name, f"{name}-cpu"})


def minor_python(version: str) -> str:
    """Return "3.6" for "3.6.15"."""
    return ".".join(version.split(".")[:2])


def between(before: RunReport, after: RunReport, package: str) -> EnvironmentDifference:
    """Compare the environments of two runs; the package under test is left out."""
    old, new = _versions(before.packages), _versions(after.packages)
    names = sorted({*old, *new} - own_names(package))
    differing = tuple(
        VersionDifference(name, old.get(name, ""), new.get(name, ""))
        for name in names
        if old.get(name) != new.get(name)
    )
    is_another = minor_python(before.python) != minor_python(after.python)
    python = VersionDifference(PYTHON, before.python, after.python) if is_another else None
    return EnvironmentDifference(differing, len(names) - len(differing), python)


def _versions(packages: Mapping[str, str]) -> dict[str, str]:
    """Return versions by the canonical names of their packages."""
    return {canonicalize_name(name): version for name, version in packages.items()}
