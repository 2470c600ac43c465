"""Images of releases: built once, by content, across threads and processes."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from service.catalog.environments import PINNED, Environment, Environments
from service.catalog.targets import Target
from service.errors import DiskFull, NotInstallable, Unavailable
from service.images.archives import Packed, Tree, context_of
from service.images.disk import GIB, build_bytes, folder_bytes, require_room, unpacked_bytes
from service.images.engine import (
    PART,
    BuildFailed,
    BuildOrder,
    Description,
    ImageEngine,
    LayerOrder,
    StoredImage,
)
from service.images.grounds import Grounds, GroundSettings, packed_datasets
from service.images.image_registry import ImageRegistry
from service.images.official import OfficialImages
from service.images.progress import Meter, Progress
from service.images.shelf import BUILDS, LABEL, Shelf
from service.json_text import digest_of
from service.locks import held
from service.resources import resource_dir
from service.settings import Settings

HOME = "opt/tfbisect"
"""Our folder in an image."""
FULL_SECONDS = 60.0
"""How long no build starts after the disk was full."""
FORGET_SECONDS = 120.0
"""How long the size of the download cache is not measured again."""
FINISHING = ("finish.sh", "byte_code.py")
USER = "probe"
"""The user of an image; made by images/base/prepare.sh."""
CUDA_VARIABLES = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
"""Variables that NVIDIA's runtime reads."""


@dataclass(frozen=True)
class Image:
    """An image that can be run."""

    id: str
    reference: str
    build_seconds: float | None = None
    """How long the build took; None if the image existed."""


class Images:
    """Provides the image of an environment."""

    def __init__(
        self,
        engine: ImageEngine,
        environments: Environments,
        *,
        grounds: Grounds,
        library_grounds: Grounds,
        official: OfficialImages,
        recipes_dir: Path,
        data_dir: Path,
        reserve_bytes: int,
        parallel: int = 2,
        budget_bytes: int = 0,
        package_budget_bytes: int = 20 * GIB,
        registry: ImageRegistry | None = None,
    ) -> None:
        self.engine = engine
        self.shelf = Shelf(engine, data_dir)
        self._environments = environments
        self.grounds = grounds
        self._library_grounds = library_grounds
        self._official = official
        self._registry = registry or ImageRegistry(engine, "")
        self._recipes_dir = recipes_dir
        self._data_dir = data_dir
        self._reserve_bytes = reserve_bytes
        self._slots = threading.BoundedSemaphore(parallel)
        self._budget_bytes = budget_bytes
        self._package_budget_bytes = package_budget_bytes
        self.watcher: Progress = _silent
        """Told how far each build is, where the caller has nobody to tell."""
        self._full: DiskFull | None = None
        self._full_until = 0.0
        self._forget_after = 0.0

    def ensure(self, environment: Environment, progress: Progress | None = None) -> Image:
        """Return the image of an environment, built if it does not exist; concurrent callers wait.

        Args:
            environment: what the image holds.
            progress: told how far it is, from this thread.

        Raises:
            NotInstallable: a package cannot be installed, or the release cannot be imported.
            NoInterpreter: nothing gives the Python that it needs.
            DiskFull: too little room; nothing was begun.
            Unavailable: the engine, the index or a tool is missing.
        """
        image = self._here(environment)
        if image is None:
            if _is_layer(environment):
                self.ensure(environment.below, progress)  # before a place among the builds is taken
            with held(self._data_dir / "locks" / f"image-{environment.digest[7:19]}.lock"), self._slots:
                image = self._here(environment) or self._made(environment, progress or self.watcher)
        self.used(environment)
        return image

    def python_of(self, target: Target) -> str:
        """Return the interpreter of a target, before its packages are resolved.

        Raises:
            ReleaseUntestable: it cannot be had.
        """
        return "" if self._environments.source(target) == "official" else self._environments.recipe(target).python

    def make_ground(self, python: str) -> StoredImage:
        """Make the ground for an interpreter, if it does not exist.

        Raises:
            Unavailable: it cannot be made.
        """
        with held(self.shelf.build_lock, shared=True):
            return self.grounds.ensure(python)

    def unbuilt(self, target: Target) -> Environment | None:
        """Return the environment of a target; None if there is an image of it, or an official one below it.

        Raises:
            ReleaseUntestable: it has none.
        """
        environment = self._environments.resolve(target)
        return None if environment.recipe.image or self._here(environment) else environment

    def fetch(self, environment: Environment) -> None:
        """Download and unpack the packages of an environment into the cache, from where a build takes them.

        Raises:
            NotInstallable: a package cannot be installed.
            DiskFull: too little room; nothing was begun.
        """
        self._require_room(environment)
        parent = self._data_dir / BUILDS
        parent.mkdir(parents=True, exist_ok=True)
        with held(self.shelf.build_lock, shared=True), tempfile.TemporaryDirectory(dir=parent) as folder:
            for each in (environment.below, environment) if environment.added else (environment,):
                self._environments.install(each, Path(folder) / "packages")

    def used(self, environment: Environment) -> None:
        """Note that the image of an environment is used now: pruning starts with the least recently used."""
        self.shelf.touch(reference_of(environment))
        if _is_layer(environment):
            self.shelf.touch(reference_of(environment.below))

    def built(self, environment: Environment) -> StoredImage | None:
        """Return the image of an environment if it exists and matches."""
        found = self.engine.find(reference_of(environment))
        return found if found and found.labels.get(LABEL + "environment") == environment.digest else None

    def forget_packages(self, *others: str) -> None:
        """Keep the download cache within its budget: first what is used once goes, and all of it if that is not enough.

        Args:
            others: packages without rules of their own whose releases were installed.
        """
        uv = self._environments.uv
        for package in (*sorted(self._environments.rules.wheels), *others):
            if folder_bytes(uv.cache_dir) <= self._package_budget_bytes:
                return
            uv.forget(package)
        if folder_bytes(uv.cache_dir) > self._package_budget_bytes:
            uv.forget_all()

    def _forget_now_and_then(self, package: str) -> None:
        """Keep the download cache within its budget after a build, but measure it rarely: it has many files."""
        if time.monotonic() < self._forget_after:
            return
        self._forget_after = time.monotonic() + FORGET_SECONDS
        with suppress(Unavailable, NotInstallable):
            self.forget_packages(package)

    def _here(self, environment: Environment) -> Image | None:
        """Return the image if it needs no building."""
        found = self.built(environment)
        return Image(found.id, reference_of(environment)) if found else None

    def _made(self, environment: Environment, progress: Progress) -> Image:
        """Get an image from the user's registry, or build it and send it there; then prune to the budget."""
        if self._full and time.monotonic() < self._full_until:
            raise self._full
        self.shelf.sweep()
        started = time.monotonic()
        try:
            with held(self.shelf.build_lock, shared=True):
                self._require_room(environment)
                reference = reference_of(environment)
                built = self._registry.fetched(reference, LABEL + "environment", environment.digest)
                if built is None:
                    built = self._build(environment, progress)
                    self._registry.send(reference)
        except DiskFull as error:
            # Further releases would download their packages and fail too.
            self._full, self._full_until = error, time.monotonic() + FULL_SECONDS
            raise
        seconds = round(time.monotonic() - started, 1)
        self._forget_now_and_then(environment.target.package)
        if self._budget_bytes:
            self.used(environment)
            self.shelf.prune(self._budget_bytes)
        return Image(built.id, reference_of(environment), seconds)

    def _build(self, environment: Environment, progress: Progress) -> StoredImage:
        """Install while the ground is made, then put the packages on it."""
        target = environment.target
        meter = Meter(target, unpacked_bytes(target, environment.download_bytes), progress)
        parent = self._data_dir / BUILDS
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent) as folder, ThreadPoolExecutor(1) as side:
            scratch = Path(folder)
            if environment.recipe.image:
                return self._take_official(environment, meter)
            if _is_layer(environment):
                return self._add(environment, scratch / "packages", meter)
            grounds = self._library_grounds if environment.libraries else self.grounds
            grounding = side.submit(grounds.ensure, environment.python)
            meter.unpacked(0)
            for each in (environment.below, environment) if environment.added else (environment,):
                self._environments.install(each, scratch / "packages", written=meter.unpacked)
            leave_out(scratch / "packages", ("bin", ".lock", *environment.recipe.leave_out))
            ground = grounding.result()
            built = self._lay(environment, scratch / "packages", ground, meter, self._finish(environment))
            meter.done()
            return built

    def _finish(self, environment: Environment) -> list[str]:
        """Return the command that imports a release once in its image."""
        finish, byte_code = ((self._recipes_dir / name).read_text(encoding="utf-8") for name in FINISHING)
        return ["sh", "-c", finish, "finish.sh", environment.target.hardware, environment.recipe.module, byte_code]

    def _add(self, environment: Environment, packages: Path, meter: Meter) -> StoredImage:
        """Lay additions over the image of their release; none of their code is run."""
        below = self.built(environment.below)
        if below is None:
            raise Unavailable(f"the image {reference_of(environment.below)} was removed during the build; try again.")
        meter.unpacked(0)
        self._environments.install(environment, packages, written=meter.unpacked)
        leave_out(packages, ("bin", ".lock"))
        # Only what is added is compiled: where the engine does not see our files, all packages lie beside it.
        names = sorted(entry.name for entry in packages.iterdir())
        byte_code = (self._recipes_dir / "byte_code.py").read_text(encoding="utf-8")
        built = self._lay(environment, packages, below, meter, ["python", "-S", "-c", byte_code, "", *names])
        meter.done()
        return built

    def _take_official(self, environment: Environment, meter: Meter) -> StoredImage:
        """Add the data sets and our labels to an official image, and check that it imports the release."""
        meter.unpacked(0)
        with self._official.held(environment) as parent:
            meter.sized(parent.bytes)
            content: dict[str, bytes | Packed] = {
                "Dockerfile": (self._recipes_dir / "official.Dockerfile").read_bytes(),
                "check_release.py": (self._recipes_dir / "check_release.py").read_bytes(),
                "datasets.tar": packed_datasets(self.grounds.datasets()),
            }
            arguments = {"IMAGE": parent.id, "MODULE": environment.recipe.module, "RELEASE": environment.target.release}
            context, labels = meter.through(context_of(content)), labels_of(environment, parent)
            with _importing(environment):
                built = self.engine.build(BuildOrder(context, reference_of(environment), arguments, labels))
        meter.done()
        return built

    def _lay(
        self, environment: Environment, packages: Path, below: StoredImage, meter: Meter, finish: Sequence[str]
    ) -> StoredImage:
        """Add packages to a ground, or to the image of a release, and finish the result by a command in it."""
        target, place = environment.target, f"{HOME}/environment/lib/python{environment.python}/site-packages"
        lock = environment.lock + environment.added
        tree = Tree({f"{HOME}/requirements.lock": lock.encode()}, Packed(packages, (".",), place=place))
        size_bytes = tree.size_bytes()
        meter.sized(size_bytes)
        order = LayerOrder(
            below.id,
            lambda: meter.through(tree.chunks()),
            size_bytes,
            packages,
            f"/{place}",
            finish,
            Description(
                reference_of(environment),
                labels_of(environment, below),
                CUDA_VARIABLES if target.hardware == "cuda" and not environment.added else {},
                USER,
            ),
        )
        with _importing(environment):
            return self.engine.lay(order)

    def _require_room(self, environment: Environment) -> None:
        """Refuse if there is too little disk, both where we unpack and where the engine keeps images."""
        places = {self._data_dir, self.engine.storage_folder() or self._data_dir}
        for place in places:
            purpose = f"an image of {environment.target.package} {environment.target.release}"
            wanted = build_bytes(environment.target, environment.download_bytes)
            require_room(place, wanted, self._reserve_bytes, purpose)


def images_for(settings: Settings, environments: Environments, engine: ImageEngine) -> Images:
    """Make a builder from the settings."""
    folder = resource_dir("images")
    ground_settings = GroundSettings(settings.base_image, settings.python_image, settings.debian_mirror)
    make = partial(
        Grounds,
        engine,
        folder=folder / "base",
        data_dir=settings.data_dir,
        index=environments.catalog.index,
        settings=ground_settings,
    )
    return Images(
        engine,
        environments,
        grounds=make(),
        library_grounds=make(libraries=True),
        official=OfficialImages(engine, settings.registry),
        recipes_dir=folder,
        data_dir=settings.data_dir,
        reserve_bytes=settings.disk_reserve_bytes,
        parallel=settings.parallel_builds,
        budget_bytes=settings.image_budget_bytes,
        package_budget_bytes=settings.package_budget_bytes,
        registry=ImageRegistry(engine, settings.image_registry),
    )


def _is_layer(environment: Environment) -> bool:
    """Say whether an environment lies over the image of its release; not where it needs another ground."""
    return bool(environment.added) and environment.libraries == environment.below.libraries


def leave_out(folder: Path, patterns: Iterable[str]) -> None:
    """Remove excluded paths from a folder of packages, so that the image is also finished without them.

    Args:
        folder: its files may be links into the shared cache, which keeps them.
        patterns: of paths in the folder; all below a folder that fits goes too.
    """
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def reference_of(environment: Environment) -> str:
    """Name an environment's image: tfbisect/PACKAGE:RELEASE-HARDWARE-DIGEST."""
    target = environment.target
    release = target.release.replace("+", "_").replace("!", "_")
    return f"tfbisect/{target.package}:{release}-{target.hardware}-{environment.digest[7:19]}"


def labels_of(environment: Environment, below: StoredImage) -> dict[str, str]:
    """Return the labels with an image's provenance."""
    target = environment.target
    facts = {
        "package": target.package,
        "release": target.release,
        "hardware": target.hardware,
        "python": environment.python,
        "recipe": environment.recipe_digest,
        "environment": environment.digest,
        "cutoff": environment.cutoff.isoformat(),
        "ground": below.labels.get(f"{LABEL}ground", below.id),
        "lock": digest_of(environment.lock + environment.added),
        "packages": json.dumps(environment.packages, separators=(",", ":")),
    }
    if environment.recipe.image:
        facts["official"] = f"{environment.recipe.requirement}@{environment.recipe.image}"
    if environment.added:
        facts["below"] = below.id
        facts["added"] = " ".join(f"{name}=={version}" for name, version in PINNED.findall(environment.added))
    return {PART: "release"} | {LABEL + name: value for name, value in facts.items()}


@contextmanager
def _importing(environment: Environment) -> Iterator[None]:
    """Return the error of a failed build: only the import can fail in it."""
    try:
        yield
    except BuildFailed as error:
        raise NotInstallable(why_not_importable(environment, error)) from error


def why_not_importable(environment: Environment, failure: BuildFailed) -> str:
    """Return why a release has no image, from the end of its import's output."""
    own = ("Step ", " --->", "Removing intermediate container")
    words = [line for line in failure.output.splitlines() if line.strip() and not line.startswith(own)]
    target = environment.target
    if "code: 132" in failure.message:
        words = ["it stopped with an illegal instruction; this CPU lacks one that the wheel was built for"]
    return f"{target.package} {target.release} is installed but cannot be imported: {words[-1] if words else failure}"


def _silent(_: object) -> None:
    """Report nothing."""
