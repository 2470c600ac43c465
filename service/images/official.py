"""Official images: the project's own, from Docker Hub or a mirror of it, known by their digests."""

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
            registry: host and path that stand before each name; "" for the engine's own default, Docker Hub.
        """
        self._engine = engine
        self._registry = registry.strip("/")

    def digest(self, name: str) -> str:
        """Return the digest that a name such as tensorflow/tensorflow:1.12.0-py3 stands for.

        Raises:
            NotInstallable: it cannot be had, with what to do.
            EngineLost: the engine went away.
        """
        try:
            return self._engine.digest(self._placed(name))
        except PullFailed as error:
            raise self._cannot(name, error) from error

    @contextmanager
    def held(self, environment: Environment) -> Iterator[StoredImage]:
        """Hold the official image of an environment; one that was pulled for this loses its name afterwards.

        What is built on it keeps its layers, so that nothing but the image of the release has to be removed one day.

        Raises:
            NotInstallable: it cannot be had, with what to do.
            EngineLost: the engine went away.
        """
        name, digest = environment.recipe.requirement, environment.recipe.image
        reference = f"{self._placed(name).rpartition(':')[0]}@{digest}"
        # One that was loaded from a file is known by its id alone.
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
        """Say that an image cannot be had, and what to do."""
        return NotInstallable(
            f"the official image {self._placed(name)} cannot be pulled: {error}. Let the Docker engine reach its "
            "registry, set TFBISECT_REGISTRY to a mirror of Docker Hub, or bring the image in with `docker load`."
        )
