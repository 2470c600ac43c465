"""`tfbisect why OLD NEW SCRIPT`: which packages' upgrades between two lock files change what a script does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from packaging.utils import canonicalize_name

from service.bisection.upgrades import Unexplained, Upgrades
from service.bisection.words import counted, named
from service.bootstrap import House
from service.catalog.additions import imported_modules, kept_imports
from service.catalog.lock_files import pinned_in
from service.causes.lock_pairs import LockPair, differing, likeliest_first, package_under_test
from service.cli.console import err, fail, house, out
from service.cli.requests import build_request, read_snippet
from service.clock import utc_now
from service.coordination.intake import check_source
from service.errors import EXIT_NO_ANSWER, BadInput
from service.printable import printable

REASONS = {
    "budget": "the budget of runs is used up; --budget takes more.",
    "neither": "no combination of packages that can be installed shows what the new lock shows.",
    "cannot": "no combination can be installed.",
}


@dataclass(frozen=True)
class Compared:
    """What is asked of two lock files."""

    package: str
    """"": a framework that both pin."""
    aspect: str
    """"": what differs."""
    budget: int
    """Combinations that are run at most."""


def why_locks(files: tuple[Path, Path], script: str, asked: Compared, *, as_json: bool, quiet: bool) -> None:
    """Say which packages' upgrades, together, change what a script does."""
    source = read_snippet(script)
    check_source(source)
    locks = pinned_in(files[0]), pinned_in(files[1])
    if not differing(*locks):
        raise BadInput(f"{files[0]} and {files[1]} pin the same versions.", field="lock")
    subject = package_under_test(*locks, asked.package)

    def tell(words: str) -> None:
        if not quiet:
            err.print(printable(words), style="dim", markup=False, soft_wrap=True)

    with house() as opened:
        pair = pair_of(opened, source, locks, subject, asked.aspect)
        pair.tell = tell
        try:
            parts = pair.look()
            found = pair.search(likeliest_first(parts, subject, imported_packages(source)), asked.budget)
        finally:
            pair.end()
    if as_json:
        print(json.dumps(as_told(found, pair, parts), indent=2))
    elif isinstance(found, Unexplained):
        fail("No cause", REASONS[found.reason], EXIT_NO_ANSWER)
    else:
        for line in lines(found, pair, parts, script):
            out.print(line, markup=False, soft_wrap=True)
    if isinstance(found, Unexplained):
        raise typer.Exit(EXIT_NO_ANSWER)


def pair_of(
    opened: House, source: str, locks: tuple[Mapping[str, str], Mapping[str, str]], subject: str, aspect: str
) -> LockPair:
    """Make ready what runs the script between two locks."""
    releases = list(dict.fromkeys(str(lock[subject]) for lock in locks))
    request = build_request(snippet=source, package=subject, releases=",".join(releases), why=False)
    case = opened.intake.case(request)
    python = common_python([opened.catalog.release(subject, release) for release in releases])
    return LockPair(opened.laboratory, case, locks, subject, python, f"{utc_now().date()}T00:00:00+00:00", aspect)


def common_python(releases: Sequence[Any]) -> str:
    """Return the newest interpreter that all releases have wheels for; "" where each has its own."""
    for minor in range(13, 5, -1):
        if all(release is not None and release.accepts(f"3.{minor}") for release in releases):
            return f"3.{minor}"
    return ""


def imported_packages(source: str) -> list[str]:
    """Return the packages that a script imports by name."""
    known = kept_imports().imports
    modules = imported_modules(source, known.keys())
    return [str(canonicalize_name(module)) for module in sorted(modules)]


def as_told(found: Upgrades | Unexplained, pair: LockPair, parts: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "aspect": pair.aspect,
        "differ": len(differing(*pair.locks)),
        "installed": list(parts),
        "runs": pair.runs,
    }
    if isinstance(found, Unexplained):
        return {**told, "packages": [], "reason": found.reason}
    old, new = pair.locks
    return {
        **told,
        "packages": [{"name": name, "before": old.get(name), "after": new.get(name)} for name in found.packages],
        "along": list(found.along),
        "tied": found.tied,
        "reverting_restores": found.reverting_restores,
    }


def lines(found: Upgrades, pair: LockPair, parts: Sequence[str], script: str) -> list[str]:
    """Return what a terminal shows."""
    old, new = pair.locks
    steps = [f"{name} {old.get(name, 'absent')} to {new.get(name, 'absent')}" for name in found.packages]
    one = "cannot be told apart" if found.tied else "only together" if len(steps) > 1 else ""
    shown = [f"What changes {pair.aspect}: {named(steps).rstrip(',')}{f' ({one})' if one else ''}."]
    if found.along:
        shown.append(f"Had to come along: {named(list(found.along)).rstrip(',')}.")
    if found.reverting_restores is not None:
        verb = "is as before" if found.reverting_restores else "is not as before: there is a second cause"
        shown.append(f"With the new lock but for {named(list(found.packages)).rstrip(',')}, it {verb}.")
    total = counted(len(differing(*pair.locks)), "package differs", "packages differ")
    shown.append(f"{total}; {len(parts)} of them are installed for this script. {counted(pair.runs, 'run')}.")
    shown += [f"Next: {line}" for line in next_commands(found, pair, script)]
    return shown


def next_commands(found: Upgrades, pair: LockPair, script: str) -> list[str]:
    """Return the commands that find the release within each package."""
    old, new = pair.locks
    commands = []
    for name in found.packages:
        if not old.get(name) or not new.get(name):
            continue
        held = "" if name == pair.package else f" --with {pair.package}=={new[pair.package]}"
        commands.append(f"tfbisect run {script} --package {name} --releases {old[name]}..{new[name]}{held}")
    return commands
