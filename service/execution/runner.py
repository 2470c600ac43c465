"""The port to whatever runs a probe."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.bisection.outcomes import RunReport
from service.catalog.environments import Environment
from service.catalog.targets import Target


@dataclass(frozen=True)
class RunRequest:
    """One execution of a probe. Sources travel with the request, so that images do not depend on probes."""

    run_id: str
    target: Target
    harness_source: str
    probe_source: str
    framework: str
    """The module to import ahead of the probe: tensorflow, keras, torch; "" for none."""
    snippet: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 120.0
    bisection_id: str = ""
    """Whose question it is: a process that was asked answers only further questions of the same bisection. "": of
    none, and the process ends with the answer."""
    process: int = 0
    """Which process of that bisection answers: answers with one number may share a process and its hash seed; those
    with different numbers never do."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What lies in the working folder: path -> content, compressed, in Base64. They travel with the question: every
    engine, every forked child and every worker elsewhere gets its own copy in the same way."""
    environment: Environment | None = None
    """What to install, where that is known: a runner on another machine resolves nothing. None: the runner resolves."""


class Runner(Protocol):
    """Runs probes; safe to call from several threads at once."""

    name: str

    def prepare(self, target: Target) -> None:
        """Make sure that the environment exists; two callers wait for one build.

        Raises:
            ReleaseUntestable: this release cannot be had, with the reason.
            Unavailable: the infrastructure failed; worth a retry.
        """

    def warm(self, target: Target, framework: str, process: int = 0) -> None:
        """Start a process that imports the framework and waits for its bisection; may do nothing."""

    def stand(self, target: Target, framework: str, process: int = 0) -> bool:
        """Have something stand ready for whoever asks first, as far as there is memory set aside for it.

        Returns:
            Whether one more stands now.
        """

    def waiting(self) -> int:
        """Return how many processes wait for a question."""

    def expect(self, bisection_id: str, wanted: Sequence[tuple[Target, int]]) -> None:
        """Note what a bisection asks next, release and process, the first one first; may do nothing.

        What waits for that is kept longest where memory is short.
        """

    def end(self, bisection_id: str) -> None:
        """End what waits for further questions of a bisection."""

    def run(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        """Run the probe once and report what happened. Never raises for what a release or a snippet does."""

    def missing_protections(self) -> tuple[str, ...]:
        """Return the protections that this runner cannot give on this machine; empty: all are there."""

    def close(self) -> None:
        """Stop and remove all that this runner started."""
