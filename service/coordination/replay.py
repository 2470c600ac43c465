"""Plans against a table of outcomes instead of containers: for tests, teaching and simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from random import Random
from typing import Any

from packaging.version import InvalidVersion, Version

from service.bisection.comparison import differences
from service.bisection.outcomes import Answer, Lost, Outcome, Untestable
from service.bisection.planner import NextRuns, PlannedRun, Policy, plan
from service.bisection.releases import ReleaseTree, tree_of
from service.bisection.verdict import Verdict, VerdictFacts, to_json
from service.bisection.words import answer_text
from service.errors import ReplayError

SHAPE = 'a JSON list, oldest first, of {"release", "outcome"}, {"release", "outcomes"} or {"release", "untestable"}'
CELLS = ("outcome", "outcomes", "untestable")


@dataclass(frozen=True)
class World:
    """A replay table that was read: what each release would answer."""

    tree: ReleaseTree
    outcomes: Mapping[str, Mapping[str, float]]
    """Probability of each label, by release."""
    untestable: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    """How many of its first runs are lost, by release."""

    def answer(self, run: PlannedRun, lost_before: int, seed: int) -> Answer:
        """Return what a run answers: the same for the same seed, release and repeat, whenever it is asked."""
        if lost_before < self.lost.get(run.release, 0):
            return Lost("lost, as the replay table says")
        if run.release in self.untestable:
            return Untestable(self.untestable[run.release])
        labels = self.outcomes[run.release]
        if len(labels) == 1:
            return Outcome(next(iter(labels)))
        dice = Random(f"{seed}/{run.release}/{run.repeat}")  # noqa: S311 - a simulation, no secret
        return Outcome(dice.choices(list(labels), weights=list(labels.values()))[0])


@dataclass(frozen=True)
class Round:
    """The runs that went on at once, and what they answered."""

    number: int
    runs: tuple[tuple[PlannedRun, Answer], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "round": self.number,
            "runs": [
                {"release": run.release, "repeat": run.repeat, "purpose": run.purpose, "answer": answer_text(answer)}
                for run, answer in self.runs
            ],
        }


@dataclass(frozen=True)
class ReplayResult:
    verdict: Verdict
    rounds: tuple[Round, ...]
    before_filling: Verdict | None = None
    """The verdict before `complete` filled in what it inferred; None where nothing was filled in."""

    @property
    def runs(self) -> int:
        """Return how many runs were made."""
        return sum(len(step.runs) for step in self.rounds)

    def to_json(self, facts: VerdictFacts | None = None) -> dict[str, Any]:
        """Return the verdict by the contract, with what it cost."""
        lost = sum(isinstance(answer, Lost) for step in self.rounds for _, answer in step.runs)
        facts = facts or VerdictFacts(runner="replay", probe="replay", executed=self.runs, lost=lost)
        found = {"verdict": to_json(self.verdict, facts), "runs": self.runs, "rounds": len(self.rounds)}
        return found if self.before_filling is None else {**found, "filling_changed": list(self.filling_changed)}

    @property
    def filling_changed(self) -> tuple[str, ...]:
        """Say how filling in changed the verdict."""
        if self.before_filling is None:
            return ()
        return differences(to_json(self.before_filling), to_json(self.verdict))


def replay(table: object, policy: Policy, seed: int = 0) -> ReplayResult:
    """Bisect a table of outcomes.

    Args:
        table: the rows as JSON gives them, oldest first; see SHAPE.
        policy: as for a real bisection.
        seed: for rows with probabilities; the same seed gives the same answers.

    Raises:
        ReplayError: the table cannot be read; the message names the row.
    """
    return run_world(read_table(table), policy, seed)


def run_world(world: World, policy: Policy, seed: int = 0) -> ReplayResult:
    """Bisect a world, a round at a time."""
    observations: dict[str, list[Answer]] = {}
    rounds: list[Round] = []
    before_filling: Verdict | None = None
    while isinstance(step := plan(world.tree, observations, policy), NextRuns):
        before_filling = before_filling or step.settled
        answers = [(run, world.answer(run, _lost(observations, run), seed)) for run in step.runs]
        for run, answer in answers:
            observations.setdefault(run.release, []).append(answer)
        rounds.append(Round(len(rounds) + 1, tuple(answers)))
    return ReplayResult(step, tuple(rounds), before_filling)


def usual_expectation(world: World) -> frozenset[str]:
    """Return which of a table's outcomes is right where nobody says: the dropout probe's, else plainly "good"."""
    labels = {label for shares in world.outcomes.values() for label in shares}
    return next((frozenset({label}) for label in ("drops", "good") if label in labels), frozenset())


def _lost(observations: Mapping[str, Sequence[Answer]], run: PlannedRun) -> int:
    """Return how many runs of a release were lost so far."""
    return sum(isinstance(answer, Lost) for answer in observations.get(run.release, ()))


def read_table(table: object) -> World:
    """Read a replay table.

    Raises:
        ReplayError: it is no list of rows, a row has no release or not exactly one answer, a release comes twice.
    """
    if not isinstance(table, list) or not table:
        raise ReplayError(f"The replay table is {_kind(table)}; it must be {SHAPE}.")
    outcomes: dict[str, Mapping[str, float]] = {}
    untestable: dict[str, str] = {}
    lost: dict[str, int] = {}
    for number, row in enumerate(table, start=1):
        release = _release(row, number)
        if release in outcomes or release in untestable:
            raise ReplayError(f"Row {number}: {release} is in the table twice; keep one of the two rows.")
        match _cell(row, number):
            case str(reason):
                untestable[release] = reason
            case labels:
                outcomes[release] = labels
        lost[release] = _lost_count(row, number)
    return World(_tree([*outcomes, *untestable], table), outcomes, untestable, lost)


def _kind(table: object) -> str:
    """Name what was given instead of a table."""
    return "empty" if table == [] else f"of type {type(table).__name__}"


def _release(row: object, number: int) -> str:
    if not isinstance(row, dict):
        raise ReplayError(f"Row {number} is {row!r}; it must be an object with a release and its outcome.")
    release = row.get("release")
    if not isinstance(release, str) or not release.strip():
        raise ReplayError(f'Row {number} names no release; give it one, such as {{"release": "1.9.0", …}}.')
    return release.strip()


def _cell(row: Mapping[str, Any], number: int) -> str | Mapping[str, float]:
    """Return what a row answers: a reason why it cannot, or the probability of each label."""
    given = [name for name in CELLS if name in row]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise ReplayError(f"Row {number} ({row['release']}) has {found}; it needs exactly one of {', '.join(CELLS)}.")
    cell = row[given[0]]
    match given[0]:
        case "outcomes":
            return _shares(cell, row["release"], number)
        case name if not isinstance(cell, str) or not cell.strip():
            raise ReplayError(f"Row {number} ({row['release']}): {name} is {cell!r}; it must be a text.")
        case "outcome":
            return {cell: 1.0}
    return str(cell)


def _shares(cell: object, release: str, number: int) -> Mapping[str, float]:
    """Return the probabilities of a noisy row."""
    where = f"Row {number} ({release}): outcomes"
    if not isinstance(cell, dict) or not cell:
        raise ReplayError(f"{where} is {cell!r}; it must map each label to its probability.")
    for label, share in cell.items():
        number_given = isinstance(share, int | float) and not isinstance(share, bool)
        if not number_given or not isfinite(share) or share < 0:
            raise ReplayError(f"{where} gives {label} the probability {share!r}; it must be a number from 0 to 1.")
    total = sum(cell.values())
    if abs(total - 1) > 1e-6:
        raise ReplayError(f"{where} sum to {total:g}; the probabilities of a release must sum to 1.")
    return {str(label): float(share) for label, share in cell.items() if share > 0}


def _lost_count(row: Mapping[str, Any], number: int) -> int:
    """Return how many first runs of a row are lost."""
    count = row.get("lost", 0)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ReplayError(f"Row {number} ({row['release']}): lost is {count!r}; it counts runs, from 0 up.")
    return count


def _tree(releases: Sequence[str], table: Sequence[Mapping[str, Any]]) -> ReleaseTree:
    """Sort releases into mainline and branches; names that are no versions are one line, in the table's order."""
    try:
        distinct = {Version(release) for release in releases}
    except InvalidVersion:
        return ReleaseTree(tuple(row["release"].strip() for row in table))
    if len(distinct) < len(releases):
        raise ReplayError("Two releases of the table are the same version, such as 1.9 and 1.9.0; keep one of them.")
    return tree_of(releases)
