"""What a bisection promises, and what it may spend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.bisection.settling import NoiseRule

Branches = Literal["none", "tips", "all"]


@dataclass(frozen=True)
class Policy(NoiseRule):
    """What is promised, and what may be spent on it."""

    expected: frozenset[str] = frozenset()
    """Outcomes that the probe calls right; empty: it calls nothing right or wrong."""
    resolution: int | None = None
    """Every behaviour that lasts this many mainline releases is found; None: chosen by `survey_runs`."""
    branches: Branches = "tips"
    """none; tips: the newest patch of each minor that borders a change or misbehaves; all: every branch searched."""
    workers: int = 1
    """Runs at once."""
    survey_runs: int = 25
    """What the survey may cost where no resolution is given."""
    max_refused: int = 3
    """Refusals, with no outcome anywhere, after which the snippet is taken to be at fault."""
    complete: bool = False
    """Fill in the releases that were not run, once everything else is done."""

    def __post_init__(self) -> None:
        """Reject values that promise nothing.

        Raises:
            ValueError: the value, and what it may be.
        """
        if self.resolution is not None and self.resolution < 1:
            raise ValueError(f"resolution is {self.resolution}; it counts releases, so 1 is the finest.")
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}; at least 1 run must go on.")
        if self.branches not in {"none", "tips", "all"}:
            raise ValueError(f"branches is {self.branches!r}; it may be none, tips or all.")

    def calls_wrong(self, label: str | None) -> bool:
        """Return whether the probe calls an outcome wrong."""
        return label is not None and bool(self.expected) and label not in self.expected
