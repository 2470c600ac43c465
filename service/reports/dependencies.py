"""What the web service gets: everything it needs and nothing that starts a container."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.catalog.probes import Probe
from service.catalog.releases import Catalog
from service.coordination.intake import Intake
from service.coordination.submission import Submission
from service.reports.reproduction import LockOf, no_lock
from service.settings import Settings
from service.storage.records import Bisection
from service.storage.store import Store


class Dependencies(Protocol):
    """The parts of the house that the web service uses."""

    @property
    def settings(self) -> Settings:
        """Return the settings."""

    @property
    def store(self) -> Store:
        """Return the database."""

    @property
    def probes(self) -> Mapping[str, Probe]:
        """Return the probes by name."""

    @property
    def catalog(self) -> Catalog:
        """Return the releases that the index has."""

    @property
    def intake(self) -> Intake:
        """Return what checks requests."""

    @property
    def submission(self) -> Submission:
        """Return what submits bisections."""


def no_problem() -> str | None:
    """Return None: this process knows of nothing that prevents runs."""
    return None


def none_known(_package: str, _hardware: str) -> Collection[str]:
    """Return no release: no image is known."""
    return ()


def no_locks(_bisection: Bisection) -> LockOf:
    """Know of no lock."""
    return no_lock


def all_alive() -> Sequence[str]:
    """Name no thread."""
    return ()


def no_device() -> bool:
    """Say that no accelerator is known."""
    return False


def none_waiting() -> int:
    """Say that no container waits."""
    return 0


@dataclass(frozen=True)
class Surroundings:
    """What only the process around the web service knows; all of it is optional."""

    examples: Path | None = None
    """The folder of example snippets that the form offers."""
    engine_problem: Callable[[], str | None] = no_problem
    """Returns what prevents runs, or None; used by /readyz."""
    warm_releases: Callable[[str, str], Collection[str]] = none_known
    """Returns the releases of a package on a hardware that have an image; used by the estimate."""
    threads_down: Callable[[], Sequence[str]] = all_alive
    """Returns the threads of this process that are not alive, each with the reason; used by /readyz."""
    locks_of: Callable[[Bisection], LockOf] = no_locks
    """Returns what finds the locks of a bisection's releases; used by the evidence."""
    has_accelerators: Callable[[], bool] = no_device
    """Says whether runs can have an accelerator; the form offers CUDA only then."""
    waiting_containers: Callable[[], int] = none_waiting
    """Counts the containers that wait for a question; used by /metrics."""
