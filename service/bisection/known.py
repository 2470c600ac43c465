"""What the observations say of a history: a reading per release, along the mainline and the branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from service.bisection.confidence import Sighting, likeliest_labels
from service.bisection.likeness import read_together
from service.bisection.lines import Line, default_resolution, line_of, starting_with
from service.bisection.outcomes import Answer, Untestable
from service.bisection.policy import Policy
from service.bisection.releases import MAINLINE, ReleaseTree
from service.bisection.settling import UNREAD, Reading, needed_lead, pooled_noise, read_answers, tally


@dataclass(frozen=True)
class Known:
    """What planning and verdicts are computed from."""

    tree: ReleaseTree
    policy: Policy
    resolution: int
    readings: Mapping[str, Reading]
    noise: float
    mainline: Line
    branches: tuple[Line, ...]
    """The branches in use; each starts at its mainline release."""
    asked: frozenset[str] = frozenset()
    """Names of the branches that the policy asks for; the others are included because something is known of them."""

    def reading(self, release: str) -> Reading:
        return self.readings.get(release, UNREAD)

    @property
    def lines(self) -> tuple[Line, ...]:
        """Return every line in use, the mainline first."""
        return (self.mainline, *self.branches)

    def answers_beside(self, flaky: bool) -> int:
        """Return how many agreeing answers a neighbour of a change needs; more if one of the sides is flaky.

        Flaky releases come in rows too, and one of them may well answer alike a few times.
        """
        needed = max(self.policy.confirmations, needed_lead(self.policy.false_alarm_rate, self.noise))
        if flaky:
            needed = max(needed, ceil(-log2(self.policy.false_alarm_rate)))
        return min(needed, self.policy.max_repeats)

    @property
    def survey_answers(self) -> int:
        """Return how many agreeing answers a release of the survey needs."""
        return max(self.policy.repeats, needed_lead(self.policy.miss_rate, self.noise))

    def lacking(self, release: str, needed: int) -> int:
        """Return how many more answers a release needs; 0 if it settled after a dispute, or is exhausted."""
        reading = self.reading(release)
        if reading.exhausted or reading.disputed or len(reading.tally.counts) > 1:
            return 0
        return max(0, needed - reading.tally.outcomes)

    @property
    def refused(self) -> bool:
        """Return whether the snippet itself is at fault: refused often enough, and nothing else was seen."""
        if any(reading.tally.counts for reading in self.readings.values()):
            return False
        return sum(reading.gap == "refused" for reading in self.readings.values()) >= self.policy.max_refused


def look(tree: ReleaseTree, observations: Mapping[str, Sequence[Answer]], policy: Policy) -> Known:
    """Read the observations of a history's releases; others are ignored.

    What has nothing to install is untestable without a run.
    """
    given: dict[str, Sequence[Answer]] = {release: [Untestable(why)] for release, why in tree.unbuilt.items()}
    given |= {release: observations[release] for release in tree.all() if observations.get(release)}
    answers = read_together({release: given[release] for release in tree.all() if release in given})
    tallies = {release: tally(given) for release, given in answers.items()}
    noise = pooled_noise(tallies.values(), policy.noise)
    readings = {release: read_answers(counted, noise, policy) for release, counted in tallies.items()}
    if any(reading.contested for reading in readings.values()):
        readings = _as_the_line_says(tree, readings)
    resolution = policy.resolution or default_resolution(len(tree.mainline) - len(tree.unbuilt), policy.survey_runs)
    mainline = line_of(MAINLINE, tree.mainline, readings)
    asked = asked_branches(tree, mainline, policy)
    branches = _branch_lines(tree, mainline, readings, asked) if policy.branches != "none" else ()
    return Known(tree, policy, resolution, readings, noise, mainline, branches, asked)


def _as_the_line_says(tree: ReleaseTree, readings: dict[str, Reading]) -> dict[str, Reading]:
    """Give each contested release the label that is most likely given its whole line."""
    labels = sorted({label for reading in readings.values() for label in reading.tally.counts})
    settled = dict(readings)
    for releases in tree.lines().values():
        found = [(at, readings[release]) for at, release in enumerate(releases) if release in readings]
        sightings = [
            Sighting(at, reading.tally.counts, reading.label, reading.tally.processes)
            for at, reading in found
            if reading.label
        ]
        contested = [at for at, reading in found if reading.contested]
        for at, label in likeliest_labels(sightings, labels, len(releases), contested).items():
            settled[releases[at]] = replace(readings[releases[at]], label=label)
    return settled


def _branch_lines(
    tree: ReleaseTree, mainline: Line, readings: Mapping[str, Reading], asked: frozenset[str]
) -> tuple[Line, ...]:
    """Return the branches that are asked for, and those with observations."""
    at = {release: index for index, release in enumerate(mainline.releases)}
    lines = []
    for name, releases in tree.branches.items():
        if name in asked or any(release in readings for release in releases[1:]):
            line = line_of(name, releases, readings)
            lent = None if line.tried(0) else mainline.inferred_label(at[releases[0]])
            lines.append(starting_with(line, lent))
    return tuple(lines)


def asked_branches(tree: ReleaseTree, mainline: Line, policy: Policy) -> frozenset[str]:
    """Return the branches that the policy asks for, as far as the mainline is known."""
    if policy.branches == "none" or not tree.branches:
        return frozenset()
    if policy.branches == "all" or len(tree.mainline) == 1:
        return frozenset(tree.branches)  # Within one minor there is nothing but the branch.
    wanted = {mainline.releases[index] for index in _telling(mainline, policy)}
    return frozenset(name for name, releases in tree.branches.items() if releases[0] in wanted)


def _telling(mainline: Line, policy: Policy) -> set[int]:
    """Return the mainline releases that border a pinned change or have a wrong outcome."""
    found: set[int] = {index for index in mainline.measured if policy.calls_wrong(mainline.labels[index])}
    for left, right in mainline.neighbours():
        if mainline.labels[left] == mainline.labels[right] and policy.calls_wrong(mainline.labels[left]):
            found.update(range(left, right + 1))
    for bracket in mainline.brackets():
        if bracket.pinned:
            found.update(range(bracket.before, bracket.after + 1))
    return found
