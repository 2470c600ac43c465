"""Environments: a release's dependencies as of its upload, resolved once to a lock."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from service.catalog.cache import Cache
from service.catalog.interpreters import find_interpreter
from service.catalog.recipes import (
    Recipe,
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
from service.catalog.wheels import Wheel, Wheels
from service.errors import NoInterpreter, NotInstallable, ReleaseUntestable, UnknownName
from service.json_text import digest_of
from service.resources import resource_dir
from service.scratch import scratch_folder
from service.settings import Settings

CACHE_KIND = "environment"
BUILD_FAILED = "Failed to build"
OFFICIAL_KIND = "official-image"
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
        return official | dict(sorted(PINNED.findall(self.lock)))

    @property
    def digest(self) -> str:
        """Digest over interpreter, lock and recipe: part of an observation's key."""
        return digest_of({"python": self.python, "lock": self.lock, "recipe": self.recipe_digest})


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
        if self.source(target) == "official":
            return self._known_official(target)
        try:
            recipe, wheels = self._recipe_of(target)
        except ReleaseUntestable:
            return None
        lock = self._kept_lock(recipe)
        return None if lock is None else Environment(target, recipe, lock, wheels.bytes)

    def known_of(self, targets: Iterable[Target]) -> dict[Target, Environment]:
        """Return what `known` does of each target, those that are not known left out; the catalog is read once."""
        at_once = copy(self)
        at_once.catalog = self.catalog.still()
        found = {target: at_once.known(target) for target in targets}
        return {target: environment for target, environment in found.items() if environment is not None}

    def resolve(self, target: Target) -> Environment:
        """Return the environment of a target, from the cache where its recipe was resolved before.

        Raises:
            ReleaseUntestable: as `recipe`; or NotInstallable, with what uv complains of.
            Unavailable: the index does not answer.
        """
        if self.source(target) == "official":
            return self._known_official(target) or self._official(target)
        recipe, wheels = self._recipe_of(target)
        lock = self._kept_lock(recipe)
        if lock is None:
            lock = self._resolved(target, recipe)
            value: dict[str, Any] = {"package": target.package, "release": target.release, "lock": lock}
            self._cache.put_cached(CACHE_KIND, self._key(recipe), value)
        return Environment(target, recipe, lock, wheels.bytes)

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
            python: interpreter of a virtual environment; None installs into `folder` for the recipe's Python.
            written: told now and then how many bytes were written, where the system tells.

        Raises:
            NotInstallable: a file is gone from the index, or a source package does not build.
            IndexUnreachable: the index does not answer.
        """
        folder.mkdir(parents=True, exist_ok=True)
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
            recipe, wheels = recipe_for(target, release, self.rules, double), double or release
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
        """Resolve, and say of what where that fails."""
        wheel = self._wheel_to_unpack(target, recipe)
        first = wheel.requirements() if wheel else [recipe.requirement]
        interpreter = self._interpreter(recipe.python)
        with scratch_folder() as folder:
            try:
                lock = self.uv.resolve(recipe, interpreter, folder, [*first, *recipe.extras])
                return lock + (wheel.pin() if wheel else "")
            except NotInstallable as error:
                step = f"resolved as of {recipe.cutoff:%Y-%m-%d}"
                raise explained(target, recipe, interpreter, error, step) from error


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
