"""The stage that looks for definitions: which changed functions bring the old behaviour back with their old text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.bisection.bridges import Side
from service.bisection.companions import family_of, minor_python
from service.bisection.culprit import (
    CONTROL,
    Culprits,
    Effect,
    Hypothesis,
    HypothesisAnswer,
    Unresolved,
    next_hypothesis,
)
from service.bisection.words import counted
from service.catalog.definitions import ChangedDefinition, lines_of
from service.catalog.sources import SideSources, SourceShelf
from service.causes.candidates import Candidates, answer_of, executed_in, inherited_in, modules_in, unified_diff
from service.causes.explaining import NOT_VERIFIED, Inquiry
from service.causes.trials import RunsFail, Shows, Trial, Trials
from service.errors import NotInstallable, Unavailable

SEPARATE = ("keras", "tensorflow-estimator", "tf-estimator-nightly")
"""Packages that hold parts of TensorFlow where they are numbered like it."""
MOST_NAMED = 5
"""Definitions of a set that is not known to be smallest."""
CONFIRMING = 1
"""The number of the container that confirms."""
NOTES: Mapping[Effect, str] = {
    "none": "without it the new behaviour stays",
    "raises": "without it the others raise",
    "another": "without it the others show a third behaviour",
    "lost": "",
    "restored": "",
}

MakeTrials = Callable[[Inquiry], Trials]


@dataclass
class Definitions:
    """Looks for the definitions behind a change of the release itself."""

    shelf: SourceShelf
    trials: MakeTrials
    name: str = "definitions"

    def __call__(self, inquiry: Inquiry) -> None:
        """Look, as far as the budget goes; what cannot be had is said and ends the stage."""
        if inquiry.found["axis"] not in ("release", "unknown"):
            return
        trials = self.trials(inquiry)
        try:
            self._search(inquiry, trials)
        except (NotInstallable, Unavailable) as error:
            inquiry.unfinished(self.name, error.message)
        finally:
            trials.end()

    def _search(self, inquiry: Inquiry, trials: Trials) -> None:
        inquiry.tell("the sources of both releases")
        before, after = (self._sources(inquiry, side) for side in SIDES)
        candidates = traced(trials, before, after, inquiry)
        if candidates is None:
            said = "The script could not be traced: its behaviour is another one while it is watched."
            inquiry.done(self.name, said, trials.used)
            return
        search = DefinitionSearch(trials, candidates, inquiry)
        finding = search.finding()
        if isinstance(finding, Culprits):
            finding = search.confirmed(finding) if is_narrow(finding) else Unresolved("budget", finding.definitions)
        inquiry.found.update(definitions=[], verified=dict(NOT_VERIFIED))
        if isinstance(finding, Unresolved) and finding.reason == "candidates" and not candidates.outside:
            inquiry.found["below_python"] = True
        if isinstance(finding, Culprits):
            inquiry.found["definitions"] = [definition_json(each, candidates, finding) for each in finding.definitions]
            inquiry.found["verified"] = {
                "reverting_restores": True,
                "transplanting_reproduces": search.transplanted(finding),
            }
        inquiry.found["unresolved"].update(unresolved_json(finding, candidates))
        inquiry.done(self.name, said_of(finding, candidates, search.tried, inquiry), trials.used)

    def _sources(self, inquiry: Inquiry, side: Side) -> SideSources:
        """Return the sources of the package on one side, with those parts of it that have names of their own."""
        crossing, package = inquiry.place.crossing, inquiry.place.package
        report = crossing.reports[side]
        release = crossing.release(side)
        differ = crossing.environment.parts
        family = family_of(differ, crossing.before, crossing.after) | set(SEPARATE)
        parts = [
            (name, version)
            for name, version in sorted(report.packages.items())
            if name in family and name != package and package.startswith(("tensorflow", "tf-"))
        ]
        own = next((name for name in report.packages if name in (package, f"{package}-cpu")), package)
        python = minor_python(report.python)
        found = []
        for name, version in [(own, release), *parts]:
            try:
                found.append(self.shelf.sources(name, version, python))
            except NotInstallable:
                if name == own:
                    raise
        return SideSources(tuple(found))


SIDES: tuple[Side, Side] = ("before", "after")


def traced(trials: Trials, before: SideSources, after: SideSources, inquiry: Inquiry) -> Candidates | None:
    """Run both sides once and note what is executed; None if a side behaves like neither or like the other then."""
    found: dict[Side, Shows] = {}
    for side, sources in zip(SIDES, (before, after), strict=True):
        inquiry.tell(f"what {inquiry.place.crossing.release(side)} executes")
        found[side] = trials.shows(Trial(side, traces=True, asked={"roots": list(sources.roots)}))
        if found[side].like != side:
            return None
    told = {side: found[side].told[0] for side in SIDES}
    return Candidates(
        before,
        after,
        executed_in(told["before"]),
        executed_in(told["after"]),
        modules_in(told["before"]),
        modules_in(told["after"]),
    )


class DefinitionSearch:
    """Asks the pure search what to run next, until it has its finding."""

    def __init__(self, trials: Trials, candidates: Candidates, inquiry: Inquiry) -> None:
        self._trials = trials
        self._candidates = candidates
        self._inquiry = inquiry
        self._seen: dict[Hypothesis, HypothesisAnswer] = {}

    @property
    def tried(self) -> int:
        """Return how many hypotheses were run or known."""
        return len(self._seen)

    def finding(self) -> Culprits | Unresolved:
        if not self._candidates.all:
            return Unresolved("candidates")
        control = self._trial(CONTROL)
        self._seen[CONTROL] = answer_of(control, self._candidates, CONTROL)
        groups = self._candidates.groups(inherited_in(control.told))
        number = sum(map(len, groups))
        self._inquiry.tell(f"{counted(number, 'changed definition')} of those that were executed can be swapped")
        while isinstance(step := next_hypothesis(groups, self._seen, self._inquiry.budget), frozenset):
            self._seen[step] = answer_of(self._trial(step), self._candidates, step)
            told = self._seen[step]
            detail = f", {told.detail}" if told.detail else ""
            self._inquiry.tell(f"[{self.tried}] {counted(len(step), 'definition')}: {told.effect}{detail}")
        return step

    def confirmed(self, found: Culprits) -> Culprits | Unresolved:
        """Return the culprits if another container shows the same, with another hash seed; else none is named."""
        self._inquiry.tell("the same in a fresh container")
        ids = frozenset(found.definitions)
        again = answer_of(self._trial(ids, fresh=CONFIRMING), self._candidates, ids)
        return found if again.effect == "restored" else Unresolved("unconfirmed", found.definitions)

    def transplanted(self, found: Culprits) -> bool | None:
        """Say whether the older release shows the new behaviour with the new text; None if it cannot run with it."""
        self._inquiry.tell("the new text in the older release")
        try:
            shows = self._trial(frozenset(found.definitions), side="before")
        except RunsFail:
            return None
        if shows.like == "after":
            return True
        return False if shows.like == "before" else None

    def _trial(self, ids: Hypothesis, *, side: Side = "after", fresh: int = 0) -> Shows:
        asked = self._candidates.asked(ids, side)
        return self._trials.shows(Trial(side, tuple(sorted(ids)), asked, fresh=fresh))


def is_narrow(found: Culprits) -> bool:
    """Say whether what was found is small enough to be named: where the budget ended early, most of it is innocent."""
    return found.minimal or len(found.definitions) <= MOST_NAMED


def definition_json(name: str, candidates: Candidates, finding: Culprits) -> dict[str, Any]:
    """Return a culprit in the form of the contract."""
    changed = candidates.by_id[name]
    shown = changed.shown
    old, new = (side_lines(changed, candidates, side) for side in SIDES)
    wheel = (candidates.after if changed.after else candidates.before).owner(shown.file)
    return {
        "module": shown.module,
        "name": changed.name,
        "file": shown.file,
        "line": shown.line,
        "end": shown.end,
        "kind": changed.kind,
        "before": None if changed.before is None else {"file": changed.before.file, "line": changed.before.line},
        "package": wheel.package,
        "release": wheel.release,
        "licence": wheel.licence,
        "digest": changed.id,
        "diff": unified_diff(old, new, (f"{changed.name} before", f"{changed.name} after")),
        "note": NOTES[finding.without.get(name, "lost")],
    }


def side_lines(changed: ChangedDefinition, candidates: Candidates, side: Side) -> Sequence[str]:
    """Return the lines of a definition on one side; none where it is not there."""
    found = changed.before if side == "before" else changed.after
    sources = candidates.before if side == "before" else candidates.after
    return [] if found is None else lines_of(sources.text(found.file), found)


def unresolved_json(finding: Culprits | Unresolved, candidates: Candidates) -> dict[str, Any]:
    """Return, by number, what no hypothesis could tell anything of."""
    said = {"left_out": 0, "among": 0, "statements_outside_functions": candidates.outside}
    if isinstance(finding, Unresolved) and finding.reason != "unconfirmed":
        # Where the budget ended, what is left of the search holds the culprits; else it could not be tried.
        said["among" if finding.reason == "budget" else "left_out"] = len(finding.left_out)
    return said


def said_of(finding: Culprits | Unresolved, candidates: Candidates, tried: int, inquiry: Inquiry) -> str:
    """Say in a sentence what came of the search."""
    before, after = inquiry.place.crossing.place
    pool = f"{counted(candidates.executed, 'definition')} executed, {len(candidates.all)} of them differ, "
    pool += f"{counted(tried, 'hypothesis', 'hypotheses')} tried"
    if isinstance(finding, Culprits):
        names = " and ".join(candidates.by_id[each].name for each in finding.definitions)
        least = "" if finding.minimal else " (fewer may do: the budget ended)"
        return f"With the text that {names} had in {before}, {after} behaves as {before} does{least}: {pool}."
    reasons = {
        "control": f"Not found: {after} behaves otherwise as soon as functions of {before} are added to it",
        "nothing": f"Not found: no set of old definitions brings the behaviour of {before} back",
        "budget": "Not found within the budget",
        "candidates": "No definition that the script executes differs: it is below Python, or outside functions",
        "unconfirmed": "Not confirmed: a fresh container does not show what the first one showed",
    }
    left = f"; {len(finding.left_out)} could not have their old text" if finding.left_out else ""
    if finding.reason == "budget" and finding.left_out:
        left = f"; it is among {len(finding.left_out)}, and a larger budget narrows them down"
    if finding.reason == "unconfirmed":
        left = ""
    outside = f"; {counted(candidates.outside, 'statement')} outside functions differ and cannot be swapped"
    return f"{reasons[finding.reason]}: {pool}{left}{outside if candidates.outside else ''}."
