"""Behaviours that really changed between releases, and what the probe behaviour makes of them.

truth.toml says for each script what it shows in which release, as plain runs in containers showed it. Here the same
scripts are asked through the probe, and each aspect that truth.toml names must sort the releases into the same groups.

Scripts without a seed, in scripts/unseeded/, show other numbers in every run and the same behaviour in every release:
no aspect may sort the releases into groups, but for those that truth.toml explains.

python -m tests.behaviour.truth [SCRIPT...] asks every release whose image is here and prints two tables.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.bisection.facts import Facts
from service.bisection.samples import RATIOS, Sampling
from tests.behaviour.asking import images, waiting
from tests.probes.protocol import PROBES

FOLDER = Path(__file__).parent
PROBE = PROBES["behaviour"]
RULE = sys.modules[PROBE.judge.__module__]
SEEDS = (1, 2)
PROCESSES = {0: (1, 2), 1: (3, 4)}
"""The seeds of the unseeded scripts' runs, by the hash seed of the process: as many runs as a reported change has."""
OF_RELEASE = frozenset({"warns"})
"""Every release has its own warnings."""
NOISY = frozenset({"time", "memory"})
"""What a busy machine changes by itself."""

Runs = Sequence[Mapping[str, Any]]
"""What the harness answered for one script in one release, a run for each seed."""


@dataclass(frozen=True)
class Truth:
    """One script and what it shows in each release."""

    script: str
    report: str
    """Where it was reported, or said by those who changed it."""
    aspects: tuple[str, ...]
    """Those that show it; every other but time and memory may."""
    seen: Mapping[str, str]
    """Release -> what it prints, or how it breaks off."""
    small: bool
    """Asked in every run of the tests."""

    @property
    def source(self) -> str:
        return (FOLDER / "scripts" / f"{self.script}.py").read_text("utf-8")


@dataclass(frozen=True)
class Unseeded:
    """A script that draws random numbers, and behaves alike in every release."""

    script: str
    wavers: str
    """What is another in every run."""
    changes: Mapping[str, str]
    """Aspects that do change with the release, and why."""
    releases: tuple[str, ...]

    @property
    def source(self) -> str:
        return (FOLDER / "scripts" / "unseeded" / f"{self.script}.py").read_text("utf-8")


def unseeded() -> dict[str, Unseeded]:
    """Return the unseeded scripts of truth.toml by name."""
    known = tomllib.loads((FOLDER / "truth.toml").read_text("utf-8"))
    releases = tuple(known["unseeded_releases"])
    return {
        row["script"]: Unseeded(row["script"], row["wavers"], row.get("changes", {}), releases)
        for row in known["unseeded"]
    }


def false_alarms(script: Unseeded, runs: Mapping[str, Runs]) -> list[str]:
    """Say which aspects sort the releases into groups though the script behaves alike in all of them."""
    said = []
    for aspect in RULE.READERS:
        if aspect in OF_RELEASE or aspect in NOISY or aspect in script.changes:
            continue
        found = sampled(aspect, runs)
        if len(found.groups) > 1:
            first, other = found.groups[0][0], found.groups[1][0]
            fields = ", ".join(found.differing(first, other)[:3])
            said.append(f"{aspect} sorts the releases into {' | '.join(map(', '.join, found.groups))}: {fields}")
    return said


def truths() -> dict[str, Truth]:
    """Return all of truth.toml by script."""
    rows = tomllib.loads((FOLDER / "truth.toml").read_text("utf-8"))["truth"]
    return {row["script"]: truth_of(row) for row in rows}


def truth_of(row: Mapping[str, Any]) -> Truth:
    """Read one row: `seen` maps what is shown to the releases that show it."""
    seen = {release: shown for shown, releases in row["seen"].items() for release in releases}
    return Truth(row["script"], row["report"], tuple(row["aspects"]), seen, row.get("small", False))


def disagreements(truth: Truth, runs: Mapping[str, Runs]) -> list[str]:
    """Say where the probe's answers contradict what is known; releases that nothing is known of are left out.

    Args:
        truth: what is known.
        runs: the harness's answers by release, oldest first.
    """
    known = {release: runs[release] for release in runs if release in truth.seen}
    said = [
        f"{release} shows {shown!r}, not {truth.seen[release]!r}"
        for release, given in known.items()
        for shown in [shown_by(given[0])]
        if not shown.startswith(truth.seen[release])
    ]
    expected = groups(truth.seen, list(known))
    for aspect in truth.aspects:
        found = sampled(aspect, known).groups
        if {frozenset(group) for group in found} != expected:
            said.append(f"{aspect} sorts the releases into {' | '.join(', '.join(group) for group in found)}")
    return said


def groups(seen: Mapping[str, str], releases: Sequence[str]) -> set[frozenset[str]]:
    """Return the releases that show the same."""
    return {frozenset(each for each in releases if seen[each] == seen[one]) for one in releases}


def sampled(aspect: str, runs: Mapping[str, Runs]) -> Sampling:
    """Return one aspect's facts as they are compared: what a release does not show is a field of its own."""
    return Sampling(
        {release: [facts(aspect, run) for run in given] for release, given in runs.items()}, RATIOS.get(aspect)
    )


def facts(aspect: str, run: Mapping[str, Any]) -> Facts:
    if run.get("kind") != "measured":
        return Facts((("refused", str(run.get("exception"))),))
    found: Facts = RULE.aspects(run["measurements"]).get(aspect, Facts((("nothing", True),)))
    return found


def shown_by(run: Mapping[str, Any]) -> str:
    """Return the last line that a run printed, or the exception's name and message."""
    measured = run.get("measurements") or run
    raised = measured.get("raised") or (run if "exception" in run else None)
    if raised:
        return f"{raised.get('exception')}: {raised.get('message')}"
    printed = measured.get("printed") or {}
    return str(printed.get("tail") or printed.get("head") or "").rpartition("\n")[2]


def asked(release: str, image: str, chosen: Sequence[Truth]) -> dict[str, Runs]:
    """Ask one release about scripts, each with every seed."""
    if not chosen:
        return {}
    with waiting(image, PROBE) as container:
        return {
            truth.script: [container.ask(PROBE, truth.source, {"seed": seed}) for seed in SEEDS]
            for truth in chosen
            if release in truth.seen
        }


def table(chosen: Sequence[Truth], answers: Mapping[str, Mapping[str, Runs]]) -> Iterator[str]:
    """Yield a Markdown row for each script, and its disagreements."""
    yield "| script | releases | aspects that show it | all that differ | agrees |\n|---|---|---|---|---|"
    for truth in chosen:
        runs = {release: answers[release][truth.script] for release in answers if truth.script in answers[release]}
        wrong = disagreements(truth, runs)
        differ = [name for name in RULE.READERS if name not in NOISY and len(sampled(name, runs).groups) > 1]
        yield (
            f"| {truth.script} | {len(runs)} | {', '.join(truth.aspects)} | {', '.join(differ)} "
            f"| {'; '.join(wrong) or 'yes'} |"
        )


def asked_unseeded(image: str, chosen: Sequence[Unseeded]) -> Mapping[str, Runs]:
    """Ask one release about unseeded scripts, in two processes with two seeds each."""
    found: dict[str, list[Mapping[str, Any]]] = {each.script: [] for each in chosen}
    for hash_seed, given in PROCESSES.items() if chosen else ():
        with waiting(image, PROBE, hash_seed=hash_seed) as container:
            for each in chosen:
                found[each.script] += [container.ask(PROBE, each.source, {"seed": seed}) for seed in given]
    return found


def unseeded_table(chosen: Sequence[Unseeded], answers: Mapping[str, Mapping[str, Runs]]) -> Iterator[str]:
    """Yield a Markdown row for each unseeded script, with its false alarms."""
    yield "| unseeded script | releases | changes with the release | nothing else changes |\n|---|---|---|---|"
    for each in chosen:
        wrong = false_alarms(each, {release: answers[release][each.script] for release in answers})
        yield f"| {each.script} | {len(answers)} | {', '.join(each.changes)} | {'; '.join(wrong) or 'yes'} |"


def main(names: Sequence[str]) -> int:
    """Ask every release whose image is here; 1 where anything disagrees."""
    known, others = truths(), unseeded()
    chosen = [truth for name, truth in known.items() if not names or name in names]
    wavering = [each for name, each in others.items() if not names or name in names]
    answers: dict[str, Mapping[str, Runs]] = {}
    again: dict[str, Mapping[str, Runs]] = {}
    for release, image in images().items():
        print(f"asking {release}", file=sys.stderr, flush=True)
        answers[release] = asked(release, image, chosen)
        if wavering and release in wavering[0].releases:
            again[release] = asked_unseeded(image, wavering)
    rows = [*table(chosen, answers), *unseeded_table(wavering, again)]
    print("\n".join(rows))
    return 0 if all(row.endswith(("| yes |", "|---|")) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
