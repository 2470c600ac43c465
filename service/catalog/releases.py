"""Releases of a package, as its index lists them, through a cache that outlives the index."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import prod
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.auth
import structlog
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import (
    InvalidName,
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version
from pypi_simple import PYPI_SIMPLE_ENDPOINT, DistributionPackage

from service.bisection.words import counted
from service.catalog.cache import Cache
from service.catalog.index_pages import NoSuchPage, OddPage, listed_files
from service.clock import Clock, utc_now
from service.errors import IndexUnreachable, Unavailable, UnknownName
from service.secret_urls import SecretUrl
from service.settings import Settings

CACHE_KIND = "releases"
UNBUILT_KIND = "releases-without-a-wheel"
SOURCE_ONLY = "source package only, which is not built here"
OTHER_SYSTEMS = "no wheel for Linux on x86-64"
TROUBLE_KIND = "trouble-with-the-index"
ASKED_AGAIN_AFTER = timedelta(seconds=60)
"""How long a failing index is not asked again while its last good list is used."""
DOUBTED_FOR = timedelta(days=7)
"""How long an index must lack releases before an unlikely loss is believed."""
MISSING_KIND = "packages-that-the-index-lacks"
MISSING_FOR = timedelta(minutes=10)
"""How long an unknown name is not looked up again."""
MISSING_AT_MOST = 60
"""Unknown names allowed within that time; more means that somebody is guessing."""
NO_DATE = datetime.min.replace(tzinfo=UTC)
"""The upload date of a release if the index gives none."""
LONGEST_NAME = 128
TIMEOUT_SECONDS = (5.0, 30.0)  # to connect, between two bytes; the largest list is 1 MB
MOST_TAGS = 500  # "py2.py3-none-any" stands for two; a hostile name may stand for a million
LINUX_PLATFORM = re.compile(r"any|linux_x86_64|manylinux\w*_x86_64")


log = structlog.get_logger()


@dataclass(frozen=True)
class CatalogRelease:
    """A release that has at least one wheel for Linux on x86-64."""

    version: str
    uploaded: datetime
    """Upload time of the last of its Linux wheels, UTC."""
    pythons: tuple[str, ...]
    """Interpreters that its wheels are made for, such as "3.6", oldest first; "3.6+": that and later ones; "3": all."""
    bytes: int
    """Size of its largest Linux wheel; 0 where the index does not say."""
    requires_python: str = ""
    yanked: bool = False
    gone: bool = False
    """Whether the index has removed it since it was seen (nightlies are kept for some months)."""
    began: datetime = NO_DATE
    """Upload time of the first of its Linux wheels, UTC: wheels for newer interpreters may follow years later."""

    @property
    def came(self) -> datetime:
        """Return when it came out."""
        return self.uploaded if self.began == NO_DATE else self.began

    def accepts(self, python: str) -> bool:
        """Say whether a wheel can be installed under an interpreter such as "3.6"."""
        listed = any(serves_python(each, python) for each in self.pythons)
        return listed and _allows(self.requires_python, python)

    @property
    def is_prerelease(self) -> bool:
        """Say whether this is a candidate or a nightly."""
        return Version(self.version).is_prerelease


class SameOrigin(requests.auth.AuthBase):
    """Sends credentials to the index only: its files may be on other hosts."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self._origin = origin_of(address)
        self._sign = requests.auth.HTTPBasicAuth(user, password)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return self._sign(request) if origin_of(request.url or "") == self._origin else request


def origin_of(address: str) -> tuple[str, str]:
    """Return scheme and host of an address."""
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


@dataclass(frozen=True)
class Index:
    """Where packages come from: a Simple API address, the certificates to trust, and how to sign in."""

    url: str = PYPI_SIMPLE_ENDPOINT
    """Without user and password: it is shown, used in cache keys, and passed on the command line of uv."""
    ca_bundle: Path | None = None
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    """User and password."""

    @classmethod
    def at(cls, address: SecretUrl, ca_bundle: Path | None) -> Index:
        """Return the index at an address, or the usual one where it is empty."""
        return cls(address.without_credentials or PYPI_SIMPLE_ENDPOINT, ca_bundle, address.credentials)

    def session(self) -> requests.Session:
        """Return an HTTP session that trusts the bundle and signs in."""
        session = requests.Session()
        if self.credentials is not None:
            session.auth = SameOrigin(self.url, *self.credentials)
        if self.ca_bundle is not None:
            session.verify = str(self.ca_bundle)
        return session

    def files(self, package: str) -> list[DistributionPackage]:
        """Ask the index for a package's files.

        Raises:
            UnknownName: no package of that name there.
            IndexUnreachable: no answer, or none that can be read.
        """
        try:
            return listed_files(self.url, package, self.ca_bundle, self.credentials)
        except NoSuchPage as error:
            raise no_such_package(package, self.url) from error
        except OddPage as error:
            raise IndexUnreachable(
                f"asked for {package}, the package index {self.url} {error}; look at the network, TFBISECT_INDEX_URL "
                "and TFBISECT_CA_BUNDLE."
            ) from error


@dataclass(frozen=True)
class IndexStanding:
    """How old the list of a package's releases is."""

    as_of: datetime
    """When the index answered, UTC."""
    problem: str
    """The error of the index when it was last asked; empty: none."""


@dataclass(frozen=True)
class Trouble:
    """An index that gave no list, or an implausible one."""

    since: datetime
    at: datetime
    """When it was last asked."""
    problem: str

    def as_json(self) -> dict[str, str]:
        return {"since": self.since.isoformat(), "at": self.at.isoformat(), "problem": self.problem}


class Catalog:
    """Answers which releases a package has."""

    def __init__(self, cache: Cache, settings: Settings, *, clock: Clock = utc_now) -> None:
        self.index = Index.at(settings.index_url, settings.ca_bundle)
        self._cache = cache
        self._max_age = timedelta(seconds=settings.catalog_max_age_seconds)
        self._now = clock
        self._read: dict[str, Mapping[Version, CatalogRelease]] | None = None
        self._asks = True

    def still(self) -> Catalog:
        """Return a copy that looks each package up once, for questions about many releases."""
        still = copy(self)
        still._read = {}
        return still

    def at_rest(self) -> Catalog:
        """Return a copy that never asks the index, for callers that must not wait, such as a page."""
        resting = copy(self)
        resting._asks = False
        return resting

    def releases(self, package: str) -> tuple[CatalogRelease, ...]:
        """Return the releases of a package in version order, from the cache while it is fresh.

        However many ask at once, in any process that shares the cache, the index is asked once. An answer of the index
        that cannot be believed costs nothing that was known before: see `standing`.

        Raises:
            UnknownName: the index has no such package, or this is not a name of a package.
            Unavailable: too many names that the index lacks were asked for.
            IndexUnreachable: the index does not answer and nothing is cached.
        """
        package, began = package_name(package), self._now()
        known, put_at = self._kept(package)
        if put_at is not None and (not self._asks or began - put_at < self._max_age):
            return known
        if not self._asks:
            raise IndexUnreachable(f"the releases of {package} are not known yet; fetch them with: tfbisect releases")
        with self._cache.alone(self._key(package)):
            known, put_at = self._kept(package)
            if put_at is not None and (put_at >= began or began - put_at < self._max_age):
                return known  # somebody else asked while this one waited
            return self._refreshed(package, known, began)

    def unbuilt(self, package: str) -> Mapping[str, str]:
        """Return the releases of a package that have no wheel for Linux on x86-64, with the reason.

        Known since the index was last asked for its releases; does not ask it.
        """
        kept = self._cache.cached(UNBUILT_KIND, self._key(package_name(package)))
        return dict(kept[0]) if kept else {}

    def standing(self, package: str) -> IndexStanding | None:
        """Return how old the list of a package is; None if there is none. Does not ask the index."""
        _, put_at = self._kept(package_name(package))
        trouble = self._trouble(package_name(package))
        return None if put_at is None else IndexStanding(put_at, trouble.problem if trouble else "")

    def _kept(self, package: str) -> tuple[tuple[CatalogRelease, ...], datetime | None]:
        """Return a package's releases from the cache and their date, or None."""
        kept = self._cache.cached(CACHE_KIND, self._key(package))
        return (_from_json(kept[0]), kept[1]) if kept else ((), None)

    def release(self, package: str, version: str) -> CatalogRelease | None:
        """Return one release, or None where the package has no such."""
        return self._by_version(package).get(Version(version))

    def _by_version(self, package: str) -> Mapping[Version, CatalogRelease]:
        if self._read is not None and package in self._read:
            return self._read[package]
        found = {Version(release.version): release for release in self.releases(package)}
        if self._read is not None:
            self._read[package] = found
        return found

    def _refreshed(
        self, package: str, known: tuple[CatalogRelease, ...], began: datetime
    ) -> tuple[CatalogRelease, ...]:
        """Ask the index; fall back to what is known if its answer is implausible."""
        trouble = self._trouble(package)
        # Those who waited for a failed answer do not ask again.
        if trouble is not None and (trouble.at >= began or (known and began - trouble.at < ASKED_AGAIN_AFTER)):
            return known or self._give_up(trouble.problem)
        missing = {} if known else self._refuse_missing(package)
        try:
            files = self.index.files(package)
            fresh = releases_of(files)
        except UnknownName as error:
            if known:
                return self._known_still(package, known, trouble, error.message)
            self._cache.put_cached(MISSING_KIND, self.index.url, {**missing, package: datetime.now(UTC).isoformat()})
            raise
        except IndexUnreachable as error:
            return self._known_still(package, known, trouble, error.message) or self._give_up(error.message)
        if (doubt := why_doubted(fresh, known)) and not self._lasts(trouble):
            said = f"asked for {package}, the package index {self.index.url} {doubt}"
            return self._known_still(package, known, trouble, said)
        if trouble is not None:
            self._cache.put_cached(TROUBLE_KIND, self._key(package), None)
        merged = with_gone(fresh, known)
        self._cache.put_cached(UNBUILT_KIND, self._key(package), unbuilt_of(files, {each.version for each in merged}))
        self._cache.put_cached(CACHE_KIND, self._key(package), [_to_json(release) for release in merged])
        return merged

    def _known_still(
        self, package: str, known: tuple[CatalogRelease, ...], before: Trouble | None, problem: str
    ) -> tuple[CatalogRelease, ...]:
        """Note what is wrong with the index, and return what was known."""
        now = self._now()
        trouble = Trouble(before.since if before else now, now, problem)
        self._cache.put_cached(TROUBLE_KIND, self._key(package), trouble.as_json())
        log.warning("catalog.index_in_trouble", package=package, problem=problem)
        return known

    def _give_up(self, problem: str) -> tuple[CatalogRelease, ...]:
        raise IndexUnreachable(problem)

    def _lasts(self, trouble: Trouble | None) -> bool:
        """Return whether an index has given unlikely answers for so long that they must be true."""
        return trouble is not None and self._now() - trouble.since > DOUBTED_FOR

    def _trouble(self, package: str) -> Trouble | None:
        """Return what is wrong with the index as far as a package goes, or None."""
        kept = self._cache.cached(TROUBLE_KIND, self._key(package))
        if kept is None or kept[0] is None:
            return None
        since, at = (datetime.fromisoformat(kept[0][name]) for name in ("since", "at"))
        return Trouble(since, at, kept[0]["problem"])

    def _refuse_missing(self, package: str) -> dict[str, str]:
        """Refuse a name that the index recently lacked; return all such names with their times."""
        kept = self._cache.cached(MISSING_KIND, self.index.url)
        begin = datetime.now(UTC) - MISSING_FOR
        missing = {name: at for name, at in (kept[0] if kept else {}).items() if datetime.fromisoformat(at) > begin}
        if package in missing:
            raise no_such_package(package, self.index.url)
        if len(missing) >= MISSING_AT_MOST:
            raise Unavailable(
                f"{len(missing)} names that {self.index.url} does not have were asked for within "
                f"{MISSING_FOR.seconds // 60} minutes; {package} is asked for later, try again then."
            )
        return missing

    def _key(self, package: str) -> str:
        """Return the cache's key: two indexes may list different releases."""
        return f"{self.index.url.rstrip('/')}/{package}"


def package_name(text: str) -> str:
    """Return a package's name as the index spells it (PEP 503).

    Raises:
        UnknownName: no package can have that name.
    """
    try:
        name = canonicalize_name(text.strip(), validate=True)
    except InvalidName:
        name = None
    if name is None or len(name) > LONGEST_NAME:
        raise UnknownName(
            f"{text[:LONGEST_NAME]!r} is not a package name; write it as the index does, such as tf-nightly.",
            field="package",
        )
    return name


def no_such_package(package: str, url: str) -> UnknownName:
    """Return the error for a package that the index lacks."""
    return UnknownName(
        f"no package {package!r} on {url}; look at its spelling, or set TFBISECT_INDEX_URL to an index that has it.",
        field="package",
    )


def releases_of(files: Iterable[DistributionPackage]) -> tuple[CatalogRelease, ...]:
    """Group an index's files into releases, in version order; only Linux x86-64 and universal wheels count."""
    wheels: dict[Version, list[tuple[DistributionPackage, frozenset[Tag]]]] = {}
    for file, version, tags in linux_wheels(files):
        wheels.setdefault(version, []).append((file, tags))
    return tuple(_release(version, wheels[version]) for version in sorted(wheels))


def unbuilt_of(files: Iterable[DistributionPackage], built: Collection[str]) -> dict[str, str]:
    """Return the releases of which an index has no wheel for Linux on x86-64, with the reason, in version order.

    Yanked ones are left out, and those whose files are of a kind that no installer reads any more.
    """
    found: dict[Version, str] = {}
    for file in files:
        version = None if file.is_yanked else _version_of(file.filename)
        if version is not None and str(version) not in built:
            is_wheel = file.filename.endswith(".whl")
            found[version] = OTHER_SYSTEMS if is_wheel else found.get(version, SOURCE_ONLY)
    return {str(version): found[version] for version in sorted(found)}


def _version_of(filename: str) -> Version | None:
    """Return the version of a wheel or a source package, by its name; None where it is neither."""
    with suppress(InvalidWheelFilename, InvalidSdistFilename):
        return parse_wheel_filename(filename)[1] if filename.endswith(".whl") else parse_sdist_filename(filename)[1]
    return None


def with_gone(fresh: Iterable[CatalogRelease], known: Iterable[CatalogRelease]) -> tuple[CatalogRelease, ...]:
    """Add known releases that are no longer listed to a fresh list, marked as gone, in version order.

    When a release came does not change: where the list says it no more, as one in HTML, it stays as it was known.
    """
    merged = {release.version: release for release in fresh}
    for release in known:
        listed = merged.get(release.version)
        if listed is None:
            merged[release.version] = replace(release, gone=True)
        elif listed.uploaded == NO_DATE:
            merged[release.version] = replace(listed, uploaded=release.uploaded, began=release.began)
    return tuple(sorted(merged.values(), key=lambda release: Version(release.version)))


def why_doubted(fresh: Sequence[CatalogRelease], known: Iterable[CatalogRelease]) -> str:
    """Return why a list of the index is implausible, given the one before; empty if it is not.

    An index hides a release that is no good (it is yanked and stays listed) and clears old nightlies away; it does not
    lose most of the others, nor the newest of all with nothing newer to take its place.
    """
    present = [release for release in known if not release.gone]
    listed = {release.version for release in fresh}
    lost = [release for release in present if release.version not in listed]
    if not lost:
        return ""
    finals = [release for release in present if not release.is_prerelease]
    finals_lost = sum(not release.is_prerelease for release in lost)
    newest = max(Version(release.version) for release in present)
    if finals_lost * 2 > len(finals) or not any(Version(version) >= newest for version in listed):
        now = counted(len(listed), "release")
        return f"lists {now} and none of {len(lost)} of the {len(present)} that it listed before"
    return ""


def linux_wheels(
    files: Iterable[DistributionPackage],
) -> Iterator[tuple[DistributionPackage, Version, frozenset[Tag]]]:
    """Yield each wheel for Linux on x86-64, with its version and tags."""
    for file in files:
        if prod(part.count(".") + 1 for part in file.filename.removesuffix(".whl").split("-")[-3:]) > MOST_TAGS:
            continue
        try:
            _, version, _, tags = parse_wheel_filename(file.filename)
        except InvalidWheelFilename:
            continue
        if any(LINUX_PLATFORM.fullmatch(tag.platform) for tag in tags):
            yield file, version, tags


def _release(version: Version, wheels: list[tuple[DistributionPackage, frozenset[Tag]]]) -> CatalogRelease:
    """Return a release from its wheels."""
    files = [file for file, _ in wheels]
    pythons = {python for _, tags in wheels for tag in tags if (python := _python_of(tag))}
    return CatalogRelease(
        version=str(version),
        uploaded=max(_utc(file.upload_time) for file in files),
        began=min(_utc(file.upload_time) for file in files),
        pythons=tuple(sorted(pythons, key=lambda python: (Version(python.rstrip("+")), python))),
        bytes=max(file.size or 0 for file in files),
        requires_python=next((file.requires_python for file in files if file.requires_python), ""),
        yanked=all(file.is_yanked for file in files),
    )


def _utc(moment: datetime | None) -> datetime:
    """Return a time in UTC; the oldest possible date if the index has no upload times."""
    return NO_DATE if moment is None else moment.astimezone(UTC)


def _python_of(tag: Tag) -> str | None:
    """Return the interpreter of a wheel tag: "3.10" for cp310, "3.6+" for cp36-abi3, "3" for py3; None for others."""
    match = re.fullmatch(r"(?:cp|py)(\d)(\d*)", tag.interpreter)
    if match is None:
        return None
    return ".".join(part for part in match.groups() if part) + ("+" if tag.abi == "abi3" else "")


def serves_python(listed: str, python: str) -> bool:
    """Say whether what a wheel is made for, such as "3", "3.6" or "3.6+", includes an interpreter such as "3.8"."""
    if not listed.endswith("+"):
        return listed in (python, python.partition(".")[0])
    least, asked = Version(listed[:-1]), Version(python)
    return least.major == asked.major and least <= asked


def serves(tag: Tag, python: str) -> bool:
    """Say whether a wheel tag is for an interpreter such as "3.6"."""
    listed = _python_of(tag)
    return listed is not None and serves_python(listed, python)


def _allows(requires_python: str, python: str) -> bool:
    """Say whether a Requires-Python accepts the last patch of an interpreter; one that cannot be read accepts all."""
    try:
        return f"{python}.99" in SpecifierSet(requires_python)
    except InvalidSpecifier:
        return True


def _fields(release: CatalogRelease) -> dict[str, Any]:
    return asdict(release)


def _to_json(release: CatalogRelease) -> dict[str, Any]:
    moments = {"uploaded": release.uploaded.isoformat(), "began": release.began.isoformat()}
    return {**_fields(release), **moments, "pythons": list(release.pythons)}


def _from_json(value: Iterable[Mapping[str, Any]]) -> tuple[CatalogRelease, ...]:
    """Read what the cache kept; older rows have fewer fields."""
    return tuple(_from_row(row) for row in value)


def _from_row(row: Mapping[str, Any]) -> CatalogRelease:
    moments = {name: datetime.fromisoformat(row[name]) for name in ("uploaded", "began") if name in row}
    return CatalogRelease(**{**row, **moments, "pythons": tuple(row["pythons"])})
