"""How far the build of one image is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from service.catalog.targets import Target

Step = Literal["installing", "packing", "importing", "done", "failed"]


@dataclass(frozen=True)
class BuildProgress:
    """How far one build is. Steps come in the order of `Step`, those that move bytes many times."""

    target: Target
    step: Step
    moved_bytes: int
    total_bytes: int
    """Size of the packages; until they are installed an estimate."""


Progress = Callable[[BuildProgress], None]


def failed(target: Target) -> BuildProgress:
    """Return what is told of a build that gave no image."""
    return BuildProgress(target, "failed", 0, 0)


class Meter:
    """Tells how far a build is. A byte counts by thirds: when it is unpacked, sent to the engine, and laid down there.

    The engine does not tell how far the last is, so a third comes with the end.
    """

    def __init__(self, target: Target, expected_bytes: int, tell: Progress) -> None:
        """Make a meter.

        Args:
            target: what is built.
            expected_bytes: what its packages will take, by estimate.
            tell: told of every move.
        """
        self._target = target
        self._bytes = max(1, expected_bytes)
        self._tell = tell

    def unpacked(self, written_bytes: int) -> None:
        """Take note of what the installer has written so far."""
        self._say("installing", min(written_bytes, self._bytes) // 3)

    def sized(self, total_bytes: int) -> None:
        """Take note of what the packages really take, all of it unpacked."""
        self._bytes = max(1, total_bytes)
        self._say("packing", self._bytes // 3)

    def through(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what goes to the engine and count it; after it the engine lays it down and imports it."""
        sent = 0
        for chunk in chunks:
            yield chunk
            sent += len(chunk)
            self._say("packing", (self._bytes + min(sent, self._bytes)) // 3)
        self._say("importing", self._bytes * 2 // 3)

    def done(self) -> None:
        """Take note of the end."""
        self._say("done", self._bytes)

    def _say(self, step: Step, moved_bytes: int) -> None:
        """Tell where it is."""
        self._tell(BuildProgress(self._target, step, moved_bytes, self._bytes))
