"""Searches several aspects for changes at once: each is planned separately, and they share their runs.

Every run shows all aspects, so a run that one of them needs also serves the others. The promise of the resolution holds
for each, and a place where several aspects change costs no more than one change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from service.bisection.facts import TOLERANCE, Aspects, Facts
from service.bisection.likeness import close, groups, is_number
from service.bisection.outcomes import Answer, Lost, Outcome, Reported, Untestable
from service.bisection.planner import NextRuns, PlannedRun, current_verdict, plan
from service.bisection.policy import Policy
from service.bisection.releases import ReleaseTree
from service.bisection.samples import RATIOS, Sampling
from service.bisection.settling import FLAKY
from service.bisection.verdict import Verdict, changes_of

ENDS = "ends"
LIKE = "as in "
"""Begins the label of a behaviour that has no name but the first release that showed it."""
LOOKS = 2
"""Runs of a release, with different seeds, before it is compared with another."""
DRIFT_CHANGES = 4
DRIFT_SHARE = 0.5
"""An aspect that changes more often than this, and between more than this share of measured neighbours, drifts. A
search would measure every release and say no more than a table."""
NOT_SHOWN = "this run does not show it"
PASSED = Facts((("exit code", 0),))
QUOTED = 120


@dataclass(frozen=True)
class RunFacts:
    """One run of a release: its answer, and the facts of each aspect."""

    answer: Answer
    aspects: Aspects


Runs = Mapping[str, Sequence[RunFacts]]
"""Each release's runs in the order in which they were planned."""


@dataclass(frozen=True)
class AspectVerdict:
    """What is known of one aspect."""

    name: str
    sampling: Sampling
    answers: Mapping[str, Sequence[Answer]]
    """What each run means for this aspect."""
    drifts: bool
    """It changes nearly everywhere, so it is not searched further."""
    tree: ReleaseTree
    policy: Policy

    @cached_property
    def verdict(self) -> Verdict:
        """Return the verdict on this aspect so far; computed only when needed."""
        return current_verdict(self.tree, self.answers, self.policy)

    @property
    def is_named(self) -> bool:
        """Say whether its behaviours have names of their own."""
        return _is_named(self.sampling)

    @property
    def shown(self) -> bool:
        """Say whether any release shows it."""
        return any(isinstance(answer, Outcome) for answers in self.answers.values() for answer in answers)

    @property
    def searched(self) -> bool:
        """Say whether runs are planned for it; how a run ends is always searched."""
        return self.name == ENDS or (self.shown and not self.drifts)


@dataclass(frozen=True)
class AspectSearch:
    """What is known of all aspects, and the next runs; None once every aspect has its verdict."""

    aspects: tuple[AspectVerdict, ...]
    """`ends` first, the others in the order of the runs."""
    next: NextRuns | None


def search(tree: ReleaseTree, runs: Runs, policy: Policy) -> AspectSearch:
    """Say what is known of every aspect, and what to run next.

    Args:
        tree: the history.
        runs: what was run so far.
        policy: what is promised for each aspect, and the limits.
    """
    shown = {release: runs[release] for release in tree.all() if _looked_at(runs.get(release, ()), policy)}
    found = tuple(_aspect(tree, shown, name, policy) for name in aspect_names(shown))
    planned = (plan(tree, aspect.answers, aspect.policy) for aspect in found if aspect.searched)
    steps = [step for step in planned if isinstance(step, NextRuns)]
    return AspectSearch(found, _merged(steps, runs) if steps else None)


def _aspect(tree: ReleaseTree, runs: Runs, name: str, policy: Policy) -> AspectVerdict:
    """Return what is known of one aspect."""
    sampling = _sampling(runs, name)
    answers = _answers(runs, name, sampling)
    # Only a behaviour that has a name can be the expected one.
    policy = policy if _is_named(sampling) else replace(policy, expected=frozenset())
    return AspectVerdict(name, sampling, answers, _drifts(tree, answers), tree, policy)


def _is_named(sampling: Sampling) -> bool:
    """Say whether an aspect's behaviours have names of their own, such as a test's result."""
    return any(facts.label for several in sampling.runs.values() for facts in several)


def aspect_names(runs: Runs) -> tuple[str, ...]:
    """Return the aspects that any run shows, `ends` first."""
    named = (name for several in runs.values() for run in several for name in run.aspects)
    return tuple(dict.fromkeys((ENDS, *named)))


def _looked_at(runs: Sequence[RunFacts], policy: Policy) -> bool:
    """Say whether a release ran as often as a comparison needs, or cannot.

    A release that cannot answer is not run again.
    """
    outcomes = sum(isinstance(run.answer, Outcome) for run in runs)
    lost = sum(isinstance(run.answer, Lost) for run in runs)
    hopeless = any(isinstance(run.answer, Lost) and run.answer.hopeless for run in runs)
    cannot = any(not isinstance(run.answer, Outcome | Lost) for run in runs)
    return outcomes >= LOOKS or cannot or hopeless or lost >= policy.max_lost


def _merged(steps: Sequence[NextRuns], runs: Runs) -> NextRuns:
    """Merge the runs of all aspects: those that most aspects need come first."""
    now = _looks(_most_wanted([step.runs for step in steps]), runs)
    then = [run for run in _looks(_most_wanted([step.then for step in steps]), runs) if run not in now]
    at_least = max(len(now) + len(then), *(step.planned_at_least for step in steps))
    return NextRuns(tuple(now), at_least, tuple(then))


def _most_wanted(wishes: Sequence[Sequence[PlannedRun]]) -> list[PlannedRun]:
    """Return each run once: first those that most aspects need, then by their place in each aspect's order."""
    counted = Counter((run.release, run.repeat) for wished in wishes for run in wished)
    in_turn = sorted(
        ((place, aspect, run) for aspect, wished in enumerate(wishes) for place, run in enumerate(wished)),
        key=lambda entry: (-counted[entry[2].release, entry[2].repeat], entry[0], entry[1]),
    )
    kept: dict[tuple[str, int], PlannedRun] = {}
    for _, _, run in in_turn:
        kept.setdefault((run.release, run.repeat), run)
    return list(kept.values())


def _looks(wanted: Sequence[PlannedRun], runs: Runs) -> list[PlannedRun]:
    """Return the wanted runs; the first time, a release runs as often as a comparison needs."""
    return [look for run in wanted for look in _looks_of(run, runs.get(run.release, ()))]


def _looks_of(run: PlannedRun, before: Sequence[RunFacts]) -> Iterator[PlannedRun]:
    """Yield a run, or the runs that a first comparison lacks."""
    if run.repeat:
        yield run
        return
    answered = sum(not isinstance(one.answer, Lost) for one in before)
    for repeat in range(answered, LOOKS):
        yield replace(run, repeat=repeat)


def labels_in_aspect(runs: Runs, name: str) -> dict[str, list[str]]:
    """Return the labels of each release's runs in one aspect, compared with each other; none where it is not shown.

    Args:
        runs: of releases, or of anything else that runs are compared of.
        name: the aspect's.
    """
    answers = _answers(runs, name, _sampling(runs, name))
    return {
        release: [answer.label for answer in several if isinstance(answer, Outcome)]
        for release, several in answers.items()
    }


def _sampling(runs: Runs, name: str) -> Sampling:
    """Return the facts of an aspect from every run that shows it."""
    facts = {release: [_facts(run, name) for run in several] for release, several in runs.items()}
    kept = {release: [each for each in found if each is not None] for release, found in facts.items()}
    return Sampling({release: found for release, found in kept.items() if found}, RATIOS.get(name))


def _facts(run: RunFacts, name: str) -> Facts | None:
    """Return a run's facts of an aspect that some run shows; None if it cannot show any, such as after an error.

    A run that ended well without facts, such as without a warning, shows that there are none.
    """
    nothing = Facts(()) if name not in RATIOS and run.aspects.get(ENDS) == PASSED else None
    return run.aspects.get(name, nothing)


def _answers(runs: Runs, name: str, sampling: Sampling) -> dict[str, list[Answer]]:
    """Return what each run of each release means for one aspect."""
    if name == ENDS:
        return _endings(runs)
    label_of = {release: f"{LIKE}{group[0]}" for group in sampling.groups for release in group}
    return {
        release: [_shown(run, name, label_of.get(release, "")) for run in several] for release, several in runs.items()
    }


def _shown(run: RunFacts, name: str, label: str) -> Answer:
    """Return what a run means for an aspect; how it ended is a separate aspect."""
    if not isinstance(run.answer, Outcome):
        return run.answer
    facts = _facts(run, name)
    return Outcome(facts.label or label, process=run.answer.process) if facts is not None else Untestable(NOT_SHOWN)


def _endings(runs: Runs) -> dict[str, list[Answer]]:
    """Return how each run ended, with equal labels for like endings: a script that sometimes fails is flaky."""
    changing = _changing_numbers(runs)
    read = {release: [_ending(run, changing) for run in several] for release, several in runs.items()}
    labels = _labels_of_endings([one for several in read.values() for one in several if isinstance(one, Outcome)])
    return {release: [_named(answer, labels) for answer in several] for release, several in read.items()}


def _ending(run: RunFacts, changing: frozenset[str]) -> Answer:
    """Return how a run ended, without the numbers that vary between runs."""
    if not isinstance(run.answer, Outcome):
        return run.answer
    facts = run.aspects.get(ENDS, Facts(()))
    kept = tuple((name, value) for name, value in facts.values if name not in changing)
    return replace(run.answer, reported=Reported(kept or (("label", run.answer.label),), facts.tolerance))


def _changing_numbers(runs: Runs) -> frozenset[str]:
    """Return the numbers in messages that vary between runs of a release, such as what an assertion measured."""
    found = set()
    for several in runs.values():
        shown = [dict(run.aspects[ENDS].values) for run in several if ENDS in run.aspects]
        for one, other in pairwise(shown):
            found |= {
                name
                for name in one.keys() & other.keys()
                if name.startswith("message") and is_number(one[name]) and not close(one[name], other[name], TOLERANCE)
            }
    return frozenset(found)


def _labels_of_endings(outcomes: Sequence[Outcome]) -> dict[Reported, str]:
    """Return a label for each ending; a longer one if two endings raise the same but differ otherwise."""
    first: dict[Reported, Outcome] = {}
    for outcome in outcomes:
        if outcome.reported is not None:
            first.setdefault(outcome.reported, outcome)
    labels: dict[Reported, str] = {}
    grouped = groups(list(first))
    taken = Counter(first[group[0]].label for group in grouped)
    for place, group in enumerate(grouped, start=1):
        told = min((first[reported] for reported in group), key=lambda outcome: (outcome.label, outcome.detail))
        label = told.label
        if taken[label] > 1:
            label = f"{label}: {' '.join(told.detail.split())[:QUOTED]}"
            label = label if label not in labels.values() else f"{label} ({place})"
        labels.update(dict.fromkeys(group, label))
    return labels


def _named(answer: Answer, labels: Mapping[Reported, str]) -> Answer:
    """Return an ending under the label that it shares with like endings."""
    if not isinstance(answer, Outcome) or answer.reported is None:
        return answer
    return replace(answer, label=labels[answer.reported], reported=None)


def _drifts(tree: ReleaseTree, answers: Mapping[str, Sequence[Answer]]) -> bool:
    """Say whether an aspect changes nearly everywhere."""
    labels = [
        next((answer.label for answer in answers.get(release, ()) if isinstance(answer, Outcome)), None)
        for release in tree.mainline
    ]
    measured = [label for label in labels if label is not None and label != FLAKY]
    changes = sum(one != other for one, other in pairwise(measured))
    return changes > DRIFT_CHANGES and changes > DRIFT_SHARE * (len(measured) - 1)


def changes_in(aspect: AspectVerdict) -> int:
    """Return how many changes an aspect shows; 0 if it drifts."""
    return 0 if aspect.drifts else len(changes_of(aspect.verdict))
