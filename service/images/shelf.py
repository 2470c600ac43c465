"""The images on this machine: their content and size, and which ones to prune."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from service.execution.owners import is_orphan
from service.images.engine import PART, ImageEngine, StoredImage
from service.locks import held_if_free

LABEL = "org.tfbisect."
# Between the request for an image and the start of its container, nothing else shows that it is needed.
GRACE = timedelta(minutes=2)
# A layer of a running build in another data folder looks like the remains of a dead one; no step takes this long.
REMNANT_AGE = timedelta(hours=1)
BUILDS = "builds"
"""Working folder of builds, below the data folder."""


@dataclass(frozen=True)
class ImageRow:
    image: str
    """Its reference, as `docker run` takes it."""
    id: str
    package: str
    release: str
    hardware: str
    python: str
    bytes: int
    """Its size, shared layers included."""
    own_bytes: int
    """The space that its removal frees."""
    created: datetime
    last_used: datetime
    cutoff: str
    """The date as of which dependencies were resolved."""
    recipe: str
    """Digest of the recipe."""
    environment: str
    """Digest of interpreter, recipe and package list."""
    ground: str
    """Id of the base image, which is a digest of its content."""
    lock: str
    """Digest of the package list with the hashes of all files; "" in images made before it was recorded."""
    packages: dict[str, str]
    official: str = ""
    """The project's own image below it, with its digest; "" if all of it was built here."""
    added: str = ""
    """The packages that were added to the image of the release, with their versions; "" for that image itself."""

    def to_json(self) -> dict[str, Any]:
        """Return the row as `tfbisect images list --json` prints it."""
        moments = {"created": self.created.isoformat(), "last_used": self.last_used.isoformat()}
        return {**self.__dict__, **moments}


class Shelf:
    """Lists and removes images, and records when each was last used."""

    def __init__(self, engine: ImageEngine, data_dir: Path) -> None:
        self.engine = engine
        self.build_lock = data_dir / "locks" / "builds.lock"
        self._marks = data_dir / "images"
        self._builds = data_dir / BUILDS

    def rows(self) -> list[ImageRow]:
        """Return the images of releases, most recently used first."""
        stored = self.engine.labelled(f"{PART}=release")
        sizes = {image.id: image.bytes for image in (*self.engine.labelled(f"{PART}=ground"), *stored)}
        rows = [self._row(image, sizes) for image in stored]
        return sorted(rows, key=lambda row: row.last_used, reverse=True)

    def touch(self, reference: str) -> None:
        """Record that an image is used now."""
        mark = self._mark(reference)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()

    def prune(self, budget_bytes: int, *, now: datetime | None = None) -> list[ImageRow]:
        """Remove the least recently used images until the rest fit a budget, and the remains of dead builds.

        Returns:
            The removed images.
        """
        self.sweep()
        chosen = to_prune(self.rows(), budget_bytes, self.engine.images_in_use(), now or datetime.now(UTC))
        return [row for row in chosen if self.remove(row)]

    def remove(self, row: ImageRow) -> bool:
        """Remove one image; False if a container has started to use it."""
        removed = self.engine.remove(row.image)
        if removed:
            self._mark(row.image).unlink(missing_ok=True)
        return removed

    def sweep(self) -> None:
        """Remove the remains of dead builds, in the engine and on disk, unless a build is running."""
        horizon = datetime.now(UTC) - REMNANT_AGE
        with held_if_free(self.build_lock) as free:
            if not free:
                return
            self.engine.remove_scratch(horizon)
            for remnant in self.engine.remnants(PART):
                is_old = remnant.created is None or remnant.created < horizon
                if is_old or is_orphan(remnant.labels, time.time()):
                    self.engine.remove(remnant.id)
            for folder in self._builds.glob("*"):
                shutil.rmtree(folder, ignore_errors=True)

    def _row(self, image: StoredImage, sizes: dict[str, int]) -> ImageRow:
        """Read an image's labels."""
        facts = {name.removeprefix(LABEL): value for name, value in image.labels.items()}
        created = image.created or datetime.now(UTC)
        below = next((sizes[facts[name]] for name in ("below", "ground") if facts.get(name) in sizes), 0)
        reference = next((name for name in image.references if name.startswith("tfbisect/")), image.references[0])
        names = (
            "package",
            "release",
            "hardware",
            "python",
            "cutoff",
            "recipe",
            "environment",
            "ground",
            "lock",
            "official",
            "added",
        )
        return ImageRow(
            image=reference,
            id=image.id,
            bytes=image.bytes,
            own_bytes=max(0, image.bytes - below),
            created=created,
            last_used=self._last_used(reference, created),
            packages=json.loads(facts.get("packages", "{}")),
            **{name: facts.get(name, "") for name in names},
        )

    def _last_used(self, reference: str, created: datetime) -> datetime:
        """Return when an image was last used, or created if it never was."""
        try:
            return datetime.fromtimestamp(self._mark(reference).stat().st_mtime, UTC)
        except FileNotFoundError:
            return created

    def _mark(self, reference: str) -> Path:
        """Return the file whose modification time is the last use of an image."""
        return self._marks / (reference.replace("/", "_").replace(":", "_") + ".used")


def to_prune(rows: Iterable[ImageRow], budget_bytes: int, in_use: Set[str], now: datetime) -> list[ImageRow]:
    """Choose the images to remove, least recently used first, until the rest fit the budget.

    An image that a container uses, or that was just requested, is kept even if the budget is exceeded.
    """
    oldest_first = sorted(rows, key=lambda row: row.last_used)
    excess = sum(row.own_bytes for row in oldest_first) - budget_bytes
    chosen: list[ImageRow] = []
    for row in oldest_first:
        if excess <= 0:
            break
        if row.id not in in_use and now - row.last_used > GRACE:
            chosen.append(row)
            excess -= row.own_bytes
    return chosen
