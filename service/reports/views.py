"""What the pages show of a bisection; templates only lay it out."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service.bisection.companions import EnvironmentDifference, between
from service.bisection.releases import MAINLINE, ReleaseTree
from service.bisection.verdict import change_of
from service.bisection.words import additions_in_words, change_in_short
from service.catalog.probes import Probe
from service.catalog.releases import Catalog, CatalogRelease
from service.errors import TfbisectError
from service.reports.aspect_table import AspectTable, aspect_table
from service.reports.causes import CauseCard, cause_cards
from service.reports.dependencies import Dependencies
from service.reports.documents import by_release, is_finished, measurements_of, progress_json
from service.reports.durations import time_left
from service.reports.foresight import Outlook
from service.reports.headlines import sentence_of
from service.reports.links import compare_url, notes_url
from service.reports.pace import run_seconds_left
from service.reports.plots import MOST_SERIES, Plot, draw, label_of, numbers_in, tells_behaviour
from service.reports.questions import question_lines
from service.reports.readings import StoredBisection, verdict_of
from service.reports.timeline import Knowledge, Timeline, timeline_of
from service.storage.records import Bisection, LinkedObservation

REMEMBERED_SECONDS = 300.0
LONGEST_LINE = 170
LONGEST_ROW = 70
"""Maximum length of a verdict on its page and in a list; a longer one is abbreviated."""
NAMED_CHANGES = 4


class KnownReleases:
    """Releases of packages, cached for some minutes; a page never waits for the index."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog.at_rest()
        self._remembered: dict[str, tuple[float, Sequence[CatalogRelease]]] = {}

    def of(self, package: str) -> Sequence[CatalogRelease]:
        """Return a package's releases in version order; none if they are not known."""
        now = time.monotonic()
        kept = self._remembered.get(package)
        if kept is not None and now - kept[0] <= REMEMBERED_SECONDS:
            return kept[1]
        try:
            found = self._catalog.releases(package)
        except TfbisectError:
            return ()  # not cached, since anybody may ask for any name
        self._remembered[package] = (now, found)
        return found

    def dates(self, package: str) -> dict[str, str]:
        """Map each release to the month it came out in."""
        return {release.version: release.uploaded.strftime("%b %Y") for release in self.of(package)}


@dataclass(frozen=True)
class ChangeView:
    change: Mapping[str, Any]
    said: str
    """In a few words."""
    old_tone: str
    new_tone: str
    notes: str
    compare: str | None
    environment: EnvironmentDifference | None
    """None if one of the sides has no stored run."""


@dataclass(frozen=True)
class BisectionView:
    bisection: Bisection
    verdict: Mapping[str, Any]
    timeline: Timeline
    progress: Mapping[str, Any]
    summary: str
    time_left: str
    changes: tuple[ChangeView, ...]
    is_live: bool
    seconds_left: float | None = None
    question: Sequence[tuple[str, str]] = ()
    """What was asked, as label and value."""
    aspects: AspectTable | None = None
    additions: str = ""
    """Which packages stood beside each release, and what they cost."""
    causes: tuple[CauseCard, ...] = ()


class Views:
    def __init__(self, dependencies: Dependencies) -> None:
        self._probes = dependencies.probes
        self.releases = KnownReleases(dependencies.catalog)

    def of(self, reading: StoredBisection, outlook: Outlook | None) -> BisectionView:
        bisection = reading.bisection
        verdict = verdict_of(reading, outlook)
        progress = progress_json(bisection, reading.observations)
        timeline = self.timeline(bisection, verdict, outlook, progress["current"])
        seconds = _seconds_left(reading, progress)
        return BisectionView(
            bisection=bisection,
            verdict=verdict,
            timeline=timeline,
            progress=progress,
            summary=headline(bisection, verdict),
            time_left=time_left(seconds) if seconds is not None else "",
            seconds_left=seconds,
            question=question_lines(bisection.request),
            changes=tuple(self._changes(reading, verdict, timeline)),
            is_live=not is_finished(bisection),
            aspects=aspect_table(verdict),
            additions=" ".join(additions_in_words(verdict.get("additions", ()))),
            causes=cause_cards(verdict),
        )

    def of_verdict(self, verdict: Mapping[str, Any]) -> dict[str, Any]:
        """Return a verdict that no store holds, such as a shipped one, as the first page shows it."""
        probe = self._probes.get(verdict.get("leading", verdict["probe"]["name"]))
        knowledge = Knowledge(
            expected=_expected(verdict, probe),
            outcomes=tuple(probe.outcomes) if probe else (),
            dates=self.releases.dates(verdict["package"]),
        )
        said = sentence_of(verdict, verdict["probe"]["name"]) or str(verdict["summary"])
        return {"verdict": verdict, "sentence": said, "timeline": timeline_of(verdict, knowledge)}

    def timeline(
        self,
        bisection: Bisection,
        verdict: Mapping[str, Any],
        outlook: Outlook | None = None,
        running: Sequence[str] = (),
    ) -> Timeline:
        """Return the timeline of a bisection; a finished one shows the releases of its time."""
        # Where several aspects were looked at, the timeline shows the leading one.
        probe = self._probes.get(verdict.get("leading", "")) or self._probes.get(bisection.probe)
        tree = outlook.tree if outlook else None
        if tree is not None and is_finished(bisection):
            tree = self._of_its_day(tree, bisection)
        knowledge = Knowledge(
            tree=tree,
            running=running,
            expected=_expected(verdict, probe),
            outcomes=tuple(probe.outcomes) if probe else (),
            dates=self.releases.dates(bisection.package) if outlook else {},
        )
        return timeline_of(verdict, knowledge)

    def row(self, bisection: Bisection, outlook: Outlook | None = None) -> dict[str, Any]:
        """Return a bisection as lists show it; a running one with its state so far."""
        verdict = bisection.verdict or (outlook.verdict if outlook else {})
        running = (bisection.progress or {}).get("current", ()) if outlook else ()
        return {
            "bisection": bisection,
            "title": title_of(bisection),
            "summary": headline(bisection, verdict, LONGEST_ROW),
            "timeline": self.timeline(bisection, verdict, outlook, running),
        }

    def _of_its_day(self, tree: ReleaseTree, bisection: Bisection) -> ReleaseTree:
        """Return a tree without the releases that came after a bisection."""
        later = {r.version for r in self.releases.of(bisection.package) if r.uploaded > bisection.created_at}
        return tree.without(later) if later else tree

    def _changes(self, reading: StoredBisection, verdict: Mapping[str, Any], timeline: Timeline) -> list[ChangeView]:
        """Return the changes, each with what differs between the environments of its sides."""
        tones = dict(timeline.legend)
        runs = by_release(reading.observations)
        package = reading.bisection.package
        return [
            ChangeView(
                change=change,
                said=change_in_short(change_of(change)),
                old_tone=tones.get(change["old"], "none"),
                new_tone=tones.get(change["new"], "none"),
                notes=notes_url(package, change["after"]),
                compare=compare_url(package, change["before"], change["after"]),
                environment=_environment(runs, change["before"], change["after"], package),
            )
            for change in verdict.get("changes", ())
        ]


def _expected(verdict: Mapping[str, Any], probe: Probe | None) -> Collection[str]:
    """Return the outcomes that are right; a script that ends well is, though no verdict expects it."""
    known = probe.expected if probe else ()
    said: Collection[str] = verdict.get("expected", known)
    return said or (known if verdict.get("leading") == "ends" else ())


def _environment(
    runs: Mapping[str, list[LinkedObservation]], before: str, after: str, package: str
) -> EnvironmentDifference | None:
    """Return the differences between the environments of two releases, except the releases themselves."""
    if before not in runs or after not in runs:
        return None
    return between(runs[before][0].observation.report, runs[after][0].observation.report, package)


def headline(bisection: Bisection, verdict: Mapping[str, Any], longest: int = LONGEST_LINE) -> str:
    """Return a bisection in one sentence, abbreviated if it would be too long."""
    said = sentence_of(verdict, bisection.probe) or str(verdict.get("summary", ""))
    changes = changes_in_short(verdict.get("changes", ()), verdict.get("leading", ""))
    if len(said) > longest and changes:
        said = changes
    match bisection.status:
        case "queued":
            return "Queued"
        case "running":
            return f"So far: {changes}" if changes else "Looking for changes"
        case "failed":
            return str((bisection.error or {}).get("title") or "No verdict")
        case "cancelled":
            return f"Cancelled. So far: {changes}" if changes else "Cancelled"
    return said or "Done"


def changes_in_short(changes: Sequence[Mapping[str, Any]], aspect: str = "") -> str:
    """Return changes in few words, those of the mainline first; empty if there are none.

    Args:
        changes: of a verdict.
        aspect: which aspect they are of, if there are several.
    """
    mainline = [change for change in changes if change["line"] == MAINLINE]
    said = [change_in_short(change_of(change)) for change in mainline or changes]
    more = len(changes) - len(said[:NAMED_CHANGES])
    words = ", ".join(said[:NAMED_CHANGES]) + (f" and {more} more" if more else "")
    words = f"{aspect}: {words}" if aspect and words else words
    return words[:1].upper() + words[1:]


def title_of(bisection: Bisection) -> str:
    releases = bisection.request.get("releases") or "all releases"
    return f"{bisection.package} {releases}"


def _seconds_left(reading: StoredBisection, progress: Mapping[str, Any]) -> float | None:
    """Return the estimated seconds left, from its own pace as soon as there is one."""
    bisection = reading.bisection
    if is_finished(bisection) or bisection.started_at is None:
        return None
    elapsed = (datetime.now(UTC) - bisection.started_at).total_seconds()
    runs = [(linked.observation.identity.release, linked.reused) for linked in reading.observations]
    planned = int(progress["runs_planned_at_least"])
    at_first = int((bisection.progress or {}).get("runs_planned_at_first", planned))
    return run_seconds_left(elapsed, runs, planned, at_first)


def plot_of(
    reading: StoredBisection, timeline: Timeline, wanted: Sequence[str]
) -> tuple[Plot | None, list[str], list[str]]:
    """Return a plot of measurements over releases, the chosen names, and all names."""
    values: dict[str, dict[str, list[float]]] = {}
    for linked in reading.observations:
        if linked.variant:
            continue
        release = linked.observation.identity.release
        for name, numbers in numbers_in(measurements_of(linked.observation.report)).items():
            if tells_behaviour(name):
                values.setdefault(name, {}).setdefault(release, []).extend(numbers)
    chosen = [name for name in wanted if name in values][:MOST_SERIES] or default_measurements(values)
    if not chosen:
        return None, [], []
    steps = timeline.steps
    tones = {step.cell.release: step.cell.tone for step in steps}
    changes = [(step.marker.change.before, step.marker.change.after) for step in steps if step.marker]
    order = [step.cell.release for step in steps]
    return draw(order, {label_of(name): values[name] for name in chosen}, tones, changes), chosen, sorted(values)


def default_measurements(values: Mapping[str, Any]) -> list[str]:
    """Return the default measurements: training and evaluation if both exist, otherwise the first."""
    pair = [name for name in ("train_losses", "evaluate_losses") if name in values]
    return pair or list(values)[:1]
