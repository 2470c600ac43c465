"""A bisection to paste into an issue (Markdown) or to load into a table (CSV). Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from service.bisection.verdict import all_changes, change_of
from service.bisection.words import (
    additions_in_words,
    by_reason,
    causes_in_words,
    change_in_short,
    environments_in_words,
    named,
    percent,
)
from service.coordination.answers import answer_json
from service.coordination.reproducing import reproduce_command
from service.printable import in_cell, in_code_block, in_code_span, in_markdown
from service.reports.aspect_table import ShownDifference, aspect_table
from service.reports.causes import cause_markdown
from service.reports.documents import meaning, measurements_of
from service.reports.links import compare_url, notes_url, reproduce_from_page
from service.reports.plots import numbers_in
from service.reports.readings import StoredBisection
from service.reports.reproduction import LockOf, bare, no_lock, reproduction_script, sides_of
from service.reports.timeline import Timeline
from service.reports.views import BisectionView

REPRODUCED = 3
"""Changes whose sides are told in full."""
BY_HAND = "Save the snippet below as snippet.py, and the packages of each side in its file."


def markdown(
    reading: StoredBisection, view: BisectionView, source: str, base_url: str, lock_of: LockOf = no_lock
) -> str:
    """Return the report that goes into a GitHub issue.

    Args:
        reading: the bisection with its runs.
        view: what the page shows of it.
        source: the snippet.
        base_url: of a service that others reach; "": there is none, and the report stands alone.
        lock_of: finds the lock of a release.
    """
    bisection, verdict = reading.bisection, view.verdict
    parts = [
        f"### {in_markdown(view.summary)}",
        _facts(reading, verdict, base_url),
        _error(bisection.error or {}),
        release_table(view.timeline),
        *_aspects(verdict),
        _details(verdict),
        *(_change(change, reading, base_url) for change in verdict.get("changes", ())),
        "\n".join(f"- Cause, {in_markdown(said)}" for said in causes_in_words(all_changes(verdict))),
        cause_markdown(verdict),
        *(in_markdown(str(variant.get("words", ""))) for variant in verdict.get("variants", ())),
        in_markdown(environments_in_words(verdict)),
        *_reproductions(reading, verdict, base_url, lock_of),
        in_markdown(str(verdict.get("coverage", {}).get("statement", ""))),
        in_markdown(" ".join(additions_in_words(verdict.get("additions", ())))),
        "" if verdict.get("aspects") else in_markdown(" ".join(verdict.get("notes", ()))),
        _untestable(verdict),
        f"<details><summary>Snippet</summary>\n\n{in_code_block(source, 'python')}\n\n</details>",
        f"[Everything measured, live: {base_url}/b/{bisection.id}]({base_url}/b/{bisection.id})" if base_url else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(reading: StoredBisection, verdict: Mapping[str, Any], base_url: str) -> str:
    """Return the request and its status, in one line."""
    bisection, counts = reading.bisection, verdict.get("releases", {})
    said = [
        in_code_span(bisection.package),
        f"{counts['first']} to {counts['last']}" if counts.get("first") else "",
        f"{bisection.request.get('hardware', 'cpu')}",
        f"probe [`{bisection.probe}`]({base_url}/probes/{bisection.probe})"
        if base_url
        else f"probe {in_code_span(bisection.probe)}",
        bisection.status,
    ]
    return " · ".join(part for part in said if part)


def _error(error: Mapping[str, Any]) -> str:
    """Return why there is no verdict, with the snippet's traceback if there is one."""
    if not error:
        return ""
    said = f"**{in_markdown(str(error.get('title', 'No verdict')))}.** {in_markdown(str(error.get('detail', '')))}"
    trail = str(error.get("traceback") or "")
    return f"{said}\n\n{in_code_block(trail, 'text')}" if trail else said


def release_table(timeline: Timeline) -> str:
    if not timeline.columns:
        return ""
    rows = ["| release | behaviour | | |", "| --- | --- | --- | --- |"]
    for column in timeline.columns:
        for depth, step in enumerate((column.step, *column.branch)):
            cell = step.cell
            indent = "&nbsp;&nbsp;└ " if depth else ""
            behaviour = in_code_span(cell.outcome, in_table=True)
            flag = f"**{step.marker.says}**" if step.marker else ""
            rows.append(f"| {indent}{cell.release} | {behaviour} | {cell.shown.sign} {cell.shown.word} | {flag} |")
    return "\n".join(rows)


def _aspects(verdict: Mapping[str, Any]) -> list[str]:
    """Return a row for each aspect, and what differs at its changes."""
    table = aspect_table(verdict)
    if table is None:
        return []
    head = ["aspect", *table.releases, ""]
    rows = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    rows += [f"| {' | '.join((row.name, *row.letters, in_markdown(row.note)))} |" for row in table.rows]
    told = [_aspect_difference(found) for row in table.rows for found in row.differences]
    legend = " ".join(["Equal letters in a row stand for equal behaviour.", *verdict.get("notes", ())])
    return ["\n".join(rows), in_markdown(legend), *told]


def _aspect_difference(found: ShownDifference) -> str:
    more = (f"… and {found.more} more",) if found.more else ()
    shown = in_code_block("\n".join((*found.lines, *more)), "diff")
    return f"<details><summary>{in_markdown(found.title)}</summary>\n\n{shown}\n\n</details>"


def _change(change: Mapping[str, Any], reading: StoredBisection, base_url: str) -> str:
    """Return one change with its links and the commands that reproduce it."""
    bisection = reading.bisection
    package, before, after = bisection.package, str(change["before"]), str(change["after"])
    compared = compare_url(package, before, after)
    links = [f"[notes of {after}]({notes_url(package, after)})"]
    if compared:
        links.append(f"[commits {before}…{after}]({compared})")
    between = f"; between, untestable or not asked: {', '.join(change['between'])}" if change.get("between") else ""
    commands = "\n".join(_command(reading, release, base_url) for release in (before, after))
    old, new = (in_code_span(str(change[side])) for side in ("old", "new"))
    confidence = f" Confidence {percent(change['confidence'])}." if change.get("confidence") is not None else ""
    return (
        f"**{change_in_short(change_of(change)).capitalize()}**: {old} in {before}, "
        f"{new} in {after}{between}.{confidence} {' · '.join(links)}\n\n{in_code_block(commands, 'sh')}"
    )


def _command(reading: StoredBisection, release: str, base_url: str) -> str:
    """Return the command that measures one release again with tfbisect."""
    bisection = reading.bisection
    if base_url:
        return reproduce_from_page(bisection.id, bisection.request, release, base_url)
    return reproduce_command(bisection.request, release)


def _details(verdict: Mapping[str, Any]) -> str:
    """Explain outcomes whose label is not enough."""
    told = (
        (f"{in_code_span(str(each['outcome']))}, as in {each['release']}:", in_code_block(str(each["detail"]), "text"))
        for each in verdict.get("details", ())
    )
    return "\n\n".join(chain.from_iterable(told))


def _reproductions(
    reading: StoredBisection, verdict: Mapping[str, Any], base_url: str, lock_of: LockOf
) -> Iterator[str]:
    """Yield how both sides of the first changes are seen without tfbisect."""
    bisection = reading.bisection
    for change in verdict.get("changes", ())[:REPRODUCED]:
        sides = sides_of(change, verdict, reading.observations, lock_of)
        if not sides:
            continue
        page = f"{base_url}/b/{bisection.id}"
        files = [f"[{side.lock_name}]({page}/locks/{side.release}.txt)" for side in sides]
        linked = f"[snippet.py]({page}.py) · {' · '.join(files)} · [evidence]({page}.zip)"
        script = in_code_block(reproduction_script(sides, bisection.request, bisection.id, base_url), "sh")
        title = f"Reproduce without tfbisect: {change['before']} and {change['after']}"
        parts = [f"<details><summary>{title}</summary>", linked if base_url else BY_HAND, script]
        if not base_url:
            parts += [f"{side.lock_name}:\n\n{in_code_block(bare(side.lock), 'text')}" for side in sides]
        yield "\n\n".join([*parts, "</details>"])


def _untestable(verdict: Mapping[str, Any]) -> str:
    gaps = verdict.get("untestable", ())
    rows = [
        f"- {named(releases).rstrip(',')}: {in_markdown(reason[:300])}" for reason, releases in by_reason(gaps).items()
    ]
    return "\n".join(["Untestable:", *rows]) if gaps else ""


def table(reading: StoredBisection) -> str:
    """Return every run as CSV: one row each, one column per number that was measured."""
    runs = [_row(reading, index) for index in range(len(reading.observations))]
    columns = list(dict.fromkeys(name for run in runs for name in run))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow([in_cell(name) for name in columns])
    for run in runs:
        values = (run.get(name, "") for name in columns)
        writer.writerow([in_cell(value) if isinstance(value, str) else value for value in values])
    return written.getvalue()


def _row(reading: StoredBisection, index: int) -> dict[str, Any]:
    linked = reading.observations[index]
    stored, report = linked.observation, linked.observation.report
    answer = answer_json(meaning(report, reading.judge_of(linked)))
    return {
        "release": stored.identity.release,
        "variant": linked.variant,
        "repeat": stored.repeat,
        "outcome": answer["outcome"] or "",
        "reason": answer["reason"],
        "ending": report.ending,
        "reused": linked.reused,
        "python": report.python,
        "runner": report.runner,
        "device": report.device,
        "seconds": report.seconds.get("total", ""),
        **{name: _joined(values) for name, values in numbers_in(measurements_of(report)).items()},
    }


def _joined(values: Sequence[float]) -> str:
    """Return numbers in one field."""
    return " ".join(f"{value:.9g}" for value in values)
