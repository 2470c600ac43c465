"""Official images: the project's own, from Docker Hub or a mirror, identified by digest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.catalog.environments import Environment
from service.errors import NotInstallable
from service.images.engine import ImageEngine, PullFailed, StoredImage


class OfficialImages:
    def __init__(self, engine: ImageEngine, registry: str) -> None:
        """Make a source.

        Args:
            engine: pulls and keeps them.
            registry: host and path to put before each name; "" for the engine's default, Docker Hub.
        """
        self._engine = engine
        self._registry = registry.strip("/")

    def digest(self, name: str) -> str:
        """Return the digest of a name such as tensorflow/tensorflow:1.12.0-py3.

        Raises:
            NotInstallable: it is unavailable; the message says what to do.
            EngineLost: the engine went away.
        """
        try:
            return self._engine.digest(self._placed(name))
        except PullFailed as error:
            raise self._cannot(name, error) from error

    @contextmanager
    def held(self, environment: Environment) -> Iterator[StoredImage]:
        """Hold the official image of an environment; if it was pulled for this, it loses its name afterwards.

        Images built on it keep its layers, so later only the release's image needs to be removed.

        Raises:
            NotInstallable: it is unavailable; the message says what to do.
            EngineLost: the engine went away.
        """
        name, digest = environment.recipe.requirement, environment.recipe.image
        reference = f"{self._placed(name).rpartition(':')[0]}@{digest}"
        # An image loaded from a file has an id but no digest.
        found = self._engine.find(reference) or self._engine.find(digest)
        if found is not None:
            yield found
            return
        try:
            pulled = self._engine.pull(reference)
        except PullFailed as error:
            raise self._cannot(name, error) from error
        try:
            yield pulled
        finally:
            self._engine.remove(reference)

    def _placed(self, name: str) -> str:
        """Return a name with its registry."""
        return f"{self._registry}/{name}" if self._registry else name

    def _cannot(self, name: str, error: PullFailed) -> NotInstallable:
        """Return the error for an unavailable image, with what to do."""
        return NotInstallable(
            f"the official image {self._placed(name)} cannot be pulled: {error}. Let the Docker engine reach its "
            "registry, set TFBISECT_REGISTRY to a mirror of Docker Hub, or bring the image in with `docker load`."
        )
