"""Environments: a release's dependencies as of its upload, resolved once to a lock."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service.catalog.additions import cannot_be_added
from service.catalog.cache import Cache
from service.catalog.interpreters import find_interpreter
from service.catalog.recipes import (
    Recipe,
    accepted_pythons,
    held_recipe,
    load_rules,
    official_image,
    official_recipe,
    recipe_for,
    slim_package,
    source_of,
)
from service.catalog.releases import Catalog, CatalogRelease
from service.catalog.targets import ImageSource, Target
from service.catalog.uv import Uv
from service.catalog.wheels import Wheel, Wheels, write_stand_in
from service.errors import NoInterpreter, NotInstallable, ReleaseUntestable, UnknownName
from service.json_text import digest_of
from service.resources import resource_dir
from service.scratch import scratch_folder
from service.settings import Settings

CACHE_KIND = "environment"
ADDED_KIND = "additions"
STAND_IN = re.compile(r" ?@ file://\S*?-([^-\s]+)-py3-none-any\.whl")
FAILURE_KIND = "environment-in-conflict"
UNASKED = "setuptools"
"""What every environment had before Python 3.12 unasked; images/recipes.toml says beside which packages it stands."""
NOT_ON_INDEX = f"{UNASKED} was not found in the package registry"
UNIVERSAL = "3"
"""What the catalog says of a wheel that serves every Python 3."""
OTHER_PYTHONS = 3
"""How many further interpreters are tried for such a wheel."""
BUILD_FAILED = "Failed to build"
OFFICIAL_KIND = "official-image"
NEEDS_LIBRARIES = re.compile(r"^(?:lightgbm|opencv-python|opencv-contrib-python)==", re.MULTILINE)
"""Packages whose wheels use libraries of the system that only grounds with more libraries have (images/base)."""
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Environment:
    """Everything that is installed to run one release; the same on any machine."""

    target: Target
    recipe: Recipe
    lock: str
    """Requirements with hashes, as `uv pip install --require-hashes` takes them."""
    download_bytes: int = 0
    """Size of the framework's own wheel, as the index says."""
    added: str = ""
    """The lock of what lies over the release's own packages: additions, with what they need themselves."""

    @property
    def below(self) -> Environment:
        """Return the environment without its additions."""
        return replace(self, added="")

    @property
    def libraries(self) -> bool:
        """Say whether its ground must have more libraries of the system than Python itself needs."""
        return NEEDS_LIBRARIES.search(self.lock + self.added) is not None

    @property
    def python(self) -> str:
        """The interpreter's minor, such as "3.6"; "" where only an official image knows."""
        return self.recipe.python

    @property
    def cutoff(self) -> datetime:
        """The date that dependencies were taken as of, UTC."""
        return self.recipe.cutoff

    @property
    def recipe_digest(self) -> str:
        return self.recipe.digest

    @property
    def packages(self) -> Mapping[str, str]:
        """Package -> version, by name; of an official image its own name and digest."""
        official = {self.recipe.requirement: self.recipe.image} if self.recipe.image else {}
        return official | dict(sorted(PINNED.findall(self.lock + self.added)))

    @property
    def digest(self) -> str:
        """Digest over interpreter, lock, recipe and additions: part of an observation's key."""
        # Without additions it is as it was before there were any.
        later = {"added": self.added, "libraries": self.libraries}
        used = {name: value for name, value in later.items() if value}
        return digest_of({"python": self.python, "lock": self.lock, "recipe": self.recipe_digest} | used)


class Environments:
    """Resolves targets to environments, each once."""

    def __init__(
        self,
        catalog: Catalog,
        cache: Cache,
        settings: Settings,
        *,
        interpreter: Callable[[str], Path | None] = find_interpreter,
        official_digest: Callable[[str], str] | None = None,
    ) -> None:
        """Make a resolver.

        Args:
            catalog: knows the releases.
            cache: keeps locks and digests.
            settings: index, downloads, and where images come from.
            interpreter: finds a Python of this machine.
            official_digest: says what the name of an official image stands for; raises ReleaseUntestable.
        """
        self.catalog = catalog
        rules = load_rules(resource_dir("images") / "recipes.toml")
        self.rules = rules if settings.any_package else rules.without_any()
        self.uv = Uv(catalog.index, settings.download_dir)
        self._wheels = Wheels(catalog.index, settings.download_dir / "unpacked-wheels")
        self._cache = cache
        self._interpreter = interpreter
        self._official_digest = official_digest or _no_registry
        self._usual_source: ImageSource = settings.image_source
        self._registry = settings.registry

    def recipe(self, target: Target) -> Recipe:
        """Return how a target is installed.

        Raises:
            ReleaseUntestable: the index does not have it, or no interpreter fits.
            UnknownName: no rule names the package.
            IndexUnreachable: the index does not answer and nothing is cached.
        """
        return self._recipe_of(target)[0]

    def wheel_bytes(self, target: Target) -> int:
        """Return the size of the framework's wheel, as the index says; asks nothing of uv.

        Raises:
            ReleaseUntestable: as `recipe`.
        """
        return self._recipe_of(target)[1].bytes

    def source(self, target: Target) -> ImageSource:
        """Say where a target's image comes from."""
        return source_of(target, self.rules, self._usual_source)

    def known(self, target: Target) -> Environment | None:
        """Return the environment of a target where it was resolved before, else None; asks nobody."""
        below = self._known_alone(target)
        try:
            if below is None or not self._wanted(target, below):
                return below
        except ReleaseUntestable:
            return None
        kept = self._cache.cached(ADDED_KIND, self._added_key(target, below))
        return None if kept is None else self._with_added(target, below, kept[0])

    def _known_alone(self, target: Target) -> Environment | None:
        """Return the environment of a release without additions, where it was resolved before."""
        target = target.alone
        if self.source(target) == "official":
            return None if target.hold else self._known_official(target)
        try:
            recipe, wheels = self._recipe_of(target)
        except ReleaseUntestable:
            return None
        lock = self._kept_lock(recipe)
        if lock is not None:
            return Environment(target, recipe, lock, wheels.bytes)
        return self._under_another_python(target, wheels, self._known_alone) if self.known_failure(target) else None

    def known_of(self, targets: Iterable[Target]) -> dict[Target, Environment]:
        """Return what `known` does of each target, those that are not known left out; the catalog is read once."""
        at_once = copy(self)
        at_once.catalog = self.catalog.still()
        found = {target: at_once.known(target) for target in targets}
        return {target: environment for target, environment in found.items() if environment is not None}

    def known_failure(self, target: Target) -> str:
        """Return why a target that holds something could not be resolved before; "" where it could, or nobody tried."""
        try:
            recipe, _ = self._recipe_of(target)
        except ReleaseUntestable as error:
            return error.message
        return self._kept_failure(recipe)

    def _kept_failure(self, recipe: Recipe) -> str:
        """Return why a recipe could not be resolved, where that is kept; "" otherwise."""
        kept = self._cache.cached(FAILURE_KIND, self._key(recipe))
        return str(kept[0]) if kept else ""

    def _under_another_python(
        self, target: Target, wheels: CatalogRelease, find: Callable[[Target], Environment | None]
    ) -> Environment | None:
        """Return the environment of a release whose one wheel serves every Python under the next one that works.

        What it needs may be compiled, and not for the interpreter that comes first.
        """
        if UNIVERSAL not in wheels.pythons or target.hold.python:
            return None
        for python in accepted_pythons(target, wheels, self.rules)[1 : 1 + OTHER_PYTHONS]:
            with suppress(NotInstallable):
                if found := find(replace(target, hold=replace(target.hold, python=python))):
                    return replace(found, target=target)
        return None

    def resolve(self, target: Target) -> Environment:
        """Return the environment of a target, from the cache where its recipe was resolved before.

        Raises:
            ReleaseUntestable: as `recipe`; or NotInstallable, with what uv complains of.
            Unavailable: the index does not answer.
        """
        below = self._resolve_alone(target.alone)
        if not self._wanted(target, below):
            return below
        key = self._added_key(target, below)
        kept = self._cache.cached(ADDED_KIND, key)
        found = kept[0] if kept else self._resolve_added(target, below)
        if kept is None:
            self._cache.put_cached(ADDED_KIND, key, found)
        return self._with_added(target, below, found)

    def _resolve_alone(self, target: Target) -> Environment:
        """Return the environment of a release without additions."""
        if self.source(target) == "official":
            if target.hold:
                raise ReleaseUntestable(
                    f"the official image of {target.package} {target.release} stays as it is, so nothing of its "
                    "environment can be held; use --image-source built."
                )
            return self._known_official(target) or self._official(target)
        recipe, wheels = self._recipe_of(target)
        lock = self._kept_lock(recipe)
        if lock is None:
            try:
                lock = self._resolved(target, recipe)
            except NotInstallable:
                if elsewhere := self._under_another_python(target, wheels, self._resolve_alone):
                    return elsewhere
                raise
            value: dict[str, Any] = {"package": target.package, "release": target.release, "lock": lock}
            self._cache.put_cached(CACHE_KIND, self._key(recipe), value)
        return Environment(target, recipe, lock, wheels.bytes)

    def _wanted(self, target: Target, below: Environment) -> tuple[str, ...]:
        """Return the additions that a release's own environment does not have.

        Raises:
            ReleaseUntestable: it is an official image, which nothing is added to.
        """
        if not below.recipe.image:
            return absent_from(below.packages, (*target.additions, *target.imports))
        if target.additions:
            raise ReleaseUntestable(
                f"{target.additions[0]} cannot be added to {target.package} {target.release}: the project's own images "
                "stay as they are; use --image-source built."
            )
        return ()

    def _added_key(self, target: Target, below: Environment) -> str:
        """Return the cache's key of additions: what they are laid over, and which they are."""
        return digest_of([self.catalog.index.url, below.digest, sorted(self._wanted(target, below))])

    def _with_added(self, target: Target, below: Environment, found: Mapping[str, str]) -> Environment:
        """Return an environment with additions: over the release's own packages, or resolved as a whole with them."""
        if "whole" in found:
            return replace(below, recipe=self._whole(target, below), lock=found["whole"])
        return replace(below, added=found["added"])

    def _whole(self, target: Target, below: Environment) -> Recipe:
        """Return the recipe of a release with its additions, for those that need other versions of what it has."""
        wanted = self._wanted(target, below)
        return replace(below.recipe, extras=(*below.recipe.extras, *sorted(wanted)), only_wheels=True)

    def _resolve_added(self, target: Target, below: Environment) -> dict[str, str]:
        """Resolve additions beside what a release has; where that is in their way, all of it together.

        Raises:
            NotInstallable: there is no version with a wheel for that day and interpreter, or not beside the release.
        """
        wanted = self._wanted(target, below)
        try:
            return {"added": self._lock_beside(target, below, wanted)}
        except NotInstallable as error:
            first = error
        try:
            if below.recipe.unpack:
                raise first
            whole = self._whole(target, below)
            return {"whole": self._lock_of(whole, [whole.requirement], _own_name(target, below))}
        except NotInstallable as error:
            at_fault, reason = self._at_fault(target, below, wanted, error)
            said = STAND_IN.sub(r"==\1", reason)
            release = f"{target.package} {target.release} (Python {below.python}, as of {below.cutoff:%Y-%m-%d})"
            raise NotInstallable(cannot_be_added(at_fault, release, said)) from first

    def _lock_beside(self, target: Target, below: Environment, wanted: Sequence[str]) -> str:
        """Return the lock of what additions bring beside the packages that are there."""
        # Nothing is asked of what is there: that was resolved before.
        pins = tuple(pin for pin in target.hold.pins if pin.partition("==")[0] not in below.packages)
        recipe = replace(below.recipe, only_wheels=True, constraints=pins, extras=())
        return self._lock_of(recipe, wanted, {**below.packages, **_own_name(target, below)})

    def _at_fault(
        self, target: Target, below: Environment, wanted: Sequence[str], error: NotInstallable
    ) -> tuple[Sequence[str], str]:
        """Return which additions a release cannot have, and why: one that it cannot have alone, else all together."""
        for each in wanted:
            if canonicalize_name(Requirement(each).name) in below.packages:
                return [each], error.message
            try:
                self._lock_beside(target, below, [each])
            except NotInstallable as found:
                return [each], found.message
        return wanted, error.message

    def install(
        self,
        environment: Environment,
        folder: Path,
        python: Path | None = None,
        *,
        written: Callable[[int], None] | None = None,
    ) -> None:
        """Install an environment: into a folder of packages, or into a virtual environment.

        Args:
            environment: what to install.
            folder: where the packages go; with `python`, any folder to keep the lock in.
            python: interpreter of a virtual environment; None installs into `folder` for the recipe's Python, of an
                environment with additions only these.
            written: told now and then how many bytes were written, where the system tells.

        Raises:
            NotInstallable: a file is gone from the index, or a source package does not build.
            IndexUnreachable: the index does not answer.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if python is not None or not environment.added:
            self._install_alone(environment, folder, python, written)
        if environment.added:
            recipe = replace(environment.recipe, only_wheels=True, unpack=False)
            only_added = replace(environment, recipe=recipe, lock=environment.added, added="")
            self._install_alone(only_added, folder, python, written)

    def _install_alone(
        self, environment: Environment, folder: Path, python: Path | None, written: Callable[[int], None] | None
    ) -> None:
        """Install the lock of an environment, without its additions."""
        with scratch_folder() as scratch:
            wheel = self._wheel_to_unpack(environment.target, environment.recipe)
            lock = scratch / "requirements.lock"
            lock.write_text(_without(environment.lock, wheel), encoding="utf-8")
            target = () if python else ("--target", str(folder))
            interpreter = python or self._interpreter(environment.python)
            try:
                self.uv.install(environment.recipe, lock, target, interpreter, written)
            except NotInstallable as error:
                raise explained(environment.target, environment.recipe, interpreter, error, "installed") from error
        if wheel is not None:
            wheel.unpack(_site_packages(python) if python else folder)

    def _known_official(self, target: Target) -> Environment | None:
        """Return the environment of an official image whose digest was asked for before."""
        name, release = official_image(target, self.rules), self.catalog.release(target.package, target.release)
        kept = self._cache.cached(OFFICIAL_KIND, f"{self._registry}|{name}") if name else None
        if kept is None or name is None or release is None:
            return None
        return Environment(target, official_recipe(name, str(kept[0]), release), "", release.bytes)

    def _official(self, target: Target) -> Environment:
        """Ask what an official image's name stands for: from then on it stands for that."""
        name, release = official_image(target, self.rules), self.catalog.release(target.package, target.release)
        if name is None or release is None:
            raise ReleaseUntestable(
                f"no official image of {target.package} {target.release} is known; use --image-source built, or add "
                "an [[official]] rule to images/recipes.toml."
            )
        digest = self._official_digest(name)
        self._cache.put_cached(OFFICIAL_KIND, f"{self._registry}|{name}", digest)
        return Environment(target, official_recipe(name, digest, release), "", release.bytes)

    def _wheel_to_unpack(self, target: Target, recipe: Recipe) -> Wheel | None:
        """Return the release's own wheel where uv must not see it, else None."""
        return self._wheels.fetch(target.package, target.release, recipe.python) if recipe.unpack else None

    def _key(self, recipe: Recipe) -> str:
        """Return the cache's key: another index may resolve to other files."""
        return digest_of([self.catalog.index.url, recipe.digest])

    def _recipe_of(self, target: Target) -> tuple[Recipe, CatalogRelease]:
        """Find how a release is installed, from its slim double where the rules know one.

        What the index has dropped counts as long as its lock is known: stored observations hang on its recipe.
        """
        release = self.catalog.release(target.package, target.release)
        if release is None:
            raise ReleaseUntestable(f"{target.package} {target.release} is not on the package index.")
        slim = self._slim_of(target)
        for double in (slim, None) if slim else (None,):
            wheels = double or release
            recipe = held_recipe(recipe_for(target, release, self.rules, double), target, wheels)
            if not wheels.gone or self._kept_lock(recipe) is not None:
                return recipe, wheels
        raise ReleaseUntestable(f"{target.package} {target.release} was removed from the package index.")

    def _kept_lock(self, recipe: Recipe) -> str | None:
        """Return the lock of a recipe that was resolved before."""
        kept = self._cache.cached(CACHE_KIND, self._key(recipe))
        return str(kept[0]["lock"]) if kept else None

    def _slim_of(self, target: Target) -> CatalogRelease | None:
        """Return the release of the slim package; None where it lacks this one or the index lacks the package."""
        name = slim_package(target, self.rules)
        try:
            slim = self.catalog.release(name, target.release) if name else None
        except UnknownName:
            return None
        return None if slim is None or slim.yanked else slim

    def _resolved(self, target: Target, recipe: Recipe) -> str:
        """Resolve, and say of what where that fails; what has failed before is not tried again."""
        if failure := self._kept_failure(recipe):
            raise NotInstallable(failure)
        wheel = self._wheel_to_unpack(target, recipe)
        first = wheel.requirements() if wheel else [recipe.requirement]
        try:
            return self._lock_of(recipe, first) + (wheel.pin() if wheel else "")
        except NotInstallable as error:
            step = f"resolved as of {recipe.cutoff:%Y-%m-%d}"
            told = explained(target, recipe, self._interpreter(recipe.python), error, step)
            if target.hold or UNIVERSAL in self._recipe_of(target)[1].pythons:
                # Exact versions as of a fixed day stay in conflict; bridges ask for many of them.
                self._cache.put_cached(FAILURE_KIND, self._key(recipe), told.message)
            raise told from error

    def _lock_of(self, recipe: Recipe, first: Sequence[str], there: Mapping[str, str] | None = None) -> str:
        """Return the lock of a recipe, without the packages that are there anyway."""
        with scratch_folder() as folder:
            constraints = standing_in(folder, there or {})
            interpreter = self._interpreter(recipe.python)
            metadata = self.rules.metadata_as_of(recipe.cutoff)
            resolve = partial(self.uv.resolve, recipe, interpreter, folder, constraints=constraints, metadata=metadata)
            try:
                lock = resolve([*first, *recipe.extras])
            except NotInstallable as error:
                # An index of one's own need not have what every environment once had unasked.
                if NOT_ON_INDEX not in error.message or UNASKED not in recipe.extras:
                    raise
                lock = resolve([*first, *(extra for extra in recipe.extras if extra != UNASKED)])
        return without_stand_ins(lock) if there else lock


def absent_from(packages: Mapping[str, str], requirements: Iterable[str]) -> tuple[str, ...]:
    """Return the requirements that no package of an environment fulfils; whatever has a marker or an extra is left."""
    wanted = []
    for text in dict.fromkeys(requirements):
        requirement = Requirement(text)
        there = packages.get(canonicalize_name(requirement.name))
        simple = requirement.marker is None and not requirement.extras
        if there is None or not simple or not requirement.specifier.contains(there, prereleases=True):
            wanted.append(text)
    return tuple(wanted)


def standing_in(folder: Path, packages: Mapping[str, str]) -> list[str]:
    """Write a stand-in for each package, and return the constraints that take them."""
    return [f"{name} @ {write_stand_in(folder, name, release).as_uri()}" for name, release in sorted(packages.items())]


def without_stand_ins(lock: str) -> str:
    """Return a lock without the packages that were taken for given."""
    entries = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    return "".join(entry for entry in entries if " @ file:" not in entry.partition("\n")[0])


def _own_name(target: Target, below: Environment) -> dict[str, str]:
    """Return the release under the name of its package, where it is installed as its slim double."""
    return {} if target.package in below.packages else {target.package: target.release}


def _no_registry(name: str) -> str:
    """Say that nothing here pulls images."""
    raise ReleaseUntestable(f"the official image {name} needs a container engine; start Docker.")


def _without(lock: str, wheel: Wheel | None) -> str:
    """Return a lock without the wheel that is unpacked."""
    if wheel is None:
        return lock
    if wheel.pin() not in lock:
        raise NotInstallable(f"the index has replaced {wheel.path.name} since it was resolved.")
    return lock.replace(wheel.pin(), "")


def _site_packages(python: Path) -> Path:
    """Return where the interpreter of a virtual environment looks for packages."""
    return next((python.parent.parent / "lib").glob("python*/site-packages"))


def explained(
    target: Target, recipe: Recipe, interpreter: Path | None, error: NotInstallable, step: str
) -> ReleaseUntestable:
    """Say what uv's failure means: a source package was built by another Python than it is for, or else what uv says.

    Args:
        target: what was asked for.
        recipe: how it is installed.
        interpreter: what built source packages; None: the running one stood in.
        error: what uv says.
        step: what failed, such as "installed".
    """
    name = f"{target.package} {target.release}"
    if interpreter is None and BUILD_FAILED in error.message:
        return NoInterpreter(
            f"{name} cannot be {step} without Python {recipe.python}, which builds what its dependencies have as "
            "source only; none was found on PATH, under pyenv or under uv: install one "
            f"(`pyenv install {recipe.python}`). Python {running_python()} gave: {error.message}"
        )
    return NotInstallable(f"{name} cannot be {step}: {error.message}")


def running_python() -> str:
    """Return the minor of the interpreter that this program runs in."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
