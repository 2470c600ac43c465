"""Repeats a watched bisection: the planner knows the earlier observations, so only new releases are run."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from service.bisection.releases import ReleaseTree
from service.catalog.environments import Environments
from service.catalog.targets import Target
from service.coordination.coordinator import Coordinator
from service.coordination.holding import LEASE_SECONDS
from service.coordination.intake import BisectionRequest, Case, Intake
from service.coordination.laboratory import Laboratory, Question
from service.errors import ReleaseUntestable
from service.json_text import digest_of, text_digest
from service.storage.claims import new_owner
from service.storage.records import FINISHED, Bisection, Claim, LinkedObservation
from service.storage.store import Store

_LOOK_SECONDS = 1.0
RESERVED_FOR = "nightly"
"""Reserves bisections that a pass left for the next pass: a coordinator would run them beyond the budget."""


@dataclass(frozen=True)
class Again:
    """Which bisection to repeat."""

    case: Case
    key: str
    """The same key finds the same bisection, so an interrupted pass continues with it."""
    previous: str | None = None
    """The bisection of the last night."""
    new_releases: tuple[str, ...] = ()
    public: bool = True
    owner: str | None = None


class Repetition:
    def __init__(
        self, store: Store, intake: Intake, coordinator: Coordinator, laboratory: Laboratory, environments: Environments
    ) -> None:
        self._store = store
        self._intake = intake
        self._coordinator = coordinator
        self._laboratory = laboratory
        self._environments = environments

    def case(self, request: BisectionRequest) -> Case:
        """Make a request ready.

        Raises:
            BadInput: it cannot be used.
            IndexUnreachable: the releases are not known and cannot be asked for.
        """
        return self._intake.case(request)

    def environment(self, target: Target) -> str:
        """Return the digest of a release's current environment; empty if there is none."""
        try:
            return self._environments.resolve(target).digest
        except ReleaseUntestable:
            return ""

    def run(self, again: Again, stop: threading.Event) -> Bisection:
        """Run a bisection to its end, or until told to stop, and return it as it is stored."""
        request, owner = again.case.request, new_owner("nightly")
        created = self._store.create_bisection(
            request.model_dump(mode="json", exclude={"snippet"}),
            request.snippet,
            public=again.public,
            owner=again.owner,
            idempotency_key=digest_of([again.key, request.model_dump(mode="json")]),
            claimed_by=owner,
            lease_seconds=LEASE_SECONDS,
        )
        one = created.bisection.id
        if created.is_new and again.previous is not None:
            self._inherit(one, again.previous, again.case)
        claim = Claim(one, owner)
        while self._hold(claim, stop):
            self._measure_beside_the_mainline(claim, again, stop)
            self._coordinator.run(claim, stop=stop, reserved_for=RESERVED_FOR, nightly=True)
            if stop.is_set():
                break
        return self._store.bisection(one)

    def _hold(self, claim: Claim, stop: threading.Event) -> bool:
        """Claim the bisection, or wait while another coordinator runs it; False if it has ended."""
        while not self._store.claim_one(claim.bisection_id, claim.owner, LEASE_SECONDS):
            if self._store.bisection(claim.bisection_id).status in FINISHED or stop.wait(_LOOK_SECONDS):
                return False
        return True

    def drop_left_ones(self) -> None:
        """Cancel what earlier passes left and nobody will ask for again, because there were newer releases."""
        for bisection_id in self._store.reserved(RESERVED_FOR):
            self._store.request_cancel(bisection_id)

    def _inherit(self, bisection_id: str, previous: str, case: Case) -> None:
        """Link the last night's observations, as far as they are still valid."""
        for linked in self._store.linked_observations(previous):
            if self._still_holds(linked, case):
                self._store.link(bisection_id, linked.observation.id, linked.variant, reused=True)

    def _still_holds(self, linked: LinkedObservation, case: Case) -> bool:
        """Return whether an observation answers today's question: same probe, snippet, parameters and environment."""
        seen = linked.observation.identity
        track = next((track for track in case.tracks if track.name == linked.variant), None)
        if track is None or (seen.probe, seen.snippet) != (track.probe.digest, text_digest(track.snippet)):
            return False
        today = self.environment(case.target(seen.release))
        # A nightly that the index has removed cannot be measured again; its observation stays valid.
        return dict(seen.parameters) == dict(track.keyed) and today in {"", seen.environment}

    def _measure_beside_the_mainline(self, claim: Claim, again: Again, stop: threading.Event) -> None:
        """Run new patch releases, which the planner skips while nothing next to them changes."""
        questions = [
            Question(again.case, track, release, 0)
            for release in beside_the_mainline(again.case.tree, again.new_releases)
            for track in again.case.tracks
        ]
        self._coordinator.measure(claim, questions, stop, submitter=again.owner or "")


def beside_the_mainline(tree: ReleaseTree, releases: Iterable[str]) -> tuple[str, ...]:
    """Return the releases that are only on branches, such as 1.12.3, in the given order."""
    branches = {release for line in tree.branches.values() for release in line[1:]}
    return tuple(release for release in releases if release in branches)
