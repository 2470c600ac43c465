"""What a fault did to a bisection: lost, doubled, orphaned or blamed; all empty where it did nothing."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tests.faults.world import CHANGES, TRUTH, Service, World

CAUSES_SECONDS = 180.0
"""How long causes are waited for: some runs for each change of a small history."""
SETTLING_SECONDS = 20.0
"""How long what a dead service left may still be there once another one works."""
TRACEBACK_SHOWN = 3000
"""So many characters of it reach its last line, which says what was wrong."""


@dataclass
class Findings:
    """What is not as if nothing had happened, in words."""

    lost: list[str] = field(default_factory=list)
    """A bisection without its end, a release without its answer, a listener without its event."""
    doubled: list[str] = field(default_factory=list)
    """An answer, an end or a run that is there twice."""
    orphaned: list[str] = field(default_factory=list)
    """Processes, containers and folders that nobody looks after."""
    blamed: list[str] = field(default_factory=list)
    """A release that is told to behave otherwise than it does."""
    said: list[str] = field(default_factory=list)
    """Words that the service owed its users and did not say."""

    def add(self, other: Findings) -> None:
        """Take in what else was found."""
        for each in fields(self):
            getattr(self, each.name).extend(getattr(other, each.name))

    @property
    def any(self) -> list[str]:
        """Return all of it, each with its kind."""
        return [f"{each.name}: {words}" for each in fields(self) for words in getattr(self, each.name)]


def of_bisections(service: Service, ids: Iterable[str], *, runs_lost: int = 0) -> Findings:
    """Wait for the end of bisections and hold them against the truth.

    Args:
        service: where they are asked for.
        ids: of the bisections.
        runs_lost: how many runs may have been begun in vain, since their service was killed under them.
    """
    found = Findings()
    for bisection_id in ids:
        if not bisection_id:
            found.lost.append("a submission was not taken")
            continue
        ended = service.ended(bisection_id)
        found.add(_of_verdict(ended))
        found.add(_of_events(service.world, bisection_id))
    found.add(_of_causes(service.world))
    found.add(_of_runs(service.world, runs_lost))
    found.add(of_leftovers(service.world))
    return found


def _of_verdict(ended: dict[str, Any]) -> Findings:
    found = Findings()
    verdict = ended["verdict"] or {}
    if ended["status"] != "done":
        found.lost.append(f"{ended['status']}: {(ended.get('error') or {}).get('detail') or ended.get('error')}"[:300])
    changes = [(change["before"], change["after"]) for change in verdict.get("changes", ())]
    if verdict and changes != CHANGES:
        found.blamed.append(f"changes {changes}, truly {CHANGES}")
    for each in verdict.get("untestable", ()):
        found.blamed.append(f"{each['release']} is untestable: {each['reason'][:120]}")
    seen = {each["release"]: each["outcome"] for each in ended["observations"]}
    for release, mood in TRUTH.items():
        if release not in seen:
            found.lost.append(f"no answer of {release}")
        elif seen[release] != f"reports:mood={mood}":
            found.blamed.append(f"{release}: {seen[release]}, truly mood={mood}")
    return found


def _of_events(world: World, bisection_id: str) -> Findings:
    """Hold what a listener is told against what happened."""
    found = Findings()
    rows = world.rows(f"SELECT kind, payload FROM events WHERE bisection_id = '{bisection_id}'")
    kinds = Counter(row.kind for row in rows)
    for kind in ("verdict", "end"):
        if kinds[kind] != 1:
            (found.doubled if kinds[kind] else found.lost).append(f"{kinds[kind]} events {kind}")
    links = world.rows(f"SELECT observation_id FROM links WHERE bisection_id = '{bisection_id}'")
    # A run that infrastructure lost, or a release that cannot be tested, is told too and is no observation.
    told = [seen for row in rows if row.kind == "observation" and (seen := _payload(row.payload)["observation"])]
    if sorted(told) != sorted(link.observation_id for link in links):
        into = found.doubled if len(told) > len(links) else found.lost
        into.append(f"{len(told)} events of {len(links)} observations")
    return found


def _payload(stored: Any) -> dict[str, Any]:
    """Return an event's payload: SQLite gives the text."""
    return dict(json.loads(stored) if isinstance(stored, str) else stored)


def _of_runs(world: World, runs_lost: int) -> Findings:
    """Hold the runs that began against the answers that are kept."""
    begun = world.runs.read_text(encoding="utf-8").split() if world.runs.exists() else []
    kept = sum(_count(world, table) for table in ("observations", "hypothesis_runs"))
    over = len(begun) - kept - runs_lost
    return Findings(doubled=[f"{over} runs too many: {len(begun)} for {kept} answers"] if over > 0 else [])


def _of_causes(world: World) -> Findings:
    """Wait until the causes of the changes are no longer sought, which begins after a verdict."""
    end = time.monotonic() + CAUSES_SECONDS
    while _count(world, "explanation_requests") and time.monotonic() < end:
        time.sleep(0.5)
    left = _count(world, "explanation_requests")
    return Findings(lost=[f"the causes of {left} bisections are still sought"] if left else [])


def _count(world: World, table: str) -> int:
    ((number,),) = world.rows(f"SELECT count(*) FROM {table}")
    return int(number)


def of_tracebacks(service: Service) -> Findings:
    """Return the first traceback of a service's log: what is foreseen is said in words."""
    _, found, after = service.words().partition("Traceback")
    return Findings(said=[f"the log shows a raw traceback: {after[:TRACEBACK_SHOWN]}"] if found else [])


def of_leftovers(world: World) -> Findings:
    """Wait a while for what is left over to go, and return what does not."""
    looks: Sequence[Callable[[], list[str]]] = (world.processes, world.homes, world.containers)
    end = time.monotonic() + SETTLING_SECONDS
    left = [words for look in looks for words in look()]
    while left and time.monotonic() < end:
        time.sleep(0.5)
        left = [words for look in looks for words in look()]
    return Findings(orphaned=left)
