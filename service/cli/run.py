"""`tfbisect run`, `show` and `probes`."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from service.bootstrap import House, set_up_logging
from service.catalog.notebooks import commands_left_out
from service.catalog.probes import Probe
from service.cli.console import complain, err, house, out, tell, width_of_lines
from service.cli.notice import announce, what_it_takes
from service.cli.opening import open_page, serve_page
from service.cli.options import (
    AsOfOption,
    BadPatternOption,
    BranchesOption,
    CompleteOption,
    ExpectOption,
    FilesOption,
    FreshOption,
    HardwareOption,
    ImageSourceOption,
    InputShapeOption,
    JsonOption,
    JudgeByOption,
    NameOption,
    OpenOption,
    PackageOption,
    ParallelOption,
    PatternOption,
    PrereleasesOption,
    ProbeOption,
    PythonOption,
    QuietOption,
    RegressOption,
    ReleasesOption,
    RepeatsOption,
    RequirementsOption,
    ResolutionOption,
    RunnerOption,
    SetOption,
    SourceArgument,
    TimeoutOption,
    ToleranceOption,
    VariantOption,
    WholeOption,
    WhyOption,
    WithOption,
    WordsArgument,
    YesOption,
    request_of_options,
)
from service.cli.projects import Asked, read_asked
from service.cli.remote import ServerOption, server_at
from service.cli.terminal import LiveProgress, PlainProgress, paused, verdict_lines
from service.cli.why import card_lines, explained_here
from service.coordination.conclusion import DONE, Finished
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Listener, Silent
from service.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, BadInput, NotFound, TfbisectError, UnknownName
from service.projects.files import Bounds
from service.reports.causes import cause_cards, with_causes_found
from service.reports.documents import probe_json
from service.settings import Settings
from service.storage.records import ADMIN

RUN_EXAMPLES = """
**Examples**

`tfbisect run examples/dropout_tutorial.py --releases 1.9..1.14` : what changes, since when, until when?

`tfbisect run my_model.py --releases 1.9..1.14 --variant input-shape` : the same, with a workaround tried alongside

`tfbisect run my_model.py --probe dropout` : does Dropout drop? One question, fewer runs

`tfbisect run my_script.py --pattern "deprecated"` : since when does my script warn?

`tfbisect run my_script.py --bad-pattern "nan"` : since when does it print nan, and where is that fixed?

`tfbisect run my_script.py --expect loss=0.25 --tolerance 0.01` : since when is the loss different?

`tfbisect run my_script.py --judge-by output --json` : since when is the output different? As JSON

`tfbisect probes script` : what a probe tests, its outcomes and its parameters

**Exit codes**: 0 a verdict was reached, whatever it is; 2 bad input, or the snippet fails in every release; 3 no
verdict; 130 interrupted.
"""

SHOWN_NAMES = 5
TIME_IS_OVER = "The time for causes (TFBISECT_CAUSES_SECONDS) is over"
GOES_ON = "`tfbisect why last` goes on where it stopped."


def run(
    file: SourceArgument,
    words: WordsArgument = None,
    files: FilesOption = None,
    name: NameOption = "",
    package: PackageOption = "tensorflow",
    releases: ReleasesOption = "",
    prereleases: PrereleasesOption = False,
    with_: WithOption = None,
    requirements: RequirementsOption = None,
    probe: ProbeOption = None,
    input_shape: InputShapeOption = None,
    whole: WholeOption = False,
    variant: VariantOption = None,
    pattern: PatternOption = None,
    bad_pattern: BadPatternOption = None,
    regress: RegressOption = None,
    expect: ExpectOption = None,
    tolerance: ToleranceOption = None,
    judge_by: JudgeByOption = None,
    set_: SetOption = None,
    resolution: ResolutionOption = None,
    branches: BranchesOption = "tips",
    repeats: RepeatsOption = None,
    complete: CompleteOption = False,
    fresh: FreshOption = False,
    why: WhyOption = True,
    python: PythonOption = None,
    as_of: AsOfOption = None,
    hardware: HardwareOption = "cpu",
    image_source: ImageSourceOption = None,
    runner: RunnerOption = None,
    parallel: ParallelOption = None,
    timeout: TimeoutOption = None,
    server: ServerOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    open_: OpenOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bisect a snippet over releases and print the timeline and the verdict.

    The snippet is any Python script, such as a whole training script, a model in a variable `model`, or a function
    `build_model()`. Everything that it does is compared: how it ends, what it prints, warns, trains and predicts.
    Results are stored and reused.
    """
    given = dict(locals())
    set_up_logging(quiet=quiet)
    asked = read_asked(file, words or (), files or (), Bounds(*Settings().project_bounds))
    request, left_out = request_of_options(given, asked)
    if left_out and not quiet:
        err.print(f"left out, since its releases are compared: {', '.join(left_out)}", markup=False, soft_wrap=True)
    say_left_out(asked, quiet=quiet)
    if server:
        refuse_here_only(runner=runner, parallel=parallel)
        with server_at(server, err) as there:
            finished = there.run(request, quiet=quiet, project=asked.project)
            if open_ and finished.verdict:
                open_page(there.page(finished.verdict["id"]))
            tell_ending(finished, there.expected(probe_of(finished, request)), as_json=as_json)
        return
    with house(runner=runner, parallel=parallel) as opened:
        opened.intake.probe(request.probe)
        with progress(quiet=quiet) as listener:
            ready = partial(get_ready, opened, request, listener, yes=yes, quiet=quiet)
            finished = opened.submission.run(request, listener, ready=ready, project=asked.project)
        expected = opened.intake.probe(probe_of(finished, request)).expected
        if as_json:
            explained = with_causes_here(opened, finished, quiet=quiet)
            tell_ending(explained, expected, as_json=True)
        else:
            # The verdict comes first: a cause may take minutes.
            tell_ending(finished, expected, as_json=False)
            explained = with_causes_here(opened, finished, quiet=quiet)
            for card in cause_cards(explained.verdict or {}):
                for line in card_lines(card, diff=False):
                    tell(line)
        if open_ and explained.verdict:
            serve_page(opened, explained.verdict["id"])


def with_causes_here(opened: House, finished: Finished, *, quiet: bool) -> Finished:
    """Return a finished bisection with the causes of its changes, looked for on this machine; as it is if not asked."""
    verdict = finished.verdict
    if finished.status != DONE or not verdict or not verdict["changes"] or not opened.settings.causes:
        return finished
    row = opened.store.bisection(verdict["id"])
    if not row.request.get("why", True):
        return finished
    over = threading.Event()
    timer = threading.Timer(opened.settings.causes_seconds, over.set)
    timer.daemon = True
    timer.start()
    try:
        explained = explained_here(opened, row, None, None, quiet=quiet, cancelled=over)
        if over.is_set() and not quiet:
            err.print(f"{TIME_IS_OVER}; {GOES_ON}", markup=False)
        return replace(finished, verdict=explained)
    except KeyboardInterrupt:
        err.print(f"The search for causes was stopped; {GOES_ON}", markup=False)
        return finished
    except TfbisectError as error:
        # The verdict stands without it.
        err.print(f"No cause: {error.message}", markup=False)
        return finished
    finally:
        timer.cancel()


def get_ready(opened: House, request: BisectionRequest, listener: Listener, *, yes: bool, quiet: bool) -> None:
    """Choose the runner before anything is started, say what the bisection takes, and let builds be seen."""
    say_runner(opened, quiet=quiet)
    announced = what_it_takes(opened, request)
    with paused(listener):
        announce(announced, yes=yes, quiet=quiet)
    if announced is not None and isinstance(listener, LiveProgress | PlainProgress):
        opened.images.watcher = listener.building


def probe_of(finished: Finished, request: BisectionRequest) -> str:
    """Return the probe that was asked: by default the one for what runs, such as tests."""
    asked = (finished.verdict or {}).get("probe", {})
    return str(asked.get("name", request.probe))


def refuse_here_only(**given: Any) -> None:
    """Refuse options that choose something of this machine where a service is asked.

    Raises:
        BadInput: one was given.
    """
    for name, value in given.items():
        if value is not None:
            raise BadInput(f"--{name} is this machine's and --server asks another one; leave one of them out.")


def say_left_out(asked: Asked, *, quiet: bool) -> None:
    """Print which files a run does not get, and which commands of a notebook its script leaves out."""
    named = {"files that look like secrets": asked.secrets, "of the notebook": commands_left_out(asked.snippet)}
    for what, several in named.items():
        if several and not quiet:
            more = f"; and {len(several) - SHOWN_NAMES} more" if len(several) > SHOWN_NAMES else ""
            err.print(f"left out {what}: {'; '.join(several[:SHOWN_NAMES])}{more}", markup=False)


def say_runner(opened: House, *, quiet: bool) -> None:
    """Choose the runner before anything is started, and print which one and why."""
    choice = opened.runner_choice
    missing = choice.runner.missing_protections()
    if not quiet:
        err.print(f"runner: {choice.runner.name}, {choice.why}", markup=False, soft_wrap=True)
        if missing:
            err.print(f"protections missing here: {', '.join(missing)}", markup=False, soft_wrap=True)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Listener]:
    """Show progress on standard error: live on a terminal, plain lines elsewhere."""
    if quiet:
        yield Silent()
    elif err.is_terminal:
        with LiveProgress(err) as live:
            yield live
    else:
        with PlainProgress(sys.stderr) as plain:
            yield plain


def tell_ending(finished: Finished, expected: frozenset[str], *, as_json: bool) -> None:
    """Print the result of a bisection, and exit with the documented code."""
    verdict, error = finished.verdict, finished.error
    at_fault = error is not None and int(error["exit_code"]) == EXIT_BAD_INPUT
    if as_json and verdict is not None:
        print(json.dumps(verdict if error is None else {**verdict, "error": error}, indent=2))
    elif verdict is not None and not at_fault:
        # If the snippet itself is at fault, there is no result to print.
        _print_lines(verdict, expected)
    if error is not None:
        complain(str(error["title"]), str(error["detail"]), str(error.get("traceback", "")))
        for variant in (verdict or {}).get("variants", ()) if at_fault else ():
            err.print(variant["words"], markup=False)
        raise typer.Exit(int(error["exit_code"]))
    if finished.status != DONE:
        err.print(f"{finished.status}; what was measured is kept. Run the same command again to continue.")
        raise typer.Exit(EXIT_INTERRUPTED)


def _print_lines(verdict: Mapping[str, Any], expected: frozenset[str]) -> None:
    for line in verdict_lines(verdict, expected, width_of_lines()):
        tell(line)


def show(
    bisection_id: Annotated[
        str, typer.Argument(metavar="ID", help="id of the bisection, its beginning, or `last`; see `tfbisect list`")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print the verdict as JSON")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="print a Markdown report to paste into an issue")
    ] = False,
    open_: OpenOption = False,
    server: ServerOption = None,
) -> None:
    """Print a stored bisection."""
    if server:
        with server_at(server, err) as asked:
            found = asked.bisection(bisection_id)
            if open_:
                open_page(asked.page(found["id"]))
            _print_stored(
                found["id"],
                found["status"],
                found["verdict"],
                as_json=as_json,
                report=(lambda: asked.markdown(found["id"])) if markdown else None,
                expected=lambda: asked.expected(found["probe"]),
            )
        return
    with house() as opened:
        named = opened.store.bisection_named(bisection_id, viewer=ADMIN)
        row = with_causes_found(named, opened.store.explanations_of(named.id))
        _print_stored(
            row.id,
            row.status,
            row.verdict,
            as_json=as_json,
            report=(lambda: opened.markdown(row.id)) if markdown else None,
            expected=lambda: opened.intake.probe(row.request["probe"]).expected,
        )
        if open_:
            serve_page(opened, row.id)


def export(
    bisection_id: Annotated[
        str, typer.Argument(metavar="ID", help="id of the bisection, its beginning, or `last`; see `tfbisect list`")
    ],
    to: Annotated[
        Path | None, typer.Option("--to", help="file to write, - for standard output; default: tfbisect-ID.zip")
    ] = None,
    server: ServerOption = None,
) -> None:
    """Write the evidence of a bisection as a zip archive: with it anybody with uv sees both sides of each change."""
    if server:
        with server_at(server, err) as asked:
            name = asked.bisection(bisection_id)["id"]
            _write(asked.evidence(name), name, to)
        return
    with house() as opened:
        name = opened.store.bisection_named(bisection_id, viewer=ADMIN).id
        _write(opened.evidence(name), name, to)


def _write(pieces: Iterator[bytes], bisection_id: str, to: Path | None) -> None:
    """Write an archive; what is there already is only replaced by a whole one."""
    if to == Path("-"):
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    path = to or Path(f"tfbisect-{bisection_id}.zip")
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as stream:
            stream.writelines(pieces)
        fresh.replace(path)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}.", field="to") from None
    finally:
        fresh.unlink(missing_ok=True)
    err.print(f"{path}: unpack it, then `uv run reproduce.py` in evidence/", markup=False, soft_wrap=True)


def _print_stored(
    bisection_id: str,
    status: str,
    verdict: Mapping[str, Any] | None,
    *,
    as_json: bool,
    report: Callable[[], str] | None,
    expected: Callable[[], frozenset[str]],
) -> None:
    """Print a stored bisection in the form that was asked for."""
    if verdict is None:
        raise NotFound(f"bisection {bisection_id} has no verdict yet: it is {status}.")
    if as_json:
        print(json.dumps(verdict, indent=2))
    elif report is not None:
        print(report())
    else:
        _print_lines(verdict, expected())


def print_probes(
    name: Annotated[str | None, typer.Argument(help="show this probe with its outcomes and parameters")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the probes: what each tests, its outcomes and parameters."""
    with house() as opened:
        known = opened.probes
    if name is not None and name not in known:
        raise UnknownName(f"there is no probe {name!r}; choose one of: {', '.join(known)}.", field="probe")
    chosen = [known[name]] if name is not None else list(known.values())
    if as_json:
        print(json.dumps([probe_json(probe) for probe in chosen], indent=2))
    elif name is not None:
        _print_probe(chosen[0])
    else:
        _print_table(("probe", "question", "expected"), ((p.name, p.question, _right(p)) for p in chosen))
        out.print("\nDetails of one probe: tfbisect probes NAME", style="dim", markup=False)


def _print_probe(probe: Probe) -> None:
    out.print(f"{probe.name}: {probe.question}", style="bold", markup=False)
    packages = "any package" if probe.accepts_any_package else ", ".join(sorted(probe.frameworks))
    releases = "all releases" if probe.releases == ".." else f"releases {probe.releases}"
    out.print(f"Supports {packages}, {releases}.\n", markup=False)
    rows = (
        (label, meaning, "expected" if label in probe.expected else "") for label, meaning in probe.outcomes.items()
    )
    _print_table(("outcome", "means", ""), rows)
    if probe.parameters:
        out.print()
        named = ((f"--set {name}=", each.help, json.dumps(each.default)) for name, each in probe.parameters.items())
        _print_table(("parameter", "what it does", "default"), named)


def _right(probe: Probe) -> str:
    return ", ".join(label for label in probe.outcomes if label in probe.expected)


def _print_table(headings: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)
