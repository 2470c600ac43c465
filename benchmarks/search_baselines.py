"""The ways of searching that other tools use, written down as plainly as they are described.

Each takes a trial and a number of workers and says which changes it would report, as pairs of indices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from benchmarks.search_worlds import Asker

Reported = set[tuple[int, int]]


def scan_everything(asker: Asker, workers: int) -> Reported:
    """Run each release once and report every difference."""
    labels = asker.ask(list(range(len(asker.trial.labels))), workers)
    return {(at, at + 1) for at in range(len(labels) - 1) if labels[at] != labels[at + 1]}


def plain_bisect(asker: Asker, workers: int) -> Reported:
    """Run both ends; where they differ, halve on "as the oldest" against "not as the oldest"."""
    last = len(asker.trial.labels) - 1
    old, new = asker.ask([0, last], workers)
    if old == new:
        return set()
    return _halve(0, last, lambda index: asker.ask([index], workers)[0] == old)


def step_back_then_bisect(asker: Asker, workers: int) -> Reported:
    """Go back from the newest release by 1, 2, 4, … until one differs, then halve between the last two."""
    last = len(asker.trial.labels) - 1
    new = asker.ask([last], workers)[0]
    alike, step = last, 1
    while alike > 0:
        index = max(0, last - step)
        if asker.ask([index], workers)[0] != new:
            return _halve(index, alike, lambda at: asker.ask([at], workers)[0] != new)
        alike, step = index, step * 2
    return set()


def majority_vote_bisect(asker: Asker, workers: int) -> Reported:
    """Bisect plainly, each release by the majority of five runs."""
    last = len(asker.trial.labels) - 1

    def vote(index: int) -> str:
        return Counter(sorted(asker.ask([index] * 5, workers))).most_common(1)[0][0]

    old, new = vote(0), vote(last)
    return _halve(0, last, lambda index: vote(index) == old) if old != new else set()


def _halve(low: int, high: int, as_low: Callable[[int], bool]) -> Reported:
    """Return the boundary between a release that is as the low end and one that is not."""
    while high - low > 1:
        middle = (low + high) // 2
        if as_low(middle):
            low = middle
        else:
            high = middle
    return {(low, high)}


BASELINES: dict[str, Callable[[Asker, int], Reported]] = {
    "plain bisect": plain_bisect,
    "scan everything": scan_everything,
    "step back, then bisect": step_back_then_bisect,
    "majority-vote bisect": majority_vote_bisect,
}
