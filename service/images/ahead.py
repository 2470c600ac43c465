"""Begins early what the images of a bisection need: grounds at once, then packages in the order of need.

A bisection asks for a few releases at a time. While the first are built, the packages of those that it announces are
resolved, downloaded and unpacked into the cache, from where a build takes them in a moment.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from service.catalog.environments import Environment
from service.catalog.targets import Target
from service.errors import TfbisectError

MOST_AHEAD = 6
"""How many releases are prepared that nobody has asked for yet: a bisection may turn out not to need them."""


class Kitchen(Protocol):
    """What the parts of images are made with; builder.py implements it."""

    def python_of(self, target: Target) -> str:
        """Return the interpreter of a target, before its packages are resolved."""

    def make_ground(self, python: str) -> object:
        """Make the ground for an interpreter."""

    def unbuilt(self, target: Target) -> Environment | None:
        """Return the environment of a target; None if there is an image of it."""

    def fetch(self, environment: Environment) -> None:
        """Download and unpack packages into the cache."""


class Ahead:
    """Prepares what is announced, one thing at a time, in a thread of its own."""

    def __init__(self, kitchen: Kitchen) -> None:
        self._kitchen = kitchen
        self._lock = threading.Lock()
        self._wanted: list[Target] = []
        self._begun: set[Target] = set()
        self._grounds: set[str] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def expect(self, targets: Sequence[Target]) -> None:
        """Prepare what is asked next, the first one first, in place of what was announced before."""
        with self._lock:
            self._wanted = [target for target in targets[:MOST_AHEAD] if target not in self._begun]
            if self._wanted and self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Begin nothing further."""
        self._stop.set()

    def _work(self) -> None:
        while not self._stop.is_set() and (target := self._next()) is not None:
            # Whoever asks for the release learns what is wrong with it.
            with suppress(TfbisectError, OSError):
                self._begin_ground(self._kitchen.python_of(target))
                self._prepare(target)

    def _next(self) -> Target | None:
        with self._lock:
            if not self._wanted:
                self._thread = None  # under the lock: whoever announces something now starts another one
                return None
            target = self._wanted.pop(0)
            self._begun.add(target)
            return target

    def _begin_ground(self, python: str) -> None:
        """Make a ground beside everything else: it takes longest where no registry has one."""
        if python and python not in self._grounds:
            self._grounds.add(python)
            threading.Thread(target=self._make_ground, args=(python,), name=f"ground-{python}", daemon=True).start()

    def _make_ground(self, python: str) -> None:
        with suppress(TfbisectError, OSError):
            self._kitchen.make_ground(python)

    def _prepare(self, target: Target) -> None:
        environment = self._kitchen.unbuilt(target)
        if environment is not None:
            self._kitchen.fetch(environment)
