"""The changes of a stored bisection, each with what its cause depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.bisection.bridges import OTHER_SIDE, Side
from service.coordination.bridging import Crossing, crossings
from service.coordination.intake import BisectionRequest, Case, Intake
from service.coordination.progress import Progress, progress_of
from service.errors import BadInput, NotFound
from service.json_text import digest_of, text_digest
from service.storage.records import Bisection, LinkedObservation
from service.storage.store import Store


@dataclass(frozen=True)
class ChangePlace:
    """One change of a verdict."""

    number: int
    """Its place in the verdict, 0-based."""
    change: Mapping[str, Any]
    crossing: Crossing
    environments: Mapping[Side, str]
    """Digests of the environments that both sides ran in."""

    @property
    def case(self) -> Case:
        return self.crossing.progress.case

    @property
    def package(self) -> str:
        return str(self.case.request.package)

    @property
    def identity(self) -> dict[str, Any]:
        """Return all that its cause depends on: bisections with an equal one share the explanation."""
        track = self.crossing.progress.track
        return {
            "package": self.package,
            "before": [self.crossing.before, self.environments["before"]],
            "after": [self.crossing.after, self.environments["after"]],
            "hardware": self.case.request.hardware,
            "probe": track.probe.digest,
            "snippet": text_digest(track.snippet),
            "parameters": dict(track.keyed),
            "aspect": self.crossing.aspect,
        }

    @property
    def key(self) -> str:
        return digest_of(self.identity)


def places_of(store: Store, intake: Intake, bisection: Bisection) -> list[ChangePlace]:
    """Return the changes that a bisection's verdict shows at its top, of the snippet's own runs.

    Raises:
        NotFound: it has no verdict yet.
        BadInput: its request cannot be read any more, such as after its package has gone from the index.
    """
    if bisection.verdict is None:
        raise NotFound(f"bisection {bisection.id} has no verdict yet: it is {bisection.status}.")
    changes = bisection.verdict.get("changes", ())
    if not changes:
        return []
    try:
        snippet = store.snippet(bisection.snippet_digest)
        request = BisectionRequest.model_validate({**bisection.request, "snippet": snippet})
    except ValueError as error:
        raise BadInput(f"the request of {bisection.id} cannot be read by this version: {error}") from error
    linked = store.linked_observations(bisection.id)
    return _places(changes, progress_of(intake.at_rest().case(request), linked), linked)


def _places(
    changes: Sequence[Mapping[str, Any]], tracks: Sequence[Progress], linked: Iterable[LinkedObservation]
) -> list[ChangePlace]:
    environments: dict[tuple[str, str], str] = {}
    for one in linked:
        identity = one.observation.identity
        environments.setdefault((one.variant, identity.release), identity.environment)
    known = list(crossings(tracks))
    found = []
    for number, change in enumerate(changes):
        crossing = next((each for each in known if _is_of(each, change)), None)
        if crossing is not None:
            name = crossing.progress.track.name
            sides = {side: environments.get((name, crossing.release(side)), "") for side in OTHER_SIDE}
            found.append(ChangePlace(number, change, crossing, sides))
    return found


def _is_of(crossing: Crossing, change: Mapping[str, Any]) -> bool:
    """Say whether a crossing is a change of the verdict; one of a named probe has the probe's name as its aspect."""
    names = {crossing.aspect} if crossing.aspect else {"", crossing.progress.track.probe.name}
    return crossing.place == (change["before"], change["after"]) and change.get("aspect", "") in names
