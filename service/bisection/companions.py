"""Which packages changed their version between two runs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from service.bisection.bridges import PYTHON, Bridge
from service.bisection.outcomes import RunReport
from service.bisection.releases import minor_of
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


def family_of(differs: Iterable[VersionDifference], before: str, after: str) -> frozenset[str]:
    """Return the packages that are numbered like the releases on both sides: parts of the release under other names.

    TensorBoard 1.11.0 comes with TensorFlow 1.11.0, and jaxlib 0.4.36 with jax 0.4.36; none runs with another's.
    """
    return frozenset(
        each.name
        for each in differs
        if _same_minor(each.before, before) and _same_minor(each.after, after) and each.name != PYTHON
    )


def _same_minor(version: str, release: str) -> bool:
    try:
        return minor_of(version) == minor_of(release)
    except InvalidVersion:
        return False  # absent on this side


def held_by(
    bridge: Bridge, before: RunReport, after: RunReport, package: str, family: Collection[str] = ()
) -> HeldVersions:
    """Return what a bridge between two runs is installed with: all that it has from either side, but its family."""
    own, other = (before, after) if bridge.release == "before" else (after, before)
    mine, theirs = _versions(own.packages), _versions(other.packages)
    wanted = {name: (theirs if name in bridge.moved else mine).get(name, "") for name in {*mine, *theirs}}
    left_free = own_names(package) | frozenset(family)
    pins = sorted(f"{name}=={version}" for name, version in wanted.items() if version and name not in left_free)
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
