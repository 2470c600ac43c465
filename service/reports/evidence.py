"""The evidence of a bisection as one archive, from which a stranger sees both sides of each change with one command."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.bisection.facts import facts_of
from service.bisection.outcomes import Value
from service.bisection.releases import MAINLINE
from service.bisection.verdict import all_changes
from service.bisection.words import causes_in_words
from service.catalog.probes import Probe
from service.coordination.intake import ASPECT_PREFIX, SUBJECT, BisectionRequest, Case, Track
from service.coordination.unaided import BOOT, words_of_a_run
from service.errors import NotFound, TfbisectError
from service.reports.causes import cause_markdown
from service.reports.dependencies import Dependencies
from service.reports.documents import by_release, full_observation_json, json_text
from service.reports.program import modules_reached
from service.reports.readings import StoredBisection
from service.reports.reproduction import LockOf, Side, side_of, sides_of
from service.storage.records import LinkedObservation

MOST_CHANGES = 3
RUNS_OF_A_SIDE = 4
MOST_FIELDS = 20
"""Fields of an aspect by which a side is known again."""
MADE_AT = (1980, 1, 1, 0, 0, 0)
"""The same bisection gives the same archive."""
PROGRAM = Path(__file__).parents[1]
Member = tuple[str, bytes]

README = """\
Evidence of a bisection by tfbisect: {summary}

  uv run reproduce.py            measure both sides again; needs uv, nothing else
  uv run reproduce.py --docker   the same in containers of the official Python image

It runs snippet.py on this machine, so read it first. The first run downloads the packages. uv downloads interpreters
from Python 3.8 on; for older ones (TensorFlow before 2.2 needs 3.6 or 3.7) install them, or use --docker.

  snippet.py       what was bisected
  report.md        the report; verdict.json is the same as JSON
  locks/           the packages of each side; `uv pip install` and `pip install` take them
  runs/            what each run gave: measurements, output, packages, environment
  difference.diff  what differs between the sides
  causes.txt       what the changes come from, as far as that is known
  run/, program/   the probe and the rule that reads its result, as they were used

Data sets of tf.keras.datasets are stand-ins here; the environment variable TFBISECT_DATASETS may name a folder with the
real ones.
"""


@dataclass(frozen=True)
class Recorded:
    """One side with its stored runs."""

    side: Side
    runs: Sequence[LinkedObservation]
    expected: Mapping[str, Value]
    """What tells it from the other side."""
    variables: Mapping[str, str]


def bundle_of(
    dependencies: Dependencies, reading: StoredBisection, verdict: Mapping[str, Any], report: str, lock_of: LockOf
) -> Iterator[bytes]:
    """Yield the archive of a finished bisection in pieces.

    Args:
        dependencies: parts of the house.
        reading: the bisection with its runs.
        verdict: as JSON.
        report: in Markdown.
        lock_of: finds the lock of a release.

    Raises:
        NotFound: it has no verdict to give evidence of.
    """
    if reading.bisection.verdict is None:
        raise NotFound(f"bisection {reading.bisection.id} has no verdict yet: it is {reading.bisection.status}.")
    return archived(_members(dependencies, reading, verdict, report, lock_of))


def archived(members: Iterable[Member]) -> Iterator[bytes]:
    """Yield a zip archive; no more than one member is held at a time."""
    written = _Pipe()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(f"evidence/{name}", MADE_AT), content, zipfile.ZIP_DEFLATED)
            yield written.taken()
    yield written.taken()


class _Pipe(io.RawIOBase):
    """A file that is read while it is written, so that no archive is ever held as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        """Say that it is written to."""
        return True

    def write(self, chunk: Any) -> int:
        """Keep a chunk until it is taken."""
        self._chunks.append(bytes(chunk))
        return len(chunk)

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        found = b"".join(self._chunks)
        self._chunks.clear()
        return found


def _members(
    dependencies: Dependencies, reading: StoredBisection, verdict: Mapping[str, Any], report: str, lock_of: LockOf
) -> Iterator[Member]:
    bisection = reading.bisection
    source = dependencies.store.snippet(bisection.snippet_digest)
    case = _case(dependencies, bisection.request, source)
    track = _leading_track(case, verdict)
    recorded = _recorded(reading, verdict, case, track, lock_of)
    yield "README.txt", README.format(summary=verdict.get("summary", "")).encode()
    yield "snippet.py", source.encode()
    yield "report.md", report.encode()
    yield "verdict.json", _pretty(verdict)
    yield "difference.diff", _difference(verdict).encode()
    yield "causes.txt", _causes(verdict).encode()
    for each in recorded:
        yield f"locks/{each.side.lock_name}", each.side.lock.encode()
        for number, run in enumerate(each.runs[:RUNS_OF_A_SIDE], start=1):
            name = each.side.lock_name.removesuffix(".txt")
            yield f"runs/{name}-{number}.json", json_text(full_observation_json(run, reading.judge_of(run))).encode()
    if case is not None and track is not None:
        yield from _program(dependencies, case, track, recorded, verdict)


def _case(dependencies: Dependencies, request: Mapping[str, Any], source: str) -> Case | None:
    """Return the checked request; None where its probe or its releases are not known here any more."""
    try:
        return dependencies.intake.at_rest().case(BisectionRequest.model_validate({**request, "snippet": source}))
    except (TfbisectError, ValueError):
        return None


def _leading_track(case: Case | None, verdict: Mapping[str, Any]) -> Track | None:
    """Return the track whose runs show what the verdict shows first."""
    by_name = {track.name: track for track in case.tracks} if case is not None else {}
    return by_name.get(f"{ASPECT_PREFIX}{verdict.get('leading', '')}") or by_name.get(SUBJECT)


def _recorded(
    reading: StoredBisection, verdict: Mapping[str, Any], case: Case | None, track: Track | None, lock_of: LockOf
) -> list[Recorded]:
    """Return the sides of the first changes, or both ends where nothing changes."""
    name = track.name if track is not None else SUBJECT
    runs = {release: several for release, several in by_release(reading.observations, name).items() if several}
    found: dict[str, Side] = {}
    telling: dict[str, dict[str, Value]] = {}
    for change in verdict.get("changes", ())[:MOST_CHANGES]:
        pair = sides_of(change, verdict, [run for several in runs.values() for run in several], lock_of, name)
        for mine, other in ((pair[0], pair[1]), (pair[1], pair[0])) if pair else ():
            found[mine.release] = mine
            kept = telling.setdefault(mine.release, {})
            kept.update(_telling(track, verdict, runs[mine.release], runs[other.release], mine))
    if not found:
        ends = [segment for segment in verdict.get("segments", ()) if segment["line"] == MAINLINE]
        for release, segment in ((ends[0]["from"], ends[0]), (ends[-1]["to"], ends[-1])) if ends else ():
            if release in runs:
                side = found[release] = side_of(runs[release][0], lock_of, str(segment["outcome"]))
                telling[release] = _telling(track, verdict, runs[release], (), side)
    return [
        Recorded(side, runs[release], telling[release], dict(case.target(release).variables) if case else {})
        for release, side in found.items()
    ]


def _telling(
    track: Track | None,
    verdict: Mapping[str, Any],
    mine: Sequence[LinkedObservation],
    others: Sequence[LinkedObservation],
    side: Side,
) -> dict[str, Value]:
    """Return what tells a side from the other one: its outcome, or fields that all of its runs have alike."""
    if track is None or track.is_aspect or track.probe.aspects is None:
        return {"outcome": side.outcome}
    here, there = (_steady(track.probe, str(verdict.get("leading")), runs) for runs in (mine, others))
    differing = [name for name, value in here.items() if name not in there or there[name] != value]
    return {name: here[name] for name in differing[:MOST_FIELDS]} if others else {}


def _steady(probe: Probe, aspect: str, runs: Sequence[LinkedObservation]) -> dict[str, Value]:
    """Return the fields of an aspect that are the same in all runs of a release."""
    if probe.aspects is None:
        return {}
    shown = [facts_of(run.observation.report, probe.aspects).get(aspect) for run in runs]
    fields = [dict(facts.values) for facts in shown if facts is not None]
    first, *rest = fields or [{}]
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in rest)}


def _program(
    dependencies: Dependencies, case: Case, track: Track, recorded: Sequence[Recorded], verdict: Mapping[str, Any]
) -> Iterator[Member]:
    """Yield what runs the probe again and reads its result."""
    project = case.request.project
    packed = dependencies.store.packed_project(project) if project else None
    if packed:
        yield "project.zip", packed
    yield "run/boot.py", BOOT.encode()
    yield "run/input.jsonl", words_of_a_run(case, track, packed)
    rule = Path(str(sys.modules[track.probe.judge.__module__].__file__))
    yield "run/judge.py", rule.read_bytes()
    own = Path(__file__).with_name("bundled.py")
    for path in sorted(modules_reached(rule) | modules_reached(own)):
        yield f"program/service/{path.relative_to(PROGRAM).as_posix()}", path.read_bytes()
    looks = track.probe.aspects is not None and not track.is_aspect
    told = {
        "schema": "tfbisect/bundle/1",
        "aspect": str(verdict.get("leading", "")) if looks else "",
        "judged": {name: track.parameters[name] for name in track.parameters if name not in track.asked},
        "sides": [
            {
                "release": each.side.release,
                "requirement": each.side.requirement,
                "python": each.side.python,
                "lock": each.side.lock_name,
                "expected": each.expected,
                "variables": each.variables,
            }
            for each in recorded
        ],
    }
    yield "bundle.json", _pretty(told)
    yield "reproduce.py", own.read_bytes()


def _causes(verdict: Mapping[str, Any]) -> str:
    """Say what the changes come from, with the definitions where they were looked for."""
    return "\n\n".join([*causes_in_words(all_changes(verdict)), cause_markdown(verdict)])


def _difference(verdict: Mapping[str, Any]) -> str:
    """Return all differences as one diff."""
    parts = (
        f"{aspect['name']}, {found['before']} → {found['after']}\n{found['diff']}\n"
        for aspect in verdict.get("aspects", ())
        for found in aspect.get("differences", ())
    )
    return "\n".join(parts)


def _pretty(value: Any) -> bytes:
    return json.dumps(value, indent=2, default=str).encode()
