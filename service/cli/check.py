"""`tfbisect check`: the upgrade gate."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.text import Text

from service import __version__
from service.bootstrap import House, set_up_logging
from service.catalog.in_use import release_in_use
from service.catalog.ranges import parse_releases, select
from service.catalog.releases import CatalogRelease
from service.cli.console import err, fail, house, tell
from service.cli.options import (
    OUTPUT,
    FilesOption,
    HardwareOption,
    InputShapeOption,
    JsonOption,
    PackageOption,
    ParallelOption,
    ProbeOption,
    QuietOption,
    RequirementsOption,
    RunnerOption,
    SourceArgument,
    TimeoutOption,
    WithOption,
    WordsArgument,
    YesOption,
)
from service.cli.projects import read_asked
from service.cli.remote import ServerOption, server_at
from service.cli.requests import build_request, parse_additions, parse_shape
from service.cli.run import get_ready, progress, refuse_here_only, say_left_out
from service.coordination.conclusion import DONE, Finished
from service.coordination.intake import BisectionRequest, check_source
from service.errors import EXIT_DIFFERS, EXIT_INTERRUPTED, EXIT_NO_ANSWER, BadInput
from service.projects.files import Bounds, Project
from service.reports.gate import FailOn, Gate, gate_of
from service.reports.gate_formats import gate_json, github_annotations, junit, sarif, step_summary
from service.settings import Settings

WHAT, GATE = "Upgrade", "Gate"
OWN_LINE = re.compile(r'File "snippet\.py", line (\d+)')
EXAMPLES = """
**Examples**

`tfbisect check model.py --from 2.15 --to 2.16` : may this model be upgraded?

`tfbisect check model.py --to 2.16 --fail-on introduced` : from the installed release; only what gets worse counts

`tfbisect check project --from 2.15 --to 2.16 -- pytest tests` : which tests change?

`tfbisect check model.py --from 2.15 --junit report.xml --sarif report.sarif --github` : for a CI job

**Exit codes**: 0 nothing that counts differs; 1 it differs; 2 bad input; 3 no verdict; 130 interrupted.
"""


def check(
    file: SourceArgument,
    words: WordsArgument = None,
    files: FilesOption = None,
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            help="release in use; 2.15 means its newest patch; default: as locked or installed",
            rich_help_panel=WHAT,
        ),
    ] = "",
    to: Annotated[
        str, typer.Option("--to", help="release to upgrade to; default: the newest", rich_help_panel=WHAT)
    ] = "",
    fail_on: Annotated[
        FailOn,
        typer.Option(help="any: every difference; introduced: only what was right before", rich_help_panel=GATE),
    ] = "any",
    aspect: Annotated[
        list[str] | None,
        typer.Option(
            help="what counts, such as ends, prints or dropout; repeatable; default: all but warns, time and memory",
            rich_help_panel=GATE,
        ),
    ] = None,
    package: PackageOption = "tensorflow",
    with_: WithOption = None,
    requirements: RequirementsOption = None,
    probe: ProbeOption = None,
    input_shape: InputShapeOption = None,
    hardware: HardwareOption = "cpu",
    runner: RunnerOption = None,
    parallel: ParallelOption = None,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    server: ServerOption = None,
    as_json: JsonOption = False,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", help="write JUnit XML to this file", rich_help_panel=OUTPUT)
    ] = None,
    sarif_file: Annotated[
        Path | None, typer.Option("--sarif", help="write SARIF to this file", rich_help_panel=OUTPUT)
    ] = None,
    github: Annotated[
        bool,
        typer.Option(
            "--github", help="write the step summary and, without --json, print annotations", rich_help_panel=OUTPUT
        ),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Check an upgrade: does anything that counts differ between two releases, and since when?

    Both ends are run first. Only if they differ, the releases between them are searched.
    """
    set_up_logging(quiet=quiet)
    resume = without_commands() if github and not as_json else ""
    source = read_asked(file, words or (), files or (), Bounds(*Settings().project_bounds))
    if source.snippet:
        check_source(source.snippet)  # before the index is asked for releases
    say_left_out(source, quiet=quiet)
    additions, _ = parse_additions(with_ or (), requirements, package)
    asked: dict[str, Any] = {
        "snippet": source.snippet,
        "project": source.project.digest if source.project else None,
        "command": source.command,
        "arguments": source.arguments,
        "package": package,
        "probe": probe,
        "hardware": hardware,
        "input_shape": parse_shape(input_shape),
        "timeout_seconds": timeout,
        "with": additions,
    }
    if server:
        refuse_here_only(runner=runner, parallel=parallel)
    with server_at(server, err) if server else _here(runner, parallel, yes=yes) as place:
        ends = ends_of(place.releases(package), from_ or in_use(package, file, quiet=quiet), to)
        run = partial(place.run, project=source.project, quiet=quiet)
        gate, verdict = _gate(run, asked, ends, ",", aspect or ())
        if gate.differences:
            gate, verdict = _gate(run, asked, ends, "..", aspect or ())
        report = place.markdown(verdict["id"]) if github else ""
    line = failing_line(verdict)
    if as_json:
        print(json.dumps(gate_json(gate, fail_on, verdict["id"]), indent=2))
    else:
        print_gate(gate, fail_on, verdict["id"])
    if resume:
        print(resume, *github_annotations(gate, fail_on, file, line), sep="\n")
    write_files(gate, fail_on, file, line, junit_file=junit_file, sarif_file=sarif_file)
    if github and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(step_summary(gate, fail_on, report))
    raise typer.Exit(EXIT_DIFFERS if gate.stopping(fail_on) else 0)


def without_commands() -> str:
    """Keep GitHub from obeying what a script prints, and return the line that ends this.

    A runner takes every line that begins with "::" for a command, blanks before it or not, and what is printed here
    has lines of scripts in it.
    """
    word = secrets.token_hex(16)
    print(f"::stop-commands::{word}", flush=True)
    return f"::{word}::"


def write_files(
    gate: Gate, fail_on: FailOn, file: str, line: int, *, junit_file: Path | None, sarif_file: Path | None
) -> None:
    """Write the files that were asked for."""
    if junit_file is not None:
        junit_file.write_text(junit(gate, fail_on, file), encoding="utf-8")
    if sarif_file is not None:
        sarif_file.write_text(sarif(gate, fail_on, file, __version__, line), encoding="utf-8")


def in_use(package: str, file: str, *, quiet: bool) -> str:
    """Return the release that the snippet's project uses, and say where that stands.

    Raises:
        BadInput: nothing says which.
    """
    path = Path() if file == "-" else Path(file)
    folder = path if path.is_dir() else path.parent
    found = release_in_use(package, folder, os.environ)
    if found is None:
        said = f"no lock file and no environment here says which release of {package} is in use; name it: --from 2.15."
        raise BadInput(said, field="from")
    if not quiet:
        err.print(f"from {package} {found.version}, as in {found.where}", markup=False)
    return found.version


class Asking(Protocol):
    """Where a check runs: this machine, or a service."""

    def run(self, request: BisectionRequest, *, quiet: bool, project: Project | None) -> Finished:
        """Run a bisection with its files to its end."""

    def releases(self, package: str) -> Sequence[CatalogRelease]:
        """Return the releases of a package."""

    def markdown(self, bisection_id: str) -> str:
        """Return the report of a bisection."""


class Here:
    """This machine."""

    def __init__(self, opened: House, *, yes: bool) -> None:
        self._opened = opened
        self._yes = yes
        self.markdown = opened.markdown

    def run(self, request: BisectionRequest, *, quiet: bool, project: Project | None) -> Finished:
        with progress(quiet=quiet) as listener:
            ready = partial(get_ready, self._opened, request, listener, yes=self._yes, quiet=quiet)
            return self._opened.submission.run(request, listener, ready=ready, project=project)

    def releases(self, package: str) -> Sequence[CatalogRelease]:
        return self._opened.catalog.releases(package)


@contextmanager
def _here(runner: str | None, parallel: int | None, *, yes: bool) -> Iterator[Asking]:
    with house(runner=runner, parallel=parallel) as opened:
        yield Here(opened, yes=yes)


def ends_of(listed: Sequence[CatalogRelease], first: str, last: str) -> tuple[str, str]:
    """Return the two releases of an upgrade; a minor stands for its newest patch, no end for the newest of all.

    Raises:
        BadInput: there is no such release, or both are the same, or the ends are swapped.
    """
    ends = [select(parse_releases(text), listed)[-1] for text in (first, last or "latest")]
    if ends[0] == ends[1]:
        raise BadInput(f"the upgrade begins and ends at {ends[0]}; name two releases.", field="to")
    parse_releases(f"{ends[0]}..{ends[1]}")
    return ends[0], ends[1]


def _gate(
    run: Callable[[BisectionRequest], Finished],
    asked: Mapping[str, Any],
    ends: tuple[str, str],
    joined: str,
    wanted: Sequence[str],
) -> tuple[Gate, Mapping[str, Any]]:
    """Run a bisection over two ends and compare them; exits where it gives no verdict."""
    finished = run(build_request(**asked, releases=joined.join(ends)))
    if finished.error is not None:
        error = finished.error
        fail(str(error["title"]), str(error["detail"]), int(error["exit_code"]), str(error.get("traceback", "")))
    if finished.status != DONE or finished.verdict is None:
        err.print(f"{finished.status}; what was measured is kept. Run the same command again to continue.")
        raise typer.Exit(EXIT_INTERRUPTED)
    gate = gate_of(finished.verdict, *ends, wanted)
    if gate is None or not gate.compared:
        fail("No verdict", without_answer(finished.verdict, *ends), EXIT_NO_ANSWER)
    if wanted and gate.untold:
        known = ", ".join(names_of(finished.verdict))
        fail("No verdict", f"cannot compare {', '.join(gate.untold)}; --aspect takes any of {known}.", EXIT_NO_ANSWER)
    return gate, finished.verdict


def without_answer(verdict: Mapping[str, Any], first: str, last: str) -> str:
    """Say why the two ends cannot be compared."""
    reasons = {each["release"]: each["reason"] for each in verdict.get("untestable", ())}
    said = "; ".join(f"{release} is untestable: {reasons[release]}" for release in (first, last) if release in reasons)
    return said or f"nothing that was asked for was measured in both {first} and {last}."


def names_of(verdict: Mapping[str, Any]) -> list[str]:
    """Return the names of a verdict's aspects."""
    return [str(each["name"]) for each in verdict.get("aspects", ())] or [str(verdict["probe"]["name"])]


def failing_line(verdict: Mapping[str, Any]) -> int:
    """Return the line of the snippet that a traceback names; 1 where there is none."""
    found = (OWN_LINE.findall(str(each.get("detail", ""))) for each in verdict.get("details", ()))
    return next((int(lines[-1]) for lines in found if lines), 1)


def print_gate(gate: Gate, fail_on: FailOn, bisection_id: str) -> None:
    """Print the line of the gate, then what differs."""
    tell(Text(gate.headline(fail_on), style="bold red" if gate.stopping(fail_on) else "bold green"))
    for each in gate.differences:
        if each.lines:
            tell(Text(f"{each.aspect}, {each.before} → {each.after}:"))
        for line in each.lines:
            tell(Text(f"    {line}", style="dim"))
    if gate.unasked:
        tell(Text(f"Not counted: {'; '.join(each.words for each in gate.unasked)}", style="dim"))
    tell(Text(f"Details: tfbisect show {bisection_id}", style="dim"))
