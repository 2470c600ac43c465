"""`tfbisect minimise`: the smallest script that still shows a change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from service.bisection.words import counted
from service.bootstrap import House, set_up_logging
from service.causes.minimising import Minimised, minimised
from service.causes.reproduction import KeptChange
from service.cli.console import err, fail, house
from service.cli.requests import build_request, parse_additions, parse_shape, read_snippet
from service.cli.run import progress, say_runner
from service.coordination.conclusion import DONE
from service.coordination.intake import BisectionRequest, check_source
from service.errors import EXIT_INTERRUPTED, EXIT_NO_ANSWER, BadInput

SEARCH, OUTPUT = "Search", "Output"
EXAMPLES = """
**Examples**

`tfbisect minimise examples/dropout_tutorial.py --releases 1.10.1,1.11.0 > small.py` : the script for the issue

`tfbisect minimise my_script.py --releases 2.10,2.16.1 --aspect prints --budget 100` : of what is printed

**Exit codes**: 0 a script was printed; 2 bad input; 3 no verdict, or no change; 130 interrupted.
"""


def minimise(
    file: Annotated[str, typer.Argument(metavar="SCRIPT", help="Python file or notebook; - for standard input")],
    releases: Annotated[
        str, typer.Option(help="as of `run`; the first change in them counts", rich_help_panel=SEARCH)
    ] = "",
    package: Annotated[str, typer.Option(help="package to bisect", rich_help_panel=SEARCH)] = "tensorflow",
    change: Annotated[
        int, typer.Option(min=1, help="which change of the verdict, as it counts them", rich_help_panel=SEARCH)
    ] = 1,
    aspect: Annotated[
        str | None, typer.Option(help="what changes, such as ends, prints or dropout", rich_help_panel=SEARCH)
    ] = None,
    budget: Annotated[
        int, typer.Option(min=1, max=5000, help="scripts that are run at most", rich_help_panel=SEARCH)
    ] = 200,
    probe: Annotated[str | None, typer.Option(help="one question only", rich_help_panel=SEARCH)] = None,
    with_: Annotated[
        list[str] | None, typer.Option("--with", help="package that the script needs", rich_help_panel=SEARCH)
    ] = None,
    input_shape: Annotated[
        str | None, typer.Option(help="shape of one input, such as 28,28", rich_help_panel=SEARCH)
    ] = None,
    runner: Annotated[str | None, typer.Option(help="docker, local or auto", rich_help_panel=SEARCH)] = None,
    output: Annotated[Path | None, typer.Option(help="write the script to this file", rich_help_panel=OUTPUT)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print JSON: the script and what it took", rich_help_panel=OUTPUT)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Make a script as small as possible while it shows the same change between the same releases.

    Statements and arguments are left out as long as it ends alike in both releases, every named probe says the same,
    and the change is still there. What was run before is reused.
    """
    set_up_logging(quiet=quiet)
    source = read_snippet(file)
    check_source(source)
    request = build_request(
        snippet=source,
        package=package,
        releases=releases,
        probe=probe,
        input_shape=parse_shape(input_shape),
        why=False,
        **{"with": parse_additions(with_ or (), None, package)[0]},
    )
    with house(runner=runner) as opened:
        verdict = _verdict(opened, request, quiet=quiet)
        place, named = change_to_keep(verdict, change, aspect)
        found = _smallest(opened, request, place, named, budget, quiet=quiet)
    text = json.dumps(_as_json(found, place, named), indent=2) if as_json else found.source.rstrip("\n")
    if output is not None:
        output.write_text(found.source, encoding="utf-8")
    if output is None or as_json:
        print(text)


def _verdict(opened: House, request: BisectionRequest, *, quiet: bool) -> Mapping[str, Any]:
    """Return the verdict on the script as it is; exits where there is none."""
    with progress(quiet=quiet) as listener:
        finished = opened.submission.run(request, listener, ready=partial(say_runner, opened, quiet=quiet))
    if finished.error is not None:
        error = finished.error
        fail(str(error["title"]), str(error["detail"]), int(error["exit_code"]), str(error.get("traceback", "")))
    if finished.status != DONE or finished.verdict is None:
        err.print(f"{finished.status}; what was measured is kept. Run the same command again to continue.")
        raise typer.Exit(EXIT_INTERRUPTED)
    return finished.verdict


def change_to_keep(verdict: Mapping[str, Any], number: int, aspect: str | None) -> tuple[tuple[str, str], str]:
    """Return the releases on both sides of a change, and what changes there.

    Raises:
        BadInput: there is no such change.
    """
    if aspect is None:
        listed = list(verdict.get("changes", ()))
        named = str(verdict.get("leading", "")) if verdict.get("aspects") else ""
    else:
        rows = {str(each["name"]): each for each in verdict.get("aspects", ())}
        if aspect not in rows:
            raise BadInput(f"there is no aspect {aspect}; name one of {', '.join(rows) or 'none'}.", field="aspect")
        listed, named = list(rows[aspect].get("changes", ())), aspect
    if not listed:
        fail("No change", f"{named or 'the outcome'} is the same in all of these releases.", EXIT_NO_ANSWER)
    if number > len(listed):
        raise BadInput(f"there is no change {number}; choose one of 1 to {len(listed)}.", field="change")
    chosen = listed[number - 1]
    return (str(chosen["before"]), str(chosen["after"])), str(chosen.get("aspect", named))


def _smallest(
    opened: House, request: BisectionRequest, place: tuple[str, str], aspect: str, budget: int, *, quiet: bool
) -> Minimised:
    def tell(found: Minimised) -> None:
        if not quiet:
            lines, scripts = counted(telling_lines(found.source), "line"), counted(found.tried, "script")
            err.print(f"{lines} after {scripts}", style="dim", markup=False)

    case = opened.intake.case(request)
    reproduction = KeptChange(opened.laboratory, case, place, aspect)
    try:
        found = minimised(request.snippet, reproduction.shown_by, budget, tell)
    finally:
        reproduction.end()
    if not quiet:
        before, after = telling_lines(request.snippet), telling_lines(found.source)
        ended = f"; the budget of {budget} is used up, --budget takes more" if found.exhausted else ""
        took = f"{counted(found.tried, 'script')}, {counted(reproduction.runs, 'run')}{ended}"
        where = f"{place[0]} and {place[1]} differ in {aspect or 'the outcome'}"
        err.print(f"{counted(before, 'line')} before, {counted(after, 'line')} now: {took}. {where}.", markup=False)
    return found


def telling_lines(source: str) -> int:
    """Return how many lines say anything."""
    return sum(bool(line.strip()) for line in source.splitlines())


def _as_json(found: Minimised, place: tuple[str, str], aspect: str) -> dict[str, Any]:
    return {
        "script": found.source,
        "lines": telling_lines(found.source),
        "before": place[0],
        "after": place[1],
        "aspect": aspect,
        "tried": found.tried,
        "refused": found.refused,
        "exhausted": found.exhausted,
    }
