"""The port to whatever keeps and builds images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

PART = "org.tfbisect.part"
"""Label that says what an image is to us, a ground or a release; of a container, SCRATCH."""
SCRATCH = "scratch"
"""Part of a container that lasts as long as one verb; one that is older was left by a process that died."""


@dataclass(frozen=True)
class StoredImage:
    """An image that the engine holds."""

    id: str
    references: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0
    """Its size with all its layers, shared ones included."""
    created: datetime | None = None
    digest: str = ""
    """Digest by which a registry knows it; "" where it never came from one."""


@dataclass(frozen=True)
class BuildOrder:
    """What to build: a context with a Dockerfile at its root, and how to name the result."""

    context: Iterator[bytes]
    """An uncompressed tar archive."""
    reference: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """How an image differs from the one below it, beside its files."""

    reference: str
    """Its name; "" for none."""
    labels: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    """Who its containers run as; "" as those of the image below."""
    command: Sequence[str] = ("python",)
    """What they run."""


@dataclass(frozen=True)
class LayerOrder:
    """What to lay over an image, and what the result is."""

    base: str
    """Id of the image below."""
    archive: Callable[[], Iterator[bytes]]
    """Gives an uncompressed tar archive of what comes over its root."""
    archive_bytes: int
    """How long that is."""
    folder: Path
    """Where the same lies on this machine, but for what is not needed to finish it."""
    place: str
    """Where that folder is in the image."""
    finish: Sequence[str]
    """Command that finishes it as root; told as its last word the folder that takes what it adds, "" for the root."""
    result: Description


class BuildFailed(Exception):
    """A step of a build failed: a command in it, not the engine."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.message = message
        self.output = output
        """The last lines that the build printed."""


class PullFailed(Exception):
    """A registry does not give an image; the message says why."""


class ImageEngine(Protocol):
    """Keeps images by reference. Every verb raises EngineLost where the engine does not answer."""

    def find(self, reference: str) -> StoredImage | None:
        """Return the image of a reference, or None."""

    def labelled(self, label: str) -> list[StoredImage]:
        """Return the images that have a label and a reference."""

    def remnants(self, label: str) -> list[StoredImage]:
        """Return what builds that died left behind: images with a label and neither reference nor children."""

    def pull(self, reference: str) -> StoredImage:
        """Fetch an image from its registry, by tag or by digest.

        Raises:
            PullFailed: it cannot be had.
        """

    def push(self, reference: str) -> None:
        """Send an image to the registry that its name says.

        Raises:
            PullFailed: the registry does not take it, or does not answer.
        """

    def tag(self, image: str, reference: str) -> None:
        """Give an image another name."""

    def digest(self, reference: str) -> str:
        """Return the digest that a tag stands for: of the image that is here, else of its registry's.

        Raises:
            PullFailed: neither has it.
        """

    def import_system(self, archive: Path, reference: str) -> StoredImage:
        """Make an image of a root file system."""

    def build(self, order: BuildOrder) -> StoredImage:
        """Build an image without a network; on failure nothing of it remains.

        Raises:
            BuildFailed: one of its commands failed.
            DiskFull: the engine ran out of room.
        """

    def lay(self, order: LayerOrder) -> StoredImage:
        """Lay files over an image and finish it, without a network; on failure nothing of it remains.

        Raises:
            BuildFailed: the command over it failed.
            DiskFull: the engine ran out of room.
        """

    def run(self, reference: str, command: list[str]) -> str:
        """Run a command in a throw-away container, without network, and return what it prints.

        Raises:
            BuildFailed: the command failed.
        """

    def copy_out(self, reference: str, path: str, folder: Path) -> None:
        """Copy a file or a folder of an image into a folder.

        Raises:
            Unavailable: it cannot be unpacked here.
        """

    def remove(self, reference: str) -> bool:
        """Remove an image; False where something still needs it. One that is gone already is removed."""

    def remove_scratch(self, before: datetime) -> None:
        """Remove the containers of verbs that began before a moment, aware of its time zone: their callers died."""

    def images_in_use(self) -> frozenset[str]:
        """Return the ids of the images that containers are made of, running or not."""

    def storage_folder(self) -> Path | None:
        """Return where the engine keeps its images on this machine; None where it runs elsewhere."""
