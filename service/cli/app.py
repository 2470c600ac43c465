"""The command line: `tfbisect`, also `python -m service`."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service import __version__
from service.bisection.policy import Branches, Policy
from service.bisection.words import answer_text
from service.bootstrap import WorkerHouse, set_up_logging
from service.catalog.targets import Hardware
from service.cli import check as cli_check
from service.cli import minimise as cli_minimise
from service.cli import run as cli_run
from service.cli import tokens as token_commands
from service.cli import why as cli_why
from service.cli.console import complain, err, house, out, tell, width_of_lines
from service.cli.doctor import examine, setting_rows
from service.cli.images import app as images_app
from service.cli.listing import list_stored
from service.cli.requests import read_snippet
from service.cli.terminal import verdict_lines
from service.cli.walls import walls
from service.cli.watches import watch_app
from service.coordination.replay import SHAPE, read_table, run_world, usual_expectation
from service.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_NO_ANSWER, ReplayError, TfbisectError
from service.execution.dask_cluster import serve_scheduler, serve_worker
from service.settings import Role, Settings
from service.storage.exchange import export_lines, import_lines
from service.storage.schema import upgrade

app = typer.Typer(
    name="tfbisect",
    help="In which releases does my model behave differently: since when, until when, and why?",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
db_app = typer.Typer(help="Upgrade, export and import the database.", no_args_is_help=True)
app.add_typer(db_app, name="db")
app.add_typer(watch_app, name="watch")
app.add_typer(images_app, name="images")
app.add_typer(token_commands.app, name="tokens")

app.command("run", epilog=cli_run.RUN_EXAMPLES)(cli_run.run)
app.command("check", epilog=cli_check.EXAMPLES)(cli_check.check)
app.command("why", epilog=cli_why.EXAMPLES)(cli_why.why)
app.command("minimise", epilog=cli_minimise.EXAMPLES)(cli_minimise.minimise)
app.command("list")(list_stored)
app.command("show")(cli_run.show)
app.command("export")(cli_run.export)
app.command("probes")(cli_run.print_probes)


FIRST_STEPS = """\
tfbisect: in which releases does a model behave differently, since when, until
when, and why?

  tfbisect doctor                             what works on this machine
  tfbisect run model.py --releases 2.4..2.16  bisect a model or a script
  tfbisect check model.py --from 2.15         may this model be upgraded?
  tfbisect why last                           what caused each change?
  tfbisect list                               stored bisections
  tfbisect show last                          the newest one again
  tfbisect serve                              the same in a browser
  tfbisect --help                             all commands
"""


def print_version(asked: bool) -> None:
    """Print name, version and, in a checkout, the commit; then exit."""
    if asked:
        commit = commit_here()
        print(f"tfbisect {__version__}" + (f" ({commit})" if commit else ""))
        raise typer.Exit


def commit_here() -> str:
    """Return the commit of the checkout that this runs from; "" where it is not known."""
    top = Path(__file__).parents[2]
    git = shutil.which("git")
    if git is None or not (top / ".git").exists():
        return ""
    command = [git, "-C", str(top), "rev-parse", "--short=12", "HEAD"]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else ""


@app.callback(invoke_without_command=True)
def without_a_command(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  (its callback prints it)
        bool, typer.Option("--version", help="print the version", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """In which releases does my model behave differently: since when, until when, and why?"""
    if context.invoked_subcommand is None:
        print(FIRST_STEPS, end="")


@app.command("replay")
def replay_table(
    file: Annotated[str, typer.Argument(help="JSON table of outcomes, oldest release first; - for standard input")],
    resolution: Annotated[int | None, typer.Option(min=1, help="as in `tfbisect run`")] = None,
    branches: Annotated[Branches, typer.Option(help="none, tips or all")] = "tips",
    workers: Annotated[int, typer.Option(min=1, max=256, help="how many runs each round may hold")] = 1,
    seed: Annotated[int, typer.Option(help="random seed for rows with probabilities")] = 0,
    expected: Annotated[
        list[str] | None, typer.Option(help="expected outcome; repeatable; default: drops, or good")
    ] = None,
    complete: Annotated[bool, typer.Option("--complete", help="also measure releases that could be inferred")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the verdict, runs and rounds as JSON")] = False,
) -> None:
    """Bisect a table of outcomes instead of running containers, and print each round.

    A row is `{"release": "1.12.0", "outcome": "drops"}`, `{"release": …, "outcomes": {"drops": 0.9, "flips": 0.1}}`
    or `{"release": …, "untestable": "no wheel"}`.
    """
    world = read_table(_table_in(file))
    right = frozenset(expected) if expected else usual_expectation(world)
    policy = Policy(expected=right, resolution=resolution, branches=branches, workers=workers, complete=complete)
    result = run_world(world, policy, seed)
    if as_json:
        print(json.dumps(result.to_json(), indent=2))
        return
    for step in result.rounds:
        runs = ", ".join(f"{run.release} {run.purpose}: {answer_text(answer)}" for run, answer in step.runs)
        out.print(f"round {step.number}  {runs}", markup=False)
    out.print()
    for line in verdict_lines(result.to_json()["verdict"], right, width_of_lines()):
        tell(line)


def _table_in(file: str) -> object:
    """Return the JSON in a file.

    Raises:
        ReplayError: it is not JSON; the message names the line.
    """
    try:
        return json.loads(read_snippet(file))
    except ValueError as error:
        raise ReplayError(f"{file} is not JSON: {error}; write {SHAPE}.") from None


@app.command("releases")
def print_releases(
    package: Annotated[str, typer.Option(help="package to list")] = "tensorflow",
    hardware: Annotated[Hardware, typer.Option(help="cpu or cuda")] = "cpu",
    only: Annotated[str, typer.Option("--releases", help="a range, such as 1.9..1.14")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print the rows as JSON")] = False,
) -> None:
    """List releases with upload date, Python, hardware, image, and why a release is untestable."""
    with house() as opened:
        rows = opened.release_rows(package, hardware, only)
        standing = opened.catalog.standing(package)
    if standing is not None and standing.problem:
        err.print(f"as of {standing.as_of:%Y-%m-%d %H:%M} UTC; {standing.problem}", markup=False)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    columns = ("release", "line", "uploaded", "python", "hardware", "image", "untestable")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns:
        table.add_column(heading, overflow="fold", no_wrap=heading != "untestable")
    for row in rows:
        # Its reference is in --json, and in `tfbisect images list`.
        shown = {**row, "image": "built" if row["image"] else "", "untestable": escape(row["untestable"] or "")}
        table.add_row(*(str(shown[name] or "") for name in columns))
    out.print(table)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="address to listen on; require tokens if it is not loopback")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask scheduler, to use several machines")] = None,
    role: Annotated[
        Role, typer.Option(help="all; web: pages and API only, needs no engine; coordinator: no pages or API")
    ] = "all",
) -> None:
    """Serve the web pages and the API, and run the submitted bisections and the nightly."""
    from service.cli.serve import serve_until_stopped  # noqa: PLC0415 - the web stack costs every other command 0.3 s

    set_up_logging()
    with house(scheduler=scheduler) as opened:
        serve_until_stopped(opened, host, port, role)


@app.command()
def worker(
    scheduler: Annotated[
        str | None, typer.Argument(help="address of a scheduler, such as tcp://host:8786; else TFBISECT_SCHEDULER")
    ] = None,
    name: Annotated[str | None, typer.Option(help="name of this worker in the scheduler's pages")] = None,
    listen: Annotated[
        str, typer.Option(help="address at which the scheduler reaches this worker, such as tcp://0.0.0.0:8787")
    ] = "",
) -> None:
    """Make this machine a worker of a scheduler: it runs probes for a service elsewhere, and needs no database."""
    set_up_logging()
    with house(WorkerHouse, scheduler=scheduler) as opened:
        if not opened.settings.scheduler:
            raise typer.BadParameter("name the scheduler, or set TFBISECT_SCHEDULER", param_hint="SCHEDULER")
        runner = opened.runner  # chosen now: a machine without one says so at once
        asyncio.run(serve_worker(opened.settings, runner.run, runner.end, name=name, listen=listen))


@app.command()
def scheduler(
    host: Annotated[str, typer.Option(help="address to listen on; whoever reaches it can run code")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="for workers and coordinators")] = 8786,
    dashboard_port: Annotated[
        int, typer.Option(min=0, max=65535, help="of its pages about workers and runs, without a password; 0: none")
    ] = 0,
) -> None:
    """Start the scheduler of a cluster: `tfbisect worker` and `tfbisect serve --scheduler` connect to it."""
    set_up_logging()
    asyncio.run(serve_scheduler(Settings(), host, port, dashboard_port))


@app.command()
def doctor(
    settings: Annotated[bool, typer.Option("--settings", help="list every setting with its value")] = False,
    security: Annotated[bool, typer.Option("--security", help="list the protections around a run")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Check this machine, and say how to fix what does not work."""
    with house() as opened:
        if settings:
            _print_settings(setting_rows(opened.settings), as_json=as_json)
            return
        findings = walls(opened) if security else examine(opened)
    if as_json:
        print(json.dumps([finding.__dict__ for finding in findings], indent=2))
    else:
        for finding in findings:
            mark = {"ok": "[green]ok[/]  ", "warning": "[yellow]note[/]", "failure": "[red]no[/]  "}[finding.state]
            out.print(f"{mark} {finding.subject}: ", end="")
            out.print(finding.message, markup=False)
    if any(finding.state == "failure" for finding in findings):
        raise typer.Exit(EXIT_NO_ANSWER)


def _print_settings(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        tell(Text(f"{row['name']} = {row['value']}", style="bold"))
        tell(Text(f"    {row['description']}"))


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Upgrade the database schema to this version."""
    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.store_url.reveal())
    err.print("The database is up to date.")


@db_app.command("export")
def db_export() -> None:
    """Export the whole database to standard output, as JSON Lines."""
    for line in export_lines(Settings().store_url.reveal()):
        sys.stdout.write(line + "\n")


@db_app.command("import")
def db_import() -> None:
    """Import the output of `db export` from standard input into a new database; all or nothing."""
    counts = import_lines(Settings().store_url.reveal(), sys.stdin)
    err.print("Imported: " + ", ".join(f"{number} {name}" for name, number in counts.items()) + ".")


@app.command()
def nightly(
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
    watches: Annotated[Path | None, typer.Option(help="folder with watch files; default: TFBISECT_WATCHES_DIR")] = None,
    example: Annotated[
        bool, typer.Option("--example", help="run the watch that comes with tfbisect; it builds some thirty images")
    ] = False,
) -> None:
    """Make one pass over all watches: test new releases, compare verdicts, send notifications.

    Exit codes: 0 nothing changed, 10 a verdict changed, 3 a watch failed, 130 interrupted.
    """
    set_up_logging()
    with house(watches_dir=watches) as opened, stopped_by_signals() as stop:
        summary = opened.make_pass(stop, example=example)
        nothing = not example and not opened.settings.watches_dir and not opened.store.watches()
    if nothing and not as_json:
        err.print("There is no watch. Add one: tfbisect watch add FILE; or try --example.", markup=False)
    if as_json:
        print(json.dumps(summary.as_json(), indent=2))
    else:
        for line in summary.lines():
            out.print(line, markup=False)
    raise typer.Exit(summary.exit_code)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Yield an event that is set when the process is told to end, so that it can stop in order."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> None:
    """Run the command line; our own errors are one clear line, never a traceback."""
    try:
        app(standalone_mode=True)
    except TfbisectError as error:
        complain(error.title, error.message, error.traceback)
        sys.exit(error.exit_code)
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        complain("Invalid settings", wrong_settings(error))
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        err.print("Interrupted. What was measured is kept; run the same command again to continue.")
        sys.exit(EXIT_INTERRUPTED)


def wrong_settings(error: ValidationError) -> str:
    """Return which settings are invalid and why, without their values, which may be passwords."""
    faults = ((".".join(map(str, fault["loc"])).upper(), fault["msg"]) for fault in error.errors(include_input=False))
    return "; ".join(f"TFBISECT_{name}: {message.removeprefix('Value error, ')}" for name, message in faults)
