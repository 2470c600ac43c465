"""A watched bisection, run again: what was observed before is known to the planner, so that only the new is run."""

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
"""Who goes on with a bisection that a pass left: a coordinator would spend what the pass has no budget for."""


@dataclass(frozen=True)
class Again:
    """Which bisection to repeat."""

    case: Case
    key: str
    """The same key finds the same bisection: a pass that was interrupted goes on with the one that it began."""
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
        """Return the digest of what a release would run in today; empty where it cannot be had."""
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
        """Take the bisection up, or wait while another coordinator works on it; False when it is over."""
        while not self._store.claim_one(claim.bisection_id, claim.owner, LEASE_SECONDS):
            if self._store.bisection(claim.bisection_id).status in FINISHED or stop.wait(_LOOK_SECONDS):
                return False
        return True

    def drop_left_ones(self) -> None:
        """End what earlier passes left and nobody will ask for again: since then there was other news."""
        for bisection_id in self._store.reserved(RESERVED_FOR):
            self._store.request_cancel(bisection_id)

    def _inherit(self, bisection_id: str, previous: str, case: Case) -> None:
        """Tell the planner what the last night knew, as far as it still holds."""
        for linked in self._store.linked_observations(previous):
            if self._still_holds(linked, case):
                self._store.link(bisection_id, linked.observation.id, linked.variant, reused=True)

    def _still_holds(self, linked: LinkedObservation, case: Case) -> bool:
        """Say whether an observation answers today's question: same probe, snippet, parameters and environment."""
        seen = linked.observation.identity
        track = next((track for track in case.tracks if track.name == linked.variant), None)
        if track is None or (seen.probe, seen.snippet) != (track.probe.digest, text_digest(track.snippet)):
            return False
        today = self.environment(case.target(seen.release))
        # A nightly that the index has dropped cannot be measured again; what was seen of it stays true.
        return dict(seen.parameters) == dict(track.parameters) and today in {"", seen.environment}

    def _measure_beside_the_mainline(self, claim: Claim, again: Again, stop: threading.Event) -> None:
        """Run new patch releases, which the planner would pass over while nothing beside them changes."""
        questions = [
            Question(again.case, track, release, 0)
            for release in beside_the_mainline(again.case.tree, again.new_releases)
            for track in again.case.tracks
        ]
        self._coordinator.measure(claim, questions, stop, submitter=again.owner or "")


def beside_the_mainline(tree: ReleaseTree, releases: Iterable[str]) -> tuple[str, ...]:
    """Return the releases of a tree that stand on branches only, such as 1.12.3, in the order given."""
    branches = {release for line in tree.branches.values() for release in line[1:]}
    return tuple(release for release in releases if release in branches)
