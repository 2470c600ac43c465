"""How both sides of a change are seen again without tfbisect: packages, commands, and what a run prints. Pure."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name

from service.bisection.companions import minor_python, own_names
from service.bisection.outcomes import RunReport
from service.printable import printable
from service.reports.documents import by_release
from service.storage.records import LinkedObservation

LINE_CHARACTERS = 160
PRINTS = "prints: "
OLDEST_OF_UV = (3, 8)
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
PYTHON_MINOR = re.compile(r"[23]\.[0-9]{1,2}")
USABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
"""Name and version of a package that may stand in a requirements file."""
UNSAFE = re.compile(r"[^A-Za-z0-9.+-]")


@dataclass(frozen=True)
class Lock:
    """The requirements of an environment, with hashes."""

    environment: str
    """Digest of the environment: an observation names the one that it was made in."""
    text: str


LockOf = Callable[[str], Lock | None]
"""Finds the lock of a release; None where it is not known any more."""


def no_lock(_release: str) -> Lock | None:
    """Know of no lock."""
    return None


@dataclass(frozen=True)
class Side:
    """One side of a change, as anybody can have it."""

    release: str
    python: str
    """Minor of the interpreter, such as "3.6"."""
    requirement: str
    """The release as it was installed: tensorflow-cpu==2.16.1 for its slim wheel."""
    lock_name: str
    """Name of the file with all packages."""
    lock: str
    """Content of that file: requirements with hashes, or else the exact versions that the run had."""
    outcome: str
    shows: str = ""
    """A line that a run of the script by itself prints here and not on the other side; "": none does."""


def side_of(run: LinkedObservation, lock_of: LockOf, outcome: str = "", shows: str = "") -> Side:
    """Return how a stored run is had again.

    Args:
        run: a run of the release.
        lock_of: finds the lock; it is taken only if the run was made in the same environment.
        outcome: what the release does.
        shows: the line that tells it from the other side.
    """
    identity, report = run.observation.identity, run.observation.report
    kept = lock_of(identity.release)
    exact = kept.text if kept is not None and kept.environment == identity.environment else ""
    return Side(
        release=identity.release,
        python=minor_python(report.python),
        requirement=_installed_as(identity.package, identity.release, report),
        lock_name=f"{_safe(identity.package)}-{_safe(identity.release)}.txt",
        lock=exact or _versions_of(report),
        outcome=outcome,
        shows=shows,
    )


def sides_of(
    change: Mapping[str, Any],
    verdict: Mapping[str, Any],
    observations: Sequence[LinkedObservation],
    lock_of: LockOf,
    variant: str = "",
) -> tuple[Side, ...]:
    """Return both sides of a change; none if one has no stored run in an environment of its own."""
    runs = by_release(observations, variant)
    before, after = str(change["before"]), str(change["after"])
    if any(release not in runs or not _is_told(runs[release][0].observation.report) for release in (before, after)):
        return ()
    shown = lines_shown(verdict, before, after)
    sides = ((before, "old", shown[0]), (after, "new", shown[1]))
    return tuple(
        side_of(runs[release][0], lock_of, str(change[outcome]), as_printed(line, runs[release]))
        for release, outcome, line in sides
    )


def _is_told(report: RunReport) -> bool:
    """Say whether a run tells its environment in a form that may stand in a command: it is the container's own word."""
    return PYTHON_MINOR.fullmatch(minor_python(report.python)) is not None and bool(report.packages)


def _installed_as(package: str, release: str, report: RunReport) -> str:
    installed = {canonicalize_name(name) for name in report.packages}
    name = next((name for name in sorted(own_names(package)) if name in installed), package)
    return f"{name}=={release}"


def _versions_of(report: RunReport) -> str:
    """Return the packages that a run had as requirements."""
    usable = sorted((name, version) for name, version in report.packages.items() if USABLE.fullmatch(name + version))
    return "".join(f"{canonicalize_name(name)}=={version}\n" for name, version in usable)


def bare(lock: str) -> str:
    """Return the exact versions in a lock, without hashes and notes: short enough to paste."""
    found = re.findall(r"^[A-Za-z0-9._-]+(?:\[[^\]]*\])?==[^\s;\\]+", lock, re.MULTILINE)
    return "".join(f"{line}\n" for line in found)


def _safe(text: str) -> str:
    return UNSAFE.sub("_", text)


def lines_shown(verdict: Mapping[str, Any], before: str, after: str) -> tuple[str, str]:
    """Return a line of each side that a run of the script by itself shows: how it ends, else what it prints."""
    found = {
        str(aspect["name"]): difference
        for aspect in verdict.get("aspects", ())
        for difference in aspect.get("differences", ())
        if (difference["before"], difference["after"]) == (before, after)
    }
    if "ends" in found:
        olds, news = _diff_lines(str(found["ends"]["diff"]))
        # A traceback says it at its end.
        return _ending(olds), _ending(news)
    if "prints" in found:
        olds, news = _diff_lines(str(found["prints"]["diff"]))
        return _printed(olds), _printed(news)
    return "", ""


def _diff_lines(diff: str) -> tuple[list[str], list[str]]:
    """Return what a unified diff takes away and what it adds."""
    body = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
    olds, news = ([line[1:].strip() for line in body if line.startswith(sign)] for sign in "-+")
    return [line for line in olds if line], [line for line in news if line]


def _ending(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return "ends without an error" if lines[0] == "passes" else f"ends with: {lines[-1][:LINE_CHARACTERS]}"


def as_printed(shown: str, runs: Sequence[LinkedObservation]) -> str:
    """Return a line as a run really printed it: in a difference, numbers are shortened to what tells them apart."""
    line = shown.removeprefix(PRINTS)
    if line == shown:
        return shown
    printed = (each.strip() for run in runs for each in run.observation.report.output.splitlines())
    found = next((each for each in printed if _same_but_for_digits(each, line)), line)
    return f"{PRINTS}{found[:LINE_CHARACTERS]}"


def _same_but_for_digits(one: str, other: str) -> bool:
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(math.isclose(float(mine), float(theirs), rel_tol=1e-2) for mine, theirs in pairs)


def _printed(lines: Sequence[str]) -> str:
    return f"{PRINTS}{lines[0][:LINE_CHARACTERS]}" if lines else "does not print the other side's line"


def uv_downloads(python: str) -> bool:
    """Say whether uv gets an interpreter by itself; older ones it only uses where they are installed."""
    major, _, minor = python.partition(".")
    return (int(major), int(minor)) >= OLDEST_OF_UV


def command_with_uv(side: Side, request: Mapping[str, Any]) -> str:
    """Return the command that runs the script on one side with uv; the packages lie in a file beside it."""
    words = ["uv", "run", "--no-project", "--isolated", "--python", side.python, "--with", side.requirement]
    return shlex.join([*words, "--with-requirements", side.lock_name, "--", *_what_runs(request)])


def command_with_docker(side: Side, request: Mapping[str, Any]) -> str:
    """Return the command that does the same in a container of the official Python image."""
    inner = f"pip install -q -r {shlex.quote(side.lock_name)} && {shlex.join(_what_runs(request))}"
    place = '-v "$PWD":/work -w /work'
    return f"docker run --rm {place} python:{side.python} sh -c {shlex.quote(inner)}"


def _what_runs(request: Mapping[str, Any]) -> list[str]:
    given = [str(word) for word in request.get("command") or ()]
    if given and given[0] == "pytest":
        return ["python", "-m", *given]
    return given or ["python", "snippet.py", *map(str, request.get("arguments") or ())]


def expectation(side: Side) -> str:
    """Say what is to be seen on one side."""
    return side.shows or "a plain run does not show it; reproduce.py of the evidence bundle measures it"


def download_commands(sides: Sequence[Side], bisection_id: str, base_url: str) -> list[str]:
    """Return the commands that fetch the script and the packages of both sides from a service."""
    page = f"{base_url}/b/{bisection_id}"
    return [
        f"curl -sSf {shlex.quote(f'{page}.py')} -o snippet.py",
        *(
            f"curl -sSf {shlex.quote(f'{page}/locks/{side.release}.txt')} -o {shlex.quote(side.lock_name)}"
            for side in sides
        ),
    ]


def reproduction_script(
    sides: Sequence[Side], request: Mapping[str, Any], bisection_id: str = "", base_url: str = ""
) -> str:
    """Return the lines of shell that show both sides, each with what is to be seen.

    Args:
        sides: both.
        request: of the bisection.
        bisection_id: which one.
        base_url: of a service that others reach; "": the script and the packages are already there.
    """
    lines = download_commands(sides, bisection_id, base_url) if base_url else []
    for side in sides:
        # What a script prints must not end the comment that it stands in.
        said, expected = printable(side.outcome), printable(expectation(side))
        ways = [command_with_uv(side, request), command_with_docker(side, request)]
        first, other = ways if uv_downloads(side.python) else ways[::-1]
        needed = "" if uv_downloads(side.python) else f", where Python {side.python} is installed"
        lines += ["", f"# {side.requirement}, Python {side.python}: {said}", first]
        lines += [f"#   or{needed}: {other}", f"# expected: {expected}"]
    return "\n".join(lines).strip()
