"""Which releases have an image already: asked of the engine now and then, for estimates."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

from service.errors import Unavailable
from service.images.engine import StoredImage
from service.images.shelf import LABEL

REMEMBERED_SECONDS = 60.0

ListImages = Callable[[], Sequence[StoredImage]]


class KnownImages:
    """Remembers what the engine holds; while it does not answer, what it held last stands."""

    def __init__(self, list_images: ListImages, clock: Callable[[], float] = time.monotonic) -> None:
        self._list_images = list_images
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._known: frozenset[tuple[str, str, str]] = frozenset()

    def __call__(self, package: str, hardware: str) -> Collection[str]:
        """Return the releases of a package on a hardware whose image is there."""
        with self._lock:
            if self._asked_at is None or self._clock() - self._asked_at > REMEMBERED_SECONDS:
                self._known = self._asked()
                self._asked_at = self._clock()
        return {release for name, release, on in self._known if (name, on) == (package, hardware)}

    def _asked(self) -> frozenset[tuple[str, str, str]]:
        """Ask the engine: package, release, hardware of each image."""
        try:
            images = self._list_images()
        except Unavailable:
            return self._known
        return frozenset(
            (image.labels.get(LABEL + "package", ""), release, image.labels.get(LABEL + "hardware", ""))
            for image in images
            if (release := image.labels.get(LABEL + "release")) and LABEL + "added" not in image.labels
        )
