"""The timeline of a verdict as cells: the mainline above, branches below. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.version import Version

from service.bisection.releases import MAINLINE, ReleaseTree
from service.bisection.verdict import Change, change_of
from service.bisection.words import change_in_short
from service.reports.states import PLACES, STATES, Shown, State
from service.reports.tones import tones_of

PAGE_WIDTH, WIDEST_COLUMN, NARROWEST_COLUMN = 700, 200, 70
"""Pixels, as app.css lays columns out on a small screen, or beside an open drawer."""
FLAG_PIXELS, LETTER_PIXELS = 40, 7
HIGHEST_FLAGS = 4


@dataclass(frozen=True)
class Cell:
    release: str
    state: State
    outcome: str = ""
    tone: str = "none"
    note: str = ""
    """The reason, where the release is untestable."""
    date: str = ""

    @property
    def shown(self) -> Shown:
        return STATES[self.state]

    @property
    def says(self) -> str:
        """Return the cell as text, for a screen reader and a tooltip."""
        words = [self.release, *([self.outcome] if self.outcome else []), self.shown.word]
        return ", ".join(words) + (f": {self.note}" if self.note else "")


@dataclass(frozen=True)
class Marker:
    """A change, drawn just before the first release that shows it."""

    change: Change
    tone: str
    level: int = 0
    """The row of the flag, so that it does not cover its neighbour's."""
    is_mirrored: bool = False
    """The flag points to the left, because there is no room to the right."""

    @property
    def says(self) -> str:
        return change_in_short(self.change)


@dataclass(frozen=True)
class Step:
    cell: Cell
    marker: Marker | None = None


@dataclass(frozen=True)
class Column:
    """A step of the mainline and the branch below it."""

    step: Step
    branch: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Timeline:
    columns: tuple[Column, ...]
    legend: tuple[tuple[str, str], ...]
    """Outcome and tone, in order of appearance."""
    states: tuple[State, ...] = ()
    """The states that occur, in the order of STATES."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return every step, each mainline release followed by its branch."""
        return tuple(step for column in self.columns for step in (column.step, *column.branch))

    @property
    def levels(self) -> int:
        """Return how many rows of flags there are."""
        markers = [column.step.marker for column in self.columns if column.step.marker is not None]
        return max((marker.level + 1 for marker in markers), default=0)

    @property
    def says(self) -> str:
        """Return the mainline as text: each behaviour with its first release."""
        said: list[str] = []
        last = ""
        for column in self.columns:
            cell = column.step.cell
            if cell.outcome and cell.outcome != last:
                said.append(f"{cell.outcome} from {cell.release}")
                last = cell.outcome
        return ", ".join(said) or "nothing measured yet"


@dataclass(frozen=True)
class Knowledge:
    """What the timeline needs beside the verdict."""

    tree: ReleaseTree | None = None
    """All releases of the bisection: those the verdict does not mention were not run. None: what it mentions."""
    running: Collection[str] = ()
    expected: Collection[str] = ()
    outcomes: Sequence[str] = ()
    """The labels that the probe declares, in its order."""
    dates: Mapping[str, str] = field(default_factory=dict)
    """Upload date of a release, as it is shown."""


def timeline_of(verdict: Mapping[str, Any], knowledge: Knowledge) -> Timeline:
    placed = _placed(verdict)
    tree = knowledge.tree or tree_in(verdict)
    order = tree.all()
    reasons = {entry["release"]: str(entry.get("reason", "")) for entry in verdict.get("untestable", ())}
    seen = [outcome for release in order if (outcome := placed.get(release, ("", ""))[1])]
    seen += [str(change[side]) for change in verdict.get("changes", ()) for side in ("old", "new")]
    tones = tones_of(seen, knowledge.outcomes, knowledge.expected)
    cells = {release: _cell(release, placed, reasons, tones, knowledge) for release in order}
    columns = _columns(tree, cells, _markers(verdict, tones))
    legend = tuple(dict.fromkeys((cell.outcome, cell.tone) for cell in cells.values() if cell.outcome))
    occurring = {cell.state for cell in cells.values()}
    return Timeline(columns, legend, tuple(state for state in STATES if state in occurring))


def _placed(verdict: Mapping[str, Any]) -> dict[str, tuple[State, str]]:
    """Map each release that the verdict mentions to its state and outcome; the mainline is said first."""
    placed: dict[str, tuple[State, str]] = {}
    for segment in verdict.get("segments", ()):
        for state in PLACES:
            outcome = "" if state == "untestable" else str(segment.get("outcome", ""))
            for release in segment.get(state, ()):
                placed.setdefault(release, (state, outcome))
    for entry in verdict.get("untestable", ()):
        placed.setdefault(entry["release"], ("untestable", ""))
    return placed


def _cell(
    release: str,
    placed: Mapping[str, tuple[State, str]],
    reasons: Mapping[str, str],
    tones: Mapping[str, str],
    knowledge: Knowledge,
) -> Cell:
    state, outcome = placed.get(release, ("not_run", ""))
    if release in knowledge.running and state in ("not_run", "inferred"):
        state, outcome = "running", ""
    return Cell(
        release, state, outcome, tones.get(outcome, "none"), reasons.get(release, ""), knowledge.dates.get(release, "")
    )


def _markers(verdict: Mapping[str, Any], tones: Mapping[str, str]) -> dict[tuple[str, str], Marker]:
    """Map line and first release of each change to its marker."""
    markers: dict[tuple[str, str], Marker] = {}
    for change in map(change_of, verdict.get("changes", ())):
        markers[change.line, change.after] = Marker(change, tones.get(change.new, "none"))
    return markers


def _columns(
    tree: ReleaseTree, cells: Mapping[str, Cell], markers: Mapping[tuple[str, str], Marker]
) -> tuple[Column, ...]:
    """Arrange cells in columns: a step of the mainline on top, the rest of its branch below."""
    branches = {releases[0]: (minor, releases[1:]) for minor, releases in tree.branches.items() if releases}
    columns = []
    for first in tree.mainline:
        minor, patches = branches.get(first, ("", ()))
        below = tuple(Step(cells[patch], markers.get((minor, patch))) for patch in patches)
        columns.append(Column(Step(cells[first], markers.get((MAINLINE, first))), below))
    return _staggered(columns)


def tree_in(verdict: Mapping[str, Any]) -> ReleaseTree:
    """Return the releases on the lines of a verdict."""
    lines: dict[str, set[str]] = {MAINLINE: set()}
    for segment in verdict.get("segments", ()):
        line = lines.setdefault(str(segment["line"]), set())
        line.update((segment["from"], segment["to"]), *(segment.get(state, ()) for state in PLACES))
    for change in verdict.get("changes", ()):
        line = lines.setdefault(str(change["line"]), set())
        line.update((change["before"], change["after"]), change.get("between", ()))
    ordered = {name: tuple(sorted(line, key=Version)) for name, line in lines.items()}
    mainline = ordered.pop(MAINLINE)
    return ReleaseTree(mainline, ordered)


def _staggered(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Put each flag into the lowest free row."""
    column_pixels = min(WIDEST_COLUMN, max(NARROWEST_COLUMN, PAGE_WIDTH / max(1, len(columns))))
    right_edge = column_pixels * len(columns)
    ends = [0.0] * HIGHEST_FLAGS
    return tuple(_raised(column, index * column_pixels, right_edge, ends) for index, column in enumerate(columns))


def _raised(column: Column, left: float, right_edge: float, ends: list[float]) -> Column:
    """Place the flag of one column; `ends` says where the flags of each row end so far, and is updated."""
    marker = column.step.marker
    if marker is None:
        return column
    width = FLAG_PIXELS + LETTER_PIXELS * len(marker.says)
    is_mirrored = left + width > right_edge and left >= width
    start = left - width if is_mirrored else left
    level = next((row for row, end in enumerate(ends) if end <= start), len(ends) - 1)
    ends[level] = start + width
    return Column(Step(column.step.cell, replace(marker, level=level, is_mirrored=is_mirrored)), column.branch)
