"""The command line: `tfbisect`, also `python -m service`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from service import token_commands
from service.answers import answer_text
from service.bisection.policy import Branches, Policy
from service.bootstrap import House, set_up_logging
from service.cli_watches import watch_app
from service.conclusion import Finished
from service.doctor import examine, setting_rows
from service.errors import BadInput, NotFound, ReplayError, TfbisectError
from service.execution.executors import serve_worker
from service.execution.runner import Hardware
from service.images_cli import app as images_app
from service.intake import BisectionRequest
from service.progress import Listener, Silent
from service.replay import SHAPE, read_table, run_world, usual_expectation
from service.settings import Role, Settings
from service.storage.exchange import export_lines, import_lines
from service.storage.schema import upgrade
from service.terminal import LiveProgress, PlainProgress, verdict_lines

app = typer.Typer(
    name="tfbisect",
    help="In which releases does my model behave differently: since when, until when, and why?",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(db_app, name="db")
app.add_typer(watch_app, name="watch")
app.add_typer(images_app, name="images")
app.add_typer(token_commands.app, name="tokens")

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

INTERRUPTED = 130
NO_VERDICT = 3


@contextmanager
def house(**overrides: Any) -> Iterator[House]:
    """Open the house with settings overridden, and close it whatever happens."""
    settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    opened = House(settings)
    try:
        yield opened
    finally:
        opened.close()


def read_snippet(path: str) -> str:
    """Return the source in a file, or standard input for "-".

    Raises:
        BadInput: the file is not there, is a folder, or is no UTF-8 text.
    """
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}; name a Python file, or - for standard input.") from None


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of "28,28".

    Raises:
        BadInput: something in it is no whole number.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise BadInput(f"--input-shape {text!r} is no list of whole numbers; write it as 28,28.") from None


def parse_parameters(pairs: list[str]) -> dict[str, Any]:
    """Return probe parameters from NAME=VALUE; a value is JSON where it can be read as such, else text.

    Raises:
        BadInput: a pair without an equals sign.
    """
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadInput(f"--set {pair!r} has no value; write it as NAME=VALUE.")
        try:
            parameters[name] = json.loads(value)
        except ValueError:
            parameters[name] = value
    return parameters


def build_request(**fields: Any) -> BisectionRequest:
    """Return a request.

    Raises:
        BadInput: a field is out of its bounds; the message names it.
    """
    try:
        return BisectionRequest(**{name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{where}: {first['msg']} (got {first['input']!r}).", field=where) from None


@app.command()
def run(
    file: Annotated[
        str, typer.Argument(help="Python source: a model or a whole training script; - reads standard input")
    ],
    package: Annotated[str, typer.Option(help="package whose releases are compared")] = "tensorflow",
    releases: Annotated[
        str, typer.Option(help="1.9..1.14 (both ends; 1.14 means every 1.14.z), 1.9.., ..2.3, or 1.10.1,1.11.0")
    ] = "",
    hardware: Annotated[Hardware, typer.Option(help="cpu or cuda")] = "cpu",
    probe: Annotated[str, typer.Option(help="what is asked of each release; see the probes in the README")] = "dropout",
    input_shape: Annotated[str | None, typer.Option(help="shape of one input, such as 28,28")] = None,
    resolution: Annotated[
        int | None, typer.Option(help="find every behaviour that lasts N mainline releases; 1 measures all")
    ] = None,
    branches: Annotated[Branches, typer.Option(help="patch releases: none, tips or all")] = "tips",
    repeats: Annotated[
        int | None, typer.Option(help="answers that every release needs; default 1, and 2 beside a change")
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="beside the snippet: input-shape, eager, graph, seed, or a .py file"),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="a probe parameter, NAME=VALUE; repeatable")] = None,
    runner: Annotated[str | None, typer.Option(help="auto, docker or local")] = None,
    parallel: Annotated[int | None, typer.Option(help="runs at once; default: one per core")] = None,
    timeout: Annotated[float | None, typer.Option(help="wall clock of one run, in seconds")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="ignore stored observations")] = False,
    complete: Annotated[bool, typer.Option("--complete", help="measure also what could be inferred")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the verdict as JSON")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress")] = False,
) -> None:
    """Bisect a snippet over releases and print the timeline and the verdict.

    Example: `tfbisect run examples/dropout_tutorial.py --releases 1.9..1.14`

    Exit codes: 0 a verdict was reached, 2 bad input, 3 no verdict, 130 interrupted.
    """
    set_up_logging(quiet=quiet)
    request = build_request(
        snippet=read_snippet(file),
        package=package,
        releases=releases,
        hardware=hardware,
        probe=probe,
        input_shape=parse_shape(input_shape),
        resolution=resolution,
        branches=branches,
        repeats=repeats,
        variants=tuple(name for name in variant or () if not name.endswith(".py")),
        variant_snippets={Path(name).stem: read_snippet(name) for name in variant or () if name.endswith(".py")},
        parameters=parse_parameters(set_ or []),
        timeout_seconds=timeout,
        fresh=fresh,
        complete=complete,
    )
    with house(runner=runner, parallel=parallel) as opened:
        expected = opened.intake.probe(request.probe).expected
        with progress(quiet=quiet) as listener:
            finished = opened.submission.run(request, listener, ready=lambda: say_runner(opened, quiet=quiet))
        report(finished, expected, as_json=as_json)


def say_runner(opened: House, *, quiet: bool) -> None:
    """Choose the runner before anything is started, and say which one it is and why."""
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


def report(finished: Finished, expected: frozenset[str], *, as_json: bool) -> None:
    """Print how a bisection ended, and exit by the contract."""
    if as_json and finished.verdict is not None:
        print(json.dumps(finished.verdict, indent=2))
    elif finished.verdict is not None:
        for line in verdict_lines(finished.verdict, expected):
            out.print(line)
    if finished.error is not None:
        fail(str(finished.error["title"]), str(finished.error["detail"]), int(finished.error["exit_code"]))
    if finished.status == "interrupted":
        raise typer.Exit(INTERRUPTED)


def fail(title: str, detail: str, code: int) -> NoReturn:
    """Say what went wrong on standard error and exit."""
    err.print(f"[bold red]{title}:[/] ", end="")
    err.print(detail, markup=False)
    raise typer.Exit(code)


@app.command()
def show(
    bisection_id: Annotated[str, typer.Argument(metavar="ID", help="as `run` and the API give it")],
    as_json: Annotated[bool, typer.Option("--json", help="the verdict as JSON")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="a report to paste into an issue")] = False,
) -> None:
    """Print a stored bisection."""
    with house() as opened:
        row = opened.store.bisection(bisection_id)
        if row.verdict is None:
            raise NotFound(f"bisection {bisection_id} has no verdict yet: it is {row.status}.")
        if as_json:
            print(json.dumps(row.verdict, indent=2))
        elif markdown:
            print(opened.markdown(bisection_id))
        else:
            expected = opened.intake.probe(row.request["probe"]).expected
            for line in verdict_lines(row.verdict, expected):
                out.print(line)


@app.command()
def replay(
    file: Annotated[str, typer.Argument(help="JSON table of outcomes, oldest release first; - reads standard input")],
    resolution: Annotated[int | None, typer.Option(min=1, help="as for run")] = None,
    branches: Annotated[Branches, typer.Option(help="none, tips or all")] = "tips",
    workers: Annotated[int, typer.Option(min=1, max=256, help="runs at once in a round")] = 1,
    seed: Annotated[int, typer.Option(help="for rows with probabilities")] = 0,
    expected: Annotated[
        list[str] | None, typer.Option(help="an outcome that is right; repeatable; default: drops, or good")
    ] = None,
    complete: Annotated[bool, typer.Option("--complete", help="measure also what could be inferred")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the verdict, runs and rounds as JSON")] = False,
) -> None:
    """Plan against a table of outcomes instead of containers, and print each round.

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
    for line in verdict_lines(result.to_json()["verdict"], right):
        out.print(line)


def _table_in(file: str) -> object:
    """Return the JSON in a file.

    Raises:
        ReplayError: it is no JSON; the message names the line.
    """
    try:
        return json.loads(read_snippet(file))
    except ValueError as error:
        raise ReplayError(f"{file} is no JSON: {error}; write {SHAPE}.") from None


@app.command()
def releases(
    package: Annotated[str, typer.Option(help="package whose releases are listed")] = "tensorflow",
    hardware: Annotated[Hardware, typer.Option(help="cpu or cuda")] = "cpu",
    only: Annotated[str, typer.Option("--releases", help="a range, such as 1.9..1.14")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="rows as JSON")] = False,
) -> None:
    """Print the catalog: release, upload date, Python, hardware, image state, why untestable."""
    with house() as opened:
        rows = opened.release_rows(package, hardware, only)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("release", "line", "uploaded", "python", "hardware", "image", "untestable"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            *(
                str(row[name] or "")
                for name in ("release", "line", "uploaded", "python", "hardware", "image", "untestable")
            )
        )
    out.print(table)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="address to listen on; outside loopback, require tokens")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask scheduler, for several machines")] = None,
    role: Annotated[
        Role, typer.Option(help="all; web: no coordinator here, so no engine; coordinator: no web")
    ] = "all",
) -> None:
    """Serve the API and the web pages, with coordinator and scheduler in this process."""
    from service.serving import serve_until_stopped  # noqa: PLC0415 - the web stack costs every other command 0.3 s

    set_up_logging()
    with house(scheduler=scheduler) as opened:
        serve_until_stopped(opened, host, port, role)


@app.command()
def worker(
    scheduler: Annotated[str, typer.Argument(help="address of a Dask scheduler, such as tcp://host:8786")],
) -> None:
    """Offer this machine to a scheduler: it runs the probes of a service elsewhere."""
    set_up_logging()
    with house() as opened:
        opened.runner  # noqa: B018 - chosen now: a machine without one says so at once
        asyncio.run(serve_worker(scheduler, opened.execute, opened.settings))


@app.command()
def doctor(
    settings: Annotated[bool, typer.Option("--settings", help="list every setting with its value and origin")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Say what works on this machine, and what to do about what does not."""
    with house() as opened:
        if settings:
            _print_settings(setting_rows(opened.settings), as_json=as_json)
            return
        findings = examine(opened)
    if as_json:
        print(json.dumps([finding.__dict__ for finding in findings], indent=2))
    else:
        for finding in findings:
            mark = {"ok": "[green]ok[/]  ", "warning": "[yellow]note[/]", "failure": "[red]no[/]  "}[finding.state]
            out.print(f"{mark} {finding.subject}: ", end="")
            out.print(finding.message, markup=False)
    if any(finding.state == "failure" for finding in findings):
        raise typer.Exit(NO_VERDICT)


def _print_settings(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print every setting."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("setting", "value", "what it does"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(row["name"], row["value"], row["description"])
    out.print(table)


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to this version's schema."""
    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.store_url)
    err.print("The database is up to date.")


@db_app.command("export")
def db_export() -> None:
    """Write everything in the database to standard output, as JSON Lines."""
    for line in export_lines(Settings().store_url):
        sys.stdout.write(line + "\n")


@db_app.command("import")
def db_import() -> None:
    """Fill a new database with what `db export` wrote, from standard input; all or nothing."""
    counts = import_lines(Settings().store_url, sys.stdin)
    err.print("Imported: " + ", ".join(f"{number} {name}" for name, number in counts.items()) + ".")


@app.command()
def nightly(
    as_json: Annotated[bool, typer.Option("--json", help="the summary as JSON")] = False,
    watches: Annotated[Path | None, typer.Option(help="folder of watch files; default: TFBISECT_WATCHES_DIR")] = None,
) -> None:
    """Make one pass over all watches: run what is new, compare, tell.

    Exit codes: 0 nothing changed, 10 a verdict changed, 3 a watch failed.
    """
    set_up_logging()
    with house(watches_dir=watches) as opened:
        summary = opened.make_pass()
    if as_json:
        print(json.dumps(summary.as_json(), indent=2))
    else:
        for line in summary.lines():
            out.print(line, markup=False)
    raise typer.Exit(summary.exit_code)


def main() -> None:
    """Run the command line; an error of ours is one clear line, never a traceback."""
    try:
        app(standalone_mode=True)
    except TfbisectError as error:
        err.print(f"[bold red]{error.title}:[/] ", end="")
        err.print(error.message, markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("Interrupted; what was measured is kept, and the same command goes on from there.")
        sys.exit(INTERRUPTED)
