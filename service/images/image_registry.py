"""The user's registry: finished images go there, so that other machines pull them instead of building them again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from service.errors import Unavailable
from service.images.engine import ImageEngine, PullFailed, StoredImage

log = structlog.get_logger()
AWAY_SECONDS = 60.0
"""How long a registry that did not answer is not asked again: images are built meanwhile."""
LACKING = re.compile(r"manifest unknown|not found|does not exist|name unknown|repository name not known", re.IGNORECASE)
"""What engines say of an image that a registry does not have."""


class ImageRegistry:
    """Gets images from a registry and sends them there. A registry that is away costs a build and nothing else."""

    def __init__(self, engine: ImageEngine, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Make the way to a registry.

        Args:
            engine: pulls and pushes; it signs in by itself, after `docker login`.
            place: host and path before each name; "" for no registry.
            clock: seconds that only grow.
        """
        self._engine = engine
        self._place = place.strip("/")
        self._clock = clock
        self._away_until = float("-inf")

    def fetched(self, reference: str, label: str, value: str) -> StoredImage | None:
        """Return an image that the registry has, under its usual name; None if it is to be built here.

        Args:
            reference: its usual name, tfbisect/PACKAGE:TAG.
            label: that it must have,
            value: with this value; another image by that name is not taken.
        """
        there = self._named(reference)
        if there is None:
            return None
        try:
            found = self._engine.pull(there)
        except PullFailed as error:
            if not LACKING.search(str(error)):
                self._is_away("pull from", error)
            return None
        try:
            if found.labels.get(label) != value:
                log.warning("registry.another_image", image=there, label=label, wanted=value)
                return None
            self._engine.tag(found.id, reference)
        finally:
            self._engine.remove(there)  # the name only, where it has another one
        return self._engine.find(reference)

    def send(self, reference: str) -> None:
        """Push an image that was built here; whatever goes wrong is logged, and the image is there all the same."""
        there = self._named(reference)
        if there is None:
            return
        try:
            self._engine.tag(reference, there)
            try:
                self._engine.push(there)
            finally:
                with suppress(Unavailable):
                    self._engine.remove(there)
        except (PullFailed, Unavailable) as error:
            self._is_away("push to", error)

    def _named(self, reference: str) -> str | None:
        """Return the name of an image in the registry; None while nothing is asked of one."""
        if not self._place or self._clock() < self._away_until:
            return None
        return f"{self._place}/{reference.removeprefix('tfbisect/')}"

    def _is_away(self, what: str, error: Exception) -> None:
        self._away_until = self._clock() + AWAY_SECONDS
        log.warning("registry.away", registry=self._place, reason=f"cannot {what} it: {error}")
