"""The stage of changes to and from errors: which of seven kinds, and the smallest edit that runs on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.utils import canonicalize_name

from service.bisection.bridges import OTHER_SIDE, Side
from service.bisection.companions import minor_python
from service.bisection.outcomes import RunReport
from service.bisection.repairs import MOST_TRIES, Repair, Tried, repaired
from service.catalog.interfaces import Interface, parsed_tree
from service.catalog.upgrade_tables import UpgradeTables, upgrade_tables
from service.catalog.wheel_sources import PythonSources
from service.causes import errors
from service.causes.defining import CONFIRMING, MakeTrials
from service.causes.edits import edits_for
from service.causes.errors import KINDS, ErrorCause, Raised, error_explained, explained_ending, warned_since
from service.causes.explaining import Inquiry
from service.causes.names_used import imports_of
from service.causes.places import ChangePlace
from service.causes.rewriting import edit_diff
from service.causes.trials import Trial, Trials
from service.errors import NotInstallable, Unavailable

PARTS = ("keras", "tensorflow-estimator")
"""Packages that are parts of TensorFlow under names of their own."""
SLIM = "-cpu"
ANOTHER = "another outcome"


@dataclass(frozen=True)
class BothSides:
    """Which side raises what the other does not."""

    works: Side
    raises: Side
    raised: Raised | None
    """None: the run was ended from outside."""
    ending: str


def both_sides(reports: Mapping[Side, RunReport]) -> BothSides | None:
    """Return which side raises; the newer one where both do; None where none does."""
    for side in ("after", "before"):
        report = reports[side]
        raised = error_in_report(report)
        if raised is not None or report.ending in ("out-of-memory", "timed-out"):
            return BothSides(OTHER_SIDE[side], side, raised, report.ending)
    return None


def error_in_report(report: RunReport) -> Raised | None:
    """Return what a run raised; untrusted."""
    result = report.result or {}
    measured = result.get("measurements")
    raised = result if result.get("kind") == "raised" else None
    if raised is None and isinstance(measured, Mapping):
        raised = measured.get("raised")
    if not isinstance(raised, Mapping) or not raised.get("exception"):
        return None
    line = raised.get("line")
    return Raised(
        str(raised["exception"])[:200],
        str(raised.get("message", ""))[:4000],
        line if isinstance(line, int) and not isinstance(line, bool) else None,
        str(raised.get("traceback", ""))[:16000],
    )


def warnings_in(report: RunReport) -> list[str]:
    measured = (report.result or {}).get("measurements")
    warned = measured.get("warned") if isinstance(measured, Mapping) else None
    rows = warned if isinstance(warned, list) else []
    return [str(row[1]) for row in rows[:500] if isinstance(row, list) and len(row) == 2]


def said(raised: Raised | None) -> str:
    return f"{raised.exception}: {raised.message}" if raised else ""


@dataclass
class Errors:
    """Explains changes to and from errors."""

    sources: PythonSources
    trials: MakeTrials
    name: str = "errors"

    def __call__(self, inquiry: Inquiry) -> None:
        """Say which kind it is, and try edits; where neither side raises, nothing is said."""
        sides = both_sides(inquiry.place.crossing.reports)
        if sides is None:
            return
        trials = self.trials(inquiry)
        try:
            inquiry.tell("the sources of both releases")
            work = Explanation(self.sources, trials, inquiry, sides)
            inquiry.found["error"] = work.found()
            inquiry.done(self.name, error_sentence(inquiry.found["error"]), trials.used)
        except (NotInstallable, Unavailable) as error:
            # Not done: the next request tries again.
            inquiry.tell(f"errors: {error.message}")
            inquiry.found["unresolved"]["errors"] = error.message
            inquiry.keep()
        finally:
            trials.end()


@dataclass
class Explanation:
    """The explanation of one change."""

    sources: PythonSources
    trials: Trials
    inquiry: Inquiry
    sides: BothSides
    raised_by: dict[str, Raised] = field(default_factory=dict)
    """What each script raised on the side that raises."""

    @property
    def place(self) -> ChangePlace:
        return self.inquiry.place

    @property
    def snippet(self) -> str:
        return self.place.crossing.progress.track.snippet

    def found(self) -> dict[str, Any]:
        """Return what is told of the error, with an edit that was tried if there is one."""
        works, raises = self._side(self.sides.works), self._side(self.sides.raises)
        raised = self.sides.raised
        if raised is None:
            cause = explained_ending(self.sides.ending, works, raises)
            return (cause or ErrorCause("unknown", "")).to_json(works.release, raises.release)
        cause = error_explained(raised, self.snippet, works, raises)
        cause = replace(cause, warned_since=warned_since(cause, self._warnings()))
        told = cause.to_json(works.release, raises.release)
        if error_in_report(self.place.crossing.reports[self.sides.works]) is not None:
            return {**told, "edit": None}  # no edit can be seen to keep what never ran
        return {**told, **self._edit(raised, works, raises)}

    def _edit(self, raised: Raised, works: errors.ErrorSide, raises: errors.ErrorSide) -> dict[str, Any]:
        """Return the edit that was found, in the form that is told."""
        tables = upgrade_tables([*works.interface.texts(), *raises.interface.texts()])
        self.raised_by[self.snippet] = raised

        def following(source: str, _said: str) -> Sequence[tuple[str, str]]:
            return list(self._edits(source, works, raises, tables))

        most = max(1, min(MOST_TRIES, self.inquiry.budget // 2))
        repair = repaired(self.snippet, said(raised), following, self._attempt, most)
        if repair.found and not self._confirmed(repair):
            repair = Repair((), self.snippet, repair.tries, partial=repair.titles)
        told: dict[str, Any] = {"edit": None, "edits_tried": repair.tries}
        if repair.found:
            diff = edit_diff(self.snippet, repair.source)
            told["edit"] = {
                "title": " and ".join(repair.titles),
                "diff": diff,
                "runs_in": [works.release, raises.release],
            }
        elif repair.partial:
            told["only_newer"] = " and ".join(repair.partial)
        return told

    def _edits(
        self, source: str, works: errors.ErrorSide, raises: errors.ErrorSide, tables: UpgradeTables
    ) -> Iterator[tuple[str, str]]:
        raised = self.raised_by[source]
        cause = error_explained(raised, source, works, raises)
        for edit in edits_for(cause, raised, source, works, raises, tables):
            yield edit.title, edit.source

    def _attempt(self, source: str) -> Tried:
        """Run a script on the side that raises, and on the other one where that helps."""
        self.inquiry.tell("an edit of the script")
        new = self._ends(source, self.sides.raises)
        if new and new == said(self.sides.raised):
            return Tried("", new)
        return Tried(self._ends(source, self.sides.works), new)

    def _ends(self, source: str, side: Side, fresh: int = 0) -> str:
        """Return what a script raises on a side; "" where it runs."""
        shows = self.trials.shows(Trial(side, snippet=source, fresh=fresh))
        for report in shows.reports:
            raised = error_in_report(report)
            if raised is not None:
                if side == self.sides.raises:
                    self.raised_by[source] = raised
                return said(raised)
            if report.ending != "answered" or (report.result or {}).get("kind") != "measured":
                return report.reason or ANOTHER
        return ""

    def _confirmed(self, repair: Repair) -> bool:
        return not any(self._ends(repair.source, side, fresh=CONFIRMING) for side in OTHER_SIDE)

    def _warnings(self) -> list[tuple[str, list[str]]]:
        """Return what each release up to the one that works warned of, oldest first."""
        progress = self.place.crossing.progress
        taken: dict[str, list[str]] = {}
        for one in progress.taken:
            taken.setdefault(one.release, []).extend(warnings_in(one.report))
        order = [release for release in progress.case.tree.all() if release in taken]
        last = self.place.crossing.release(self.sides.works)
        return [(release, taken[release]) for release in order[: order.index(last) + 1 if last in order else 0]]

    def _side(self, side: Side) -> errors.ErrorSide:
        report = self.place.crossing.reports[side]
        release = self.place.crossing.release(side)
        packages: dict[str, str] = {canonicalize_name(name): version for name, version in report.packages.items()}
        python = minor_python(report.python)
        wheels = [self.sources.of(name, version, python) for name, version in self._wanted(packages, release)]
        major = int(release.partition(".")[0]) if release[:1].isdigit() else 0
        return errors.ErrorSide(release, python, packages, Interface(wheels, major))

    def _wanted(self, packages: Mapping[str, str], release: str) -> Iterator[tuple[str, str]]:
        """Yield the wheels whose names count: the release's own, its parts, and what the script imports."""
        own = canonicalize_name(self.place.package)
        named = own if own in packages else f"{own}{SLIM}"
        yield named, packages.get(named, release)
        tree = parsed_tree(self.snippet)
        modules = {whole.partition(".")[0] for whole in imports_of(tree).values()} if tree is not None else set()
        for name in dict.fromkeys([*PARTS, *sorted(map(canonicalize_name, modules))]):
            if name in packages and name not in (own, named):
                yield name, packages[name]


def error_sentence(error: Mapping[str, Any]) -> str:
    """Say what came of the error in sentences."""
    kind: Any = error["kind"]
    parts = [f"Kind of error: {KINDS[kind]}. {error['said']}"]
    if error.get("warned_since"):
        parts.append(f"{error['warned_since']} and later warned of it.")
    if error.get("place"):
        parts.append(f"The check is at {error['place']}.")
    if edit := error.get("edit"):
        parts.append(f"Edit, tried in {' and '.join(edit['runs_in'])}: {edit['title']}.")
    elif error.get("only_newer"):
        parts.append(f"With {error['only_newer']}, only {error['raises']} takes it.")
    elif error.get("edits_tried"):
        parts.append(f"None of the edits tried ({error['edits_tried']}) runs in both.")
    return " ".join(part for part in parts if part)
