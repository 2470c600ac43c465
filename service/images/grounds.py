"""Grounds, the bases of releases' images: a registry's Python image, or one made on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog

from service.catalog.interpreters import find_interpreter
from service.catalog.releases import Index
from service.errors import NoInterpreter, Unavailable
from service.images.archives import Packed, context_of, empty_archive
from service.images.datasets import fetch_datasets
from service.images.engine import PART, BuildFailed, BuildOrder, ImageEngine, PullFailed, StoredImage
from service.json_text import digest_of
from service.locks import held
from service.secret_urls import SecretUrl

log = structlog.get_logger()

PYTHON = "org.tfbisect.python"
GROUND_RECIPE = "org.tfbisect.ground-recipe"
"""Label with the digest of a ground's recipe; the same on every machine."""
SYSTEM_TIMEOUT_SECONDS = 900
DEFAULT_SUITE = "bookworm"
INTERPRETER_WITHOUT = (
    "lib/python*/test/*",
    "lib/python*/idlelib/*",
    "lib/python*/site-packages/*",
    "lib/python*/dist-packages/*",
    "lib/python*/config-*",
    "__pycache__",
)


@dataclass(frozen=True)
class GroundSettings:
    """How grounds are made."""

    source: Literal["auto", "registry", "local"] = "auto"
    python_image: str = "python:{python}-slim"
    debian_mirror: SecretUrl = field(default_factory=lambda: SecretUrl(""))


class Grounds:
    """Makes the ground for an interpreter, once across threads and processes."""

    def __init__(
        self,
        engine: ImageEngine,
        *,
        folder: Path,
        data_dir: Path,
        index: Index,
        settings: GroundSettings,
        interpreter: Callable[[str], Path | None] = find_interpreter,
        libraries: bool = False,
    ) -> None:
        """Make grounds.

        Args:
            engine: keeps them.
            folder: what they are made from.
            data_dir: where what is downloaded for them lies.
            index: has the data sets.
            settings: where their parts come from.
            interpreter: finds a Python of this machine.
            libraries: whether they have the libraries of the system that some packages of science use.
        """
        self._engine = engine
        self._folder = folder
        self._data_dir = data_dir
        self._index = index
        self._settings = settings
        self._interpreter = interpreter
        self._libraries = libraries
        self._registry_answers = True

    def ensure(self, python: str) -> StoredImage:
        """Return the ground for an interpreter such as "3.6"; it is made now if it does not exist.

        Raises:
            NoInterpreter: neither a registry nor this machine has it.
            Unavailable: the ground cannot be made here; the message says what to install.
        """
        with held(self._data_dir / "locks" / f"ground-{python}.lock"):
            datasets = self.datasets()
            if self._settings.source != "local" and (ground := self._from_registry(python, datasets)):
                return ground
            if self._settings.source == "registry":
                raise Unavailable(
                    f"the image {self._image_name(python)} cannot be pulled; check the network, set "
                    "TFBISECT_PYTHON_IMAGE to a registry that answers, or TFBISECT_BASE_IMAGE=auto."
                )
            return self._from_host(python, datasets)

    def datasets(self) -> Path:
        """Return the folder of data sets; they are fetched if needed."""
        return fetch_datasets(self._data_dir / "datasets", self._index)

    def _from_registry(self, python: str, datasets: Path) -> StoredImage | None:
        """Make a ground from a registry's image; None if it is not available."""
        name = self._image_name(python)
        system = self._engine.find(name)
        if system is None and self._registry_answers and self._needs_registry(python, datasets):
            system = self._pulled(name)
        return None if system is None else self._built(python, name, system.id, datasets, None)

    def _pulled(self, name: str) -> StoredImage | None:
        """Pull a registry's image; after one failure, no other is tried."""
        try:
            return self._engine.pull(name)
        except PullFailed as error:
            log.info("no base image from a registry", image=name, reason=str(error))
            self._registry_answers = False
            return None

    def _needs_registry(self, python: str, datasets: Path) -> bool:
        """Say whether to try the registry: not if a ground made without it already exists."""
        return self._settings.source == "registry" or self._standing(python, datasets) is None

    def _standing(self, python: str, datasets: Path) -> StoredImage | None:
        """Return an existing ground made without a registry, on this machine or by the host of this container.

        A coordinator in a container has neither interpreters nor mmdebstrap, so it uses what its host has prepared.
        """
        interpreter = self._interpreter(python)
        if interpreter is not None:
            found = self._engine.find(self._reference(python, self._system_reference(), datasets, interpreter))
            if found is not None or can_make_system():
                return found
        # A release's image has all labels of its ground except the one that says which part it is.
        wanted = {PYTHON: python, GROUND_RECIPE: self._recipe(datasets)}
        grounds = self._engine.labelled(f"{PART}=ground")
        return next((ground for ground in grounds if wanted.items() <= ground.labels.items()), None)

    def _from_host(self, python: str, datasets: Path) -> StoredImage:
        """Make a ground from a local Debian, with an interpreter of this machine."""
        found = self._standing(python, datasets)
        if found is not None:
            return found
        interpreter = self._interpreter(python)
        if interpreter is None:
            raise NoInterpreter(
                f"Python {python} is needed: the image {self._image_name(python)} cannot be pulled and no "
                f"interpreter was found on PATH, under pyenv or under uv; install one (`pyenv install {python}`), or, "
                "for a service in containers, run `tfbisect images bases RELEASES` on the engine's host."
            )
        system = self._system_reference()
        self._ensure_system(system)
        return self._built(python, system, system, datasets, interpreter)

    def _ensure_system(self, reference: str) -> None:
        """Make the Debian image that all interpreters share."""
        with held(self._data_dir / "locks" / "system.lock"):
            if self._engine.find(reference) is None:
                with _scratch(self._data_dir) as scratch:
                    archive = scratch / "system.tar"
                    make_system(archive, self._packages(), self._settings.debian_mirror)
                    self._engine.import_system(archive, reference)

    def _built(
        self, python: str, system: str, system_digest: str, datasets: Path, interpreter: Path | None
    ) -> StoredImage:
        """Build images/base/Dockerfile on a system image."""
        reference = self._reference(python, system_digest, datasets, interpreter)
        found = self._engine.find(reference)
        if found is not None:
            return found
        recipe = {name: (self._folder / name).read_bytes() for name in ("Dockerfile", "prepare.sh")}
        content: dict[str, bytes | Packed] = {
            **recipe,
            "datasets.tar": packed_datasets(datasets),
            "python.tar": packed_interpreter(interpreter) if interpreter else empty_archive(),
        }
        labels = {PART: "ground", PYTHON: python, "org.tfbisect.system": system}
        labels[GROUND_RECIPE] = self._recipe(datasets)
        try:
            return self._engine.build(BuildOrder(context_of(content), reference, {"SYSTEM": system}, labels))
        except BuildFailed as error:
            raise Unavailable(
                f"the base image for Python {python} cannot be built on {system}: {error}\n{error.output[-400:]}"
            ) from error

    def _reference(self, python: str, system: str, datasets: Path, interpreter: Path | None) -> str:
        """Name a ground by its content: if any part changes, a new one is made."""
        contents = [self._recipe(datasets), system, str(interpreter or "")]
        return f"tfbisect/ground:{python}-{digest_of(contents)[7:19]}"

    def _recipe(self, datasets: Path) -> str:
        """Return the digest of everything that all grounds are made from."""
        parts = [(self._folder / name).read_text() for name in ("Dockerfile", "prepare.sh")]
        more = [self._listed("libraries.txt")] if self._libraries else []
        return digest_of([*parts, sorted(path.name for path in _folders(datasets)), *more])

    def _system_reference(self) -> str:
        """Name the Debian image made here."""
        return f"tfbisect/system:{host_suite()}-{digest_of(self._packages())[7:19]}"

    def _packages(self) -> list[str]:
        """Return the Debian packages of the system: those that interpreters need, and libraries where asked for."""
        return self._listed("packages.txt") + (self._listed("libraries.txt") if self._libraries else [])

    def _listed(self, name: str) -> list[str]:
        return (self._folder / name).read_text(encoding="utf-8").split()

    def _image_name(self, python: str) -> str:
        """Return the registry's image for an interpreter."""
        name = self._settings.python_image.format(python=python)
        # The slim images are the others without libraries.
        return name.removesuffix("-slim") if self._libraries else name


def can_make_system() -> bool:
    """Say whether this machine can make a Debian."""
    return shutil.which("mmdebstrap") is not None


def make_system(archive: Path, packages: list[str], mirror: SecretUrl) -> None:
    """Write a minimal Debian's root file system.

    Raises:
        Unavailable: mmdebstrap is missing or failed.
    """
    if not can_make_system():
        raise Unavailable(
            "no registry has a Python image, and building one here needs mmdebstrap; "
            "run `apt-get install mmdebstrap`, or set TFBISECT_PYTHON_IMAGE to an image of another registry."
        )
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}"]
    command += ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"]
    command += ["--dpkgopt=path-exclude=/usr/share/doc/*"]
    # A container has no screen: what would draw on one is the most of libgl1.
    command += [
        f"--dpkgopt=path-exclude={path}" for path in ("*/libLLVM*", "*/dri/*", "*/libicudata.so*", "*/libz3.so*")
    ]
    command += [host_suite(), str(archive)]
    # Without a mirror mmdebstrap takes the suite's own.
    place = mirror or SecretUrl(host_mirror())
    log.info("making a base image with mmdebstrap", suite=host_suite(), mirror=str(place))
    with _signing_in(place, archive.parent) as options:
        command[1:1] = options
        _run_mmdebstrap([*command, *([place.without_credentials] if place else [])])


@contextmanager
def _signing_in(mirror: SecretUrl, folder: Path) -> Iterator[list[str]]:
    """Yield the options for signing in to a mirror; they keep the password out of command line and image."""
    if mirror.credentials is None:
        yield []
        return
    user, password = mirror.credentials
    with tempfile.TemporaryDirectory(dir=folder) as place:
        signing = Path(place) / "auth.conf"  # mkdtemp: for this user only
        signing.write_text(f"machine {mirror.without_credentials} login {user} password {password}\n", "utf-8")
        inside = "/etc/apt/auth.conf"
        yield [f"--setup-hook=copy-in {signing} /etc/apt", f'--customize-hook=rm -f "$1"{inside}']


def _run_mmdebstrap(command: list[str]) -> None:
    """Run mmdebstrap and wait for it.

    Raises:
        Unavailable: it failed.
    """
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=SYSTEM_TIMEOUT_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"mmdebstrap failed: {error.stderr.strip()[-400:]}; check TFBISECT_DEBIAN_MIRROR.") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"mmdebstrap took more than {SYSTEM_TIMEOUT_SECONDS} s; check TFBISECT_DEBIAN_MIRROR."
        ) from error


def packed_datasets(folder: Path) -> Packed:
    return Packed(folder, tuple(sorted(path.name for path in _folders(folder))))


def packed_interpreter(interpreter: Path) -> Packed:
    """Return an interpreter's files, without tests and installed packages."""
    prefix, name = interpreter.parent.parent, interpreter.name
    # The shared library has a suffix in 3.6 and 3.7: libpython3.6m.so.
    libraries = sorted(path.relative_to(prefix) for path in (prefix / "lib").glob(f"lib{name}*.so*"))
    return Packed(prefix, (f"bin/{name}", f"lib/{name}", *map(str, libraries)), INTERPRETER_WITHOUT)


def host_suite() -> str:
    """Return this machine's Debian suite: its interpreters need the libraries they were built for."""
    release = _os_release()
    return release.get("VERSION_CODENAME", DEFAULT_SUITE) if release.get("ID") == "debian" else DEFAULT_SUITE


def host_mirror() -> str:
    """Return the mirror of this machine's packages; empty if it is not a Debian mirror."""
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for source in sources:
        text = source.read_text(encoding="utf-8", errors="replace") if source.is_file() else ""
        found = re.search(r"^(?:URIs:|deb\s+(?:\[[^]]*\]\s+)?)\s*(\S+/debian)/?(?=\s|$)", text, re.MULTILINE)
        if found:
            return found.group(1)
    return ""


def _os_release() -> dict[str, str]:
    """Read /etc/os-release; empty if there is none."""
    path = Path("/etc/os-release")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _folders(root: Path) -> Iterator[Path]:
    """Yield the data sets in a folder."""
    return (path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


@contextmanager
def _scratch(data_dir: Path) -> Iterator[Path]:
    """Yield a temporary folder on the data disk, since /tmp may be small or in memory."""
    parent = data_dir / "builds"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)
