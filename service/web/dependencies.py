"""What the web service is handed: everything it needs and nothing that starts a container."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from service.bisection.outcomes import Judge
from service.bisection.policy import Policy
from service.bisection.releases import ReleaseTree
from service.intake import BisectionRequest
from service.settings import Settings
from service.storage.store import Store


class Probe(Protocol):
    """What the pages show of a probe."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def title(self) -> str:
        """Return its title."""

    @property
    def question(self) -> str:
        """Return what it asks of each release."""

    @property
    def outcomes(self) -> Mapping[str, str]:
        """Return its outcomes and what each means."""

    @property
    def expected(self) -> Collection[str]:
        """Return the outcomes that are as they should be."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return its parameters: name -> type, default, help."""

    @property
    def digest(self) -> str:
        """Return the content address of harness and probe."""

    @property
    def judge(self) -> Judge:
        """Return its rule."""


class Release(Protocol):
    """A release of the catalog."""

    @property
    def version(self) -> str:
        """Return its version."""

    @property
    def uploaded(self) -> datetime:
        """Return when it came out, UTC."""

    @property
    def pythons(self) -> Sequence[str]:
        """Return the interpreters it has wheels for."""

    @property
    def bytes(self) -> int:
        """Return the size of its largest wheel."""

    @property
    def yanked(self) -> bool:
        """Say whether it was withdrawn."""

    @property
    def gone(self) -> bool:
        """Say whether the index lists it no more."""


class Catalog(Protocol):
    """Answers which releases a package has."""

    def releases(self, package: str) -> Sequence[Release]:
        """Return them in version order.

        Raises:
            UnknownName: the index has no such package.
            IndexUnreachable: it does not answer and nothing is cached.
        """


class Submitted(Protocol):
    """A bisection that was handed in."""

    @property
    def id(self) -> str:
        """Return its id."""


Submit = Callable[..., Submitted]
"""submit(request, *, public, owner, idempotency_key): checks, stores, and finishes at once what is known."""


class Case(Protocol):
    """A request made ready by intake."""

    @property
    def tree(self) -> ReleaseTree:
        """Return the releases it is about."""

    @property
    def policy(self) -> Policy:
        """Return what its planner promises."""


class Intake(Protocol):
    """The one door, as far as the pages look through it."""

    def case(self, request: BisectionRequest) -> Case:
        """Check a request and make it ready.

        Raises:
            BadInput: it cannot be used.
            IndexUnreachable: the releases are not known.
        """


@dataclass(frozen=True)
class Dependencies:
    """Everything that create_app needs."""

    settings: Settings
    store: Store
    probes: Mapping[str, Probe]
    catalog: Catalog
    submit: Submit
    intake: Intake
    examples: Path | None = None
    """The folder of example snippets that the form offers."""
    engine_problem: Callable[[], str | None] = lambda: None
    """Says what keeps bisections from being run, or None; asked by /readyz."""
    warm_releases: Callable[[str, str], Collection[str]] = lambda _package, _hardware: ()
    """Releases of a package on a hardware whose image is known to be there; for the estimate."""
