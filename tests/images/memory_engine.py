"""An engine that keeps images in memory and lays down what it is sent: the way of an image without Docker."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from service.images.engine import BuildOrder, LayerOrder, PullFailed, StoredImage

GROUND_BYTES, OWN_BYTES = 100, 900
LAYER = "layer.tar"


class MemoryEngine:
    """Implements ImageEngine."""

    def __init__(self, registry: dict[str, StoredImage] | None = None) -> None:
        """Make an engine; with a registry, that is all it pulls from and pushes to."""
        self.registry = registry
        self.is_registry_away = False
        self.images: dict[str, StoredImage] = {}
        self.contents: dict[str, dict[str, bytes]] = {}
        """Reference -> file of the context, or LAYER -> its bytes."""
        self.used: set[str] = set()
        """Ids of images that containers are made of."""
        self.left_behind: list[StoredImage] = []
        self.scratch: dict[str, datetime] = {}
        """Container of a verb -> when it began."""
        self.removed: list[str] = []
        self.said = "{}"
        self._lock = threading.Lock()

    def find(self, reference: str) -> StoredImage | None:
        return self.images.get(reference)

    def labelled(self, label: str) -> list[StoredImage]:
        name, _, value = label.partition("=")
        found = [image for image in self.images.values() if name in image.labels]
        return [image for image in found if not value or image.labels[name] == value]

    def remnants(self, label: str) -> list[StoredImage]:
        return list(self.left_behind)

    def pull(self, reference: str) -> StoredImage:
        if self.registry is None or reference.startswith("python:"):
            return self._keep(StoredImage(f"sha256:{reference}", (reference,), {}, GROUND_BYTES))
        if self.is_registry_away:
            raise PullFailed("connection refused")
        if reference not in self.registry:
            raise PullFailed(f"manifest for {reference} not found: manifest unknown")
        return self._keep(self.registry[reference])

    def push(self, reference: str) -> None:
        if self.registry is None or self.is_registry_away:
            raise PullFailed("connection refused")
        self.registry[reference] = self.images[reference]

    def tag(self, image: str, reference: str) -> None:
        found = next(each for each in self.images.values() if image in (each.id, *each.references))
        self._keep(replace(found, references=(reference,)))

    def digest(self, reference: str) -> str:
        return f"sha256:{reference}"

    def import_system(self, archive: Path, reference: str) -> StoredImage:
        raise AssertionError("a registry answers here, so no system is made")

    def build(self, order: BuildOrder) -> StoredImage:
        packed = io.BytesIO(b"".join(order.context))
        with tarfile.open(fileobj=packed) as archive:
            files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
            self.contents[order.reference] = {name: file.read() for name, file in files.items() if file}
        return self._made(order.reference, order.labels, GROUND_BYTES)

    def lay(self, order: LayerOrder) -> StoredImage:
        reference, layer = order.result.reference, b"".join(order.archive())
        assert len(layer) == order.archive_bytes
        self.contents[reference] = {LAYER: layer}
        return self._made(reference, order.result.labels, OWN_BYTES + GROUND_BYTES)

    def remove_scratch(self, before: datetime) -> None:
        self.scratch = {name: created for name, created in self.scratch.items() if created >= before}

    def run(self, reference: str, command: list[str]) -> str:
        return self.said

    def copy_out(self, reference: str, path: str, folder: Path) -> None:
        raise AssertionError("nothing here needs an interpreter of an image")

    def remove(self, reference: str) -> bool:
        self.removed.append(reference)
        self.left_behind = [image for image in self.left_behind if image.id != reference]
        found = self.images.get(reference)
        if found is not None and found.id in self.used:
            return False
        self.images.pop(reference, None)
        return True

    def images_in_use(self) -> frozenset[str]:
        return frozenset(self.used)

    def storage_folder(self) -> Path | None:
        return None

    def grow_older(self, reference: str, created: datetime) -> None:
        self.images[reference] = replace(self.images[reference], created=created)

    def _made(self, reference: str, labels: Mapping[str, str], size: int) -> StoredImage:
        return self._keep(StoredImage(f"sha256:{reference}", (reference,), dict(labels), size, datetime.now(UTC)))

    def _keep(self, image: StoredImage) -> StoredImage:
        with self._lock:
            self.images[image.references[0]] = image
        return image
