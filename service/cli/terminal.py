"""Bisections on a terminal: progress while they run, timeline and verdict at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from packaging.version import Version
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.bisection.outcomes import Answer, Outcome
from service.bisection.releases import MAINLINE
from service.bisection.verdict import all_changes, change_of
from service.bisection.words import (
    additions_in_words,
    answer_text,
    by_reason,
    causes_in_words,
    change_word,
    confidences_in_words,
    counted,
    environments_in_words,
    named,
    place_of,
)
from service.catalog.targets import Target
from service.coordination.intake import Case
from service.coordination.laboratory import Measurement
from service.images.progress import BuildProgress
from service.printable import printable
from service.reports.aspect_table import AspectTable, aspect_table
from service.reports.durations import seconds_left, time_left
from service.reports.estimate import RUN_SECONDS
from service.reports.states import PLACES, STATES, State

DETAIL_LINES = 12
OUTCOME_CHARACTERS = 48
MOST_NAME = 40
"""Columns of an aspect's name."""
STYLES = {"introduced": "bold red", "fixed": "bold green", "changed": "bold yellow"}


def answer_style(answer: Answer | str, expected: frozenset[str]) -> str:
    """Return the colour of an answer; words and signs show it without colour too."""
    label = answer.label if isinstance(answer, Outcome) else answer
    if not isinstance(label, str):
        return "dim"
    return "green" if label in expected else "red"


def release_order(release: str) -> Version:
    return Version(release)


def in_megabytes(size_bytes: int) -> str:
    """Return a size in whole megabytes."""
    return f"{size_bytes / 1e6:.0f} MB"


@contextmanager
def paused(listener: object) -> Iterator[None]:
    """Take a live display away while something is asked."""
    if not isinstance(listener, LiveProgress):
        yield
        return
    listener.stop()
    try:
        yield
    finally:
        listener.start()


class PlainProgress:
    """One line for each answer, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()
        self._building: dict[Target, float] = {}

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *exc: object) -> None:
        """Do nothing."""

    def started(self, case: Case) -> None:
        self._say(case_headline(case))

    def running(self, track: str, release: str) -> None:
        """Do nothing: only answers are printed."""

    def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
        name = f"{measurement.release} [{measurement.track}]" if measurement.track else measurement.release
        self._say(f"[{done}/{planned_at_least}] {name:<12} {answer_text(measurement.answer)}  ({origin(measurement)})")

    def building(self, step: BuildProgress) -> None:
        """Print when the build of an image begins and when it ends."""
        name = f"{step.target.package} {step.target.release}"
        if step.target not in self._building:
            self._building[step.target] = time.monotonic()
            self._say(f"building {name}, about {in_megabytes(step.total_bytes)}")
        if step.step == "done":
            self._say(f"built {name} in {time.monotonic() - self._building.pop(step.target):.0f} s")

    def _say(self, line: str) -> None:
        print(printable(line), file=self._stream, flush=True)


class LiveProgress:
    """A row per release, the current runs, and the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], list[Measurement]] = {}
        self._running: dict[tuple[str, str], float] = {}
        self._building: dict[str, BuildProgress] = {}
        self._expected: frozenset[str] = frozenset()
        self._done = 0
        self._planned = 1
        self._workers = 1
        self._executed_seconds: list[float] = []
        self._title = ""
        self._began = time.monotonic()
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.__exit__(None, None, None)

    def stop(self) -> None:
        """Take the display away for a while."""
        self._live.stop()

    def start(self) -> None:
        """Show the display again."""
        self._live.start()

    def building(self, step: BuildProgress) -> None:
        """Show how far the build of an image is; called from the threads that build."""
        with self._lock:
            if step.step in {"done", "failed"}:
                self._building.pop(step.target.release, None)
            else:
                self._building[step.target.release] = step

    def started(self, case: Case) -> None:
        with self._lock:
            self._title = case_headline(case)
            self._expected = case.policy.expected
            self._workers = max(1, case.policy.workers)

    def running(self, track: str, release: str) -> None:
        with self._lock:
            self._running[track, release] = time.monotonic()

    def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
        key = (measurement.track, measurement.release)
        with self._lock:
            self._running.pop(key, None)
            self._rows.setdefault(key, []).append(measurement)
            self._done, self._planned = done, max(planned_at_least, 1)

    def _render(self) -> RenderableType:
        with self._lock:
            return Group(Text(self._title, style="bold"), self._table(), self._footer())

    def _table(self) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
        waiting = {("", release) for release in self._building}
        for key in sorted({*self._rows, *self._running, *waiting}, key=lambda key: (key[0], release_order(key[1]))):
            table.add_row(*self._row(key))
        return table

    def _row(self, key: tuple[str, str]) -> tuple[Text, Text, Text]:
        name = Text(f"{key[1]} {key[0]}".rstrip())
        answers = self._rows.get(key, [])
        since = self._running.get(key)
        running = STATES["running"]
        note = f"{running.word} {time.monotonic() - since:.0f} s" if since is not None else ""
        if build := self._building.get(key[1]):
            note = f"building: {build.step}, {build.moved_bytes / 1e6:.0f} of {in_megabytes(build.total_bytes)}"
        if not answers:
            return name, Text(running.sign, style=running.style), Text(note, style="dim")
        last = answers[-1]
        shown = Text(printable(answer_text(last.answer)), style=answer_style(last.answer, self._expected))
        return (
            name,
            shown,
            Text(note or origin(last) + (f", run {len(answers)}" if len(answers) > 1 else ""), style="dim"),
        )

    def _footer(self) -> Table:
        footer = Table.grid(padding=(0, 1))
        elapsed = time.monotonic() - self._began
        left = seconds_left(elapsed, self._done, self._planned, self._planned * RUN_SECONDS / self._workers)
        footer.add_row(
            ProgressBar(self._planned, self._done, width=30),
            f"{self._done}/{self._planned}",
            time_left(left),
        )
        return footer


def case_headline(case: Case) -> str:
    releases = case.tree.all()
    ends = f"{releases[0]} to {releases[-1]}" if releases else "no release"
    request = case.request
    return (
        f"{request.package} {ends} on {request.hardware}: probe {case.probe.name}, {counted(len(releases), 'release')}"
    )


def origin(measurement: Measurement) -> str:
    """Return where an answer comes from."""
    if measurement.reused:
        return "reused"
    seconds = measurement.report.seconds.get("total")
    return f"{seconds:.1f} s" if seconds else (measurement.report.runner or "not run")


def verdict_lines(verdict: Mapping[str, Any], expected: frozenset[str], width: int | None = None) -> Iterable[Text]:
    """Yield the timeline and the verdict.

    Args:
        verdict: as JSON.
        expected: the outcomes that its probe expects.
        width: columns that a row of the table of aspects may have; None: any number.
    """
    yield from timeline_lines(verdict, expected_of(verdict, expected))
    yield Text()
    yield Text(printable(str(verdict["summary"])), style="bold")
    if sure := confidences_in_words(verdict):
        yield Text(sure, style="dim")
    yield from detail_lines(verdict)
    yield from aspect_lines(verdict, width)
    for said in causes_in_words(all_changes(verdict)):
        yield Text(f"Cause, {printable(said)}")
    if differs := environments_in_words(verdict):
        yield Text(printable(differs))
    yield from (Text(printable(note), style="dim") for note in verdict.get("notes", ()))
    for variant in verdict.get("variants", ()):
        yield Text(printable(variant["words"]), style="bold green" if variant["effect"] == "cures" else "")
    yield Text(f"Coverage: {printable(verdict['coverage']['statement'])}", style="dim")
    for said in additions_in_words(verdict.get("additions", ())):
        yield Text(printable(said), style="dim")
    yield from unknown_lines(verdict)
    runs = verdict["runs"]
    yield Text(
        f"Runs: {runs['executed']} executed, {runs['reused']} reused, {runs['lost']} lost"
        f" (runner: {verdict['runner']}). Show again: tfbisect show {verdict['id']}",
        style="dim",
    )


def expected_of(verdict: Mapping[str, Any], expected: frozenset[str]) -> frozenset[str]:
    """Return the expected outcomes of the drawn timeline: of the leading aspect, if there are several.

    Args:
        verdict: as JSON.
        expected: those of the probe, where the verdict is from a version that did not write them down.
    """
    named = (aspect for aspect in verdict.get("aspects", ()) if aspect["name"] == verdict.get("leading"))
    return next((frozenset(aspect["expected"]) for aspect in named), frozenset(verdict.get("expected", expected)))


def aspect_lines(verdict: Mapping[str, Any], width: int | None = None) -> Iterable[Text]:
    """Yield a row for each aspect, then the differences at its changes."""
    table = aspect_table(verdict)
    if table is None:
        return
    widest = min(MOST_NAME, max(len(row.name) for row in table.rows))
    whole = max(_cells_width(table.releases) + len(row.note) for row in table.rows) + widest + 6
    yield Text()
    if width is None or whole <= width:
        yield from _rows(table, range(len(table.releases)), widest, notes=True)
    else:
        for columns in _fitting(table.releases, width - widest - 2):
            yield from _rows(table, columns, widest, notes=False)
            yield Text()
        yield from (Text(f"  {_name(row.name, widest)}  {printable(row.note)}", style="dim") for row in table.rows)
    yield Text("  Equal letters in a row: equal behaviour.", style="dim")
    for found in (found for row in table.rows for found in row.differences):
        yield Text(printable(f"{found.title}:"))
        yield from (Text(printable(f"    {line}"), style=_diff_style(line)) for line in found.lines)
        if found.more:
            yield Text(f"    … and {found.more} more", style="dim")


def _cells_width(releases: Sequence[str]) -> int:
    return sum(len(release) + 2 for release in releases)


def _fitting(releases: Sequence[str], room: int) -> Iterable[range]:
    """Yield the columns in groups that fit beside the names."""
    start = 0
    for end in range(1, len(releases) + 1):
        if end == len(releases) or _cells_width(releases[start : end + 1]) > room:
            yield range(start, end)
            start = end


def _rows(table: AspectTable, columns: range, widest: int, *, notes: bool) -> Iterable[Text]:
    """Yield the head and a row for each aspect, of some columns."""
    releases = [table.releases[at] for at in columns]
    yield Text(f"  {'':<{widest}}  {'  '.join(releases)}", style="dim")
    for row in table.rows:
        letters = [row.letters[at] for at in columns]
        cells = "  ".join(f"{letter:^{len(release)}}" for letter, release in zip(letters, releases, strict=True))
        said = Text(printable(row.note) if notes else "", style="dim")
        yield Text(f"  {_name(row.name, widest)}  {cells}  ") + said


def _name(name: str, widest: int) -> str:
    """Return an aspect's name in its column; of a long one the end is kept, which names the test."""
    shown = printable(name)
    return f"{shown if len(shown) <= widest else '…' + shown[1 - widest :]:<{widest}}"


def _diff_style(line: str) -> str:
    return {"+": "green", "-": "red"}.get(line[:1], "dim")


def detail_lines(verdict: Mapping[str, Any]) -> Iterable[Text]:
    """Explain outcomes whose label is not enough."""
    for entry in verdict.get("details", ()):
        yield Text(f"{printable(entry['outcome'])}, as in {entry['release']}:")
        lines = str(entry["detail"]).splitlines()
        yield from (Text(f"    {line}", style="dim") for line in lines[:DETAIL_LINES])
        if len(lines) > DETAIL_LINES:
            yield Text(f"    … and {counted(len(lines) - DETAIL_LINES, 'more line')}", style="dim")


def unknown_lines(verdict: Mapping[str, Any]) -> Iterable[Text]:
    """List the releases without an outcome: untestable ones with the reason, and those that were not run."""
    untestable, not_run = STATES["untestable"], STATES["not_run"]
    for reason, releases in by_reason(verdict["untestable"]).items():
        which = named(releases).rstrip(",")
        yield Text(f"{untestable.sign} {which} {untestable.word}: {printable(reason)}", style=untestable.style)
    if verdict.get("not_run"):
        yield Text(f"{not_run.sign} {not_run.word}: {named(verdict['not_run']).rstrip(',')}", style=not_run.style)


def timeline_lines(verdict: Mapping[str, Any], expected: frozenset[str]) -> Iterable[Text]:
    """Yield one row per release, line by line, with a mark before each change."""
    marks = {(change["line"], change["after"]): change for change in verdict["changes"]}
    on_mainline = {
        release
        for segment in verdict["segments"]
        if segment["line"] == MAINLINE
        for release, _ in segment_releases(segment)
    }
    shown_line = ""
    for segment in verdict["segments"]:
        line = segment["line"]
        for release, how in segment_releases(segment):
            if line != MAINLINE and release in on_mainline:
                continue  # a branch starts at a mainline release, which already has a row
            row = Text(f"  {line if line != shown_line else '':<10}")
            shown_line = line
            change = marks.get((line, release))
            row.append("▶ " if change else "  ", style=STYLES[change["kind"]] if change else "")
            yield row + _release_text(release, segment["outcome"], how, expected) + _change_text(change)


def segment_releases(segment: Mapping[str, Any]) -> list[tuple[str, State]]:
    """Return the releases of a segment, oldest first, each with how it is known."""
    known = [(release, how) for how in PLACES for release in segment[how]]
    return sorted(known, key=lambda item: release_order(item[0]))


def _release_text(release: str, outcome: str, how: State, expected: frozenset[str]) -> Text:
    shown = STATES[how]
    style = shown.style or answer_style(outcome, expected)
    row = Text(f"{release:<12}")
    row.append(f"{shown.sign} ", style=style)
    row.append(f"{shown.word if how == 'untestable' else shortened(printable(outcome)):<16}  ", style=style)
    row.append(f"{shown.word}  " if how == "inferred" else "", style=style)
    return row


def shortened(outcome: str) -> str:
    """Shorten an outcome to fit a row; its end is kept, since long outcomes end in a digest."""
    return outcome if len(outcome) <= OUTCOME_CHARACTERS else f"{outcome[: OUTCOME_CHARACTERS - 8]}… {outcome[-6:]}"


def _change_text(change: Mapping[str, Any] | None) -> Text:
    if change is None:
        return Text()
    told = change_of(change)
    return Text(f"{change_word(told)} {place_of(told, 'row')}", style=STYLES[change["kind"]])
