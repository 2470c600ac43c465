"""One line of history, mainline or branch, with its readings: what to run next, and where it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, log2

from service.bisection.settling import UNREAD, Reading

# Untestable releases cluster. A gap counts as closed once its two ends and log2 of its size have been tried, so
# that gaps of up to five releases are tried in full and one of a hundred with nine runs.
GAP_TRIES = 2
NEAR_TIP = 3  # Up to this many patches are tried newest first; more are halved.


@dataclass(frozen=True)
class Stretch:
    """Neighbouring untried releases of a line, first and last index included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def split(self, points: int) -> list[int]:
        """Return `points` indices that cut the stretch into nearly equal pieces."""
        points = min(points, len(self))
        return [self.first - 1 + (part * (len(self) + 1)) // (points + 1) for part in range(1, points + 1)]


@dataclass(frozen=True)
class Bracket:
    """Two measured releases that differ, with nothing measured between them."""

    before: int
    after: int
    stretches: tuple[Stretch, ...]
    """Where a run could narrow it; empty when the change is pinned, or waits for a disputed release."""
    disputed: bool = False

    def __len__(self) -> int:
        return sum(len(stretch) for stretch in self.stretches)

    @property
    def pinned(self) -> bool:
        """Return whether no run can narrow it any more."""
        return not self.stretches and not self.disputed


@dataclass(frozen=True)
class Line:
    """A line with its readings; index 0 is the oldest release."""

    name: str
    releases: tuple[str, ...]
    labels: tuple[str | None, ...]
    gaps: tuple[bool, ...]
    disputed: tuple[bool, ...]
    measured: tuple[int, ...] = field(default=())
    """Indices of the releases with a label."""

    def __len__(self) -> int:
        return len(self.releases)

    def tried(self, index: int) -> bool:
        """Return whether anything is known of a release."""
        return self.labels[index] is not None or self.gaps[index] or self.disputed[index]

    def neighbours(self) -> Iterator[tuple[int, int]]:
        """Return each pair of measured releases with nothing measured between them."""
        return pairwise(self.measured)

    def brackets(self) -> list[Bracket]:
        """Return every pair of measured neighbours that differ, oldest first."""
        return [
            Bracket(left, right, *self._between(left, right))
            for left, right in self.neighbours()
            if self.labels[left] != self.labels[right]
        ]

    def _between(self, left: int, right: int) -> tuple[tuple[Stretch, ...], bool]:
        """Return where a run between two releases would be informative, and whether a dispute must settle first."""
        if any(self.disputed[left + 1 : right]):
            return (), True
        edges = self.edges(left, right)
        return tuple(edges) or self._inside_gap(left, right), False

    def edges(self, left: int, right: int) -> list[Stretch]:
        """Return the untried stretches between two measured releases, without the inside of a gap."""
        gaps = [index for index in range(left + 1, right) if self.gaps[index]]
        first, last = (gaps[0], gaps[-1]) if gaps else (right, right)
        pieces = [Stretch(left + 1, first - 1), *([Stretch(last + 1, right - 1)] if gaps else [])]
        return [piece for piece in pieces if len(piece) > 0]

    def _inside_gap(self, left: int, right: int) -> tuple[Stretch, ...]:
        """Return the largest untried stretch within a gap, until enough of it was tried."""
        gaps = [index for index in range(left + 1, right) if self.gaps[index]]
        if len(gaps) < 2 or len(gaps) >= GAP_TRIES + ceil(log2(gaps[-1] - gaps[0] + 1)):
            return ()
        stretches = [Stretch(near + 1, far - 1) for near, far in pairwise(gaps) if far > near + 1]
        return (max(stretches, key=len),) if stretches else ()

    def inferred_label(self, index: int) -> str | None:
        """Return the outcome of a release that is measured, or lies between two measured ones that agree."""
        if self.labels[index] is not None:
            return self.labels[index]
        before = [at for at in self.measured if at < index]
        after = [at for at in self.measured if at > index]
        if before and after and self.labels[before[-1]] == self.labels[after[0]]:
            return self.labels[before[-1]]
        return None


def line_of(name: str, releases: Sequence[str], readings: Mapping[str, Reading]) -> Line:
    """Return a line with its readings."""
    found = [readings.get(release, UNREAD) for release in releases]
    labels = tuple(reading.label for reading in found)
    return Line(
        name,
        tuple(releases),
        labels,
        tuple(reading.gap is not None for reading in found),
        tuple(reading.disputed for reading in found),
        tuple(index for index, label in enumerate(labels) if label is not None),
    )


def starting_with(line: Line, label: str | None) -> Line:
    """Return a branch whose first release has the outcome inferred from the mainline."""
    if label is None or not line.releases or line.tried(0):
        return line
    return Line(line.name, line.releases, (label, *line.labels[1:]), line.gaps, line.disputed, (0, *line.measured))


def default_resolution(count: int, survey_runs: int) -> int:
    """Return the finest resolution whose survey of that many mainline releases costs at most that many runs."""
    return max(1, ceil((count - 1) / max(1, survey_runs - 1)))


def survey_wants(line: Line, resolution: int) -> list[int]:
    """Return the releases that must still be run to keep the promise, the most informative first.

    Every `resolution` releases in a row hold one that was tried, the two ends are tried, and between two measured
    releases that agree fewer than `resolution` others are left, the inside of gaps not counted.
    """
    if not line.releases:
        return []
    steps = list(_walk(line, resolution))
    wanted = {index for index in steps if not line.tried(index)}
    around_gaps = [index for index in _gap_wants(line, resolution, wanted) if index not in wanted]
    return [*(index for index in coarse_to_fine(steps) if index in wanted), *around_gaps]


def survey_posts(line: Line, resolution: int) -> list[int]:
    """Return the measured releases that the promise rests on: the ends, and the steps of the survey."""
    return [index for index in _walk(line, resolution) if line.labels[index] is not None]


def _walk(line: Line, resolution: int) -> Iterator[int]:
    """Walk the line from end to end in steps of at most `resolution`, over releases already tried where there are any.

    Starting at the oldest release keeps the steps where they are when a newer release comes out.
    """
    last, at = len(line) - 1, 0
    yield 0
    while at < last:
        reach = min(at + resolution, last)
        tried = next((index for index in range(reach, at, -1) if line.tried(index)), reach)
        at = last if reach == last else tried
        yield at


def _gap_wants(line: Line, resolution: int, grid: set[int]) -> list[int]:
    """Return the runs that are missing around gaps."""
    wanted = []
    posts = [-1, *line.measured, len(line)]
    for left, right in pairwise(posts):
        inner = left >= 0 and right < len(line)
        if inner and line.labels[left] != line.labels[right]:
            continue  # The bracket is narrowed from both sides in any case.
        if not any(line.gaps[left + 1 : right]) or any(index in grid for index in range(left + 1, right)):
            continue
        edges = line.edges(left, right)
        # At an end of the line only the side towards a measured release can hide a behaviour; the other is no edge.
        if sum(len(edge) for edge in edges) >= resolution:
            wanted.append(max(edges, key=len).split(1)[0])
    return wanted


def tip_wants(line: Line) -> list[int]:
    """Return the run that finds the newest release of a branch that can be tested; empty once it is known."""
    top = len(line) - 1
    if not line.tried(top):
        return [top]
    if not line.gaps[top]:
        return []
    newest = max(line.measured, default=0)
    gap = next(index for index in range(newest + 1, top + 1) if line.gaps[index])
    untried = Stretch(newest + 1, gap - 1)
    if len(untried) == 0 or any(line.disputed[newest + 1 : gap]):
        return []
    return [untried.last] if len(untried) <= NEAR_TIP else untried.split(1)


def coarse_to_fine(wanted: list[int]) -> list[int]:
    """Order indices from coarse to fine: the ends, the middle, the quarters."""
    if len(wanted) <= 2:
        return wanted
    chosen = sorted(wanted)
    order = [chosen[0], chosen[-1]]
    level = [(0, len(chosen) - 1)]
    while level:
        halves = []
        for low, high in level:
            middle = (low + high) // 2
            if low < middle < high:
                order.append(chosen[middle])
                halves += [(low, middle), (middle, high)]
        level = halves
    return order
