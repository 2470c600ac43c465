"""`tfbisect watch`: add, list and remove watches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from service.bootstrap import House, set_up_logging
from service.cli.console import err, house, opened_store
from service.cli.options import (
    AsOfOption,
    BadPatternOption,
    BranchesOption,
    CompleteOption,
    ExpectOption,
    FilesOption,
    HardwareOption,
    ImageSourceOption,
    InputShapeOption,
    JudgeByOption,
    PatternOption,
    PrereleasesOption,
    ProbeOption,
    PythonOption,
    RegressOption,
    ReleasesOption,
    RepeatsOption,
    RequirementsOption,
    ResolutionOption,
    SetOption,
    TimeoutOption,
    ToleranceOption,
    VariantOption,
    WholeOption,
    WhyOption,
    WithOption,
    WordsArgument,
    request_of_options,
)
from service.cli.projects import Asked, read_asked
from service.coordination.intake import BisectionRequest
from service.errors import Unavailable
from service.nightly.watches import read_watch, watch_from
from service.printable import printable
from service.projects.files import Bounds
from service.secret_urls import host_of
from service.storage.records import ADMIN
from service.storage.store import Store
from service.storage.watch_records import NewWatch, Watch

UNREPEATED = ("package", "fresh", "watch", "snippet")
"""What of an earlier request is not repeated as it is."""

watch_app = typer.Typer(help="Add, list and remove watches: bisections that the nightly repeats.", no_args_is_help=True)


@watch_app.command("add")
def add(
    source: Annotated[
        str,
        typer.Argument(help="a Python file, a project's folder, a watch file (.toml), or a bisection's id (or `last`)"),
    ],
    words: WordsArgument = None,
    files: FilesOption = None,
    name: Annotated[str | None, typer.Option(help="name of the watch; default: the name of the file")] = None,
    package: Annotated[list[str] | None, typer.Option(help="package to watch; repeatable")] = None,
    webhook: Annotated[list[str] | None, typer.Option(help="URL that receives signed JSON; repeatable")] = None,
    slack: Annotated[list[str] | None, typer.Option(help="URL of a Slack-compatible webhook; repeatable")] = None,
    mail: Annotated[list[str] | None, typer.Option(help="mail address; repeatable")] = None,
    blind_after: Annotated[int, typer.Option(min=1, help="notify after this many nights without a result")] = 3,
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
    why: WhyOption = True,
    python: PythonOption = None,
    as_of: AsOfOption = None,
    hardware: HardwareOption = "cpu",
    image_source: ImageSourceOption = None,
    timeout: TimeoutOption = None,
) -> None:
    """Watch a snippet, a project or an earlier bisection: the nightly repeats it.

    It takes the options of `tfbisect run`, and refuses what that would refuse.
    """
    given = {**locals(), "fresh": False}
    set_up_logging()
    notify = [
        {"channel": channel, "target": target}
        for channel, targets in (("webhook", webhook), ("slack", slack), ("mail", mail))
        for target in targets or ()
    ]
    about: dict[str, Any] = {"name": name, "notify": notify, "blind_after": blind_after}
    packages = tuple(package or ())
    with house() as opened:
        added = opened.store.add_watch(_new(opened, source, given, about, packages))
    print(f"{added.id}  {added.name}")


def _new(
    opened: House, source: str, given: Mapping[str, Any], about: Mapping[str, Any], packages: Sequence[str]
) -> NewWatch:
    """Return the watch that was asked for, checked as `tfbisect run` checks it."""
    path = Path(source)
    if path.suffix == ".toml":
        return read_watch(path)
    if path.exists():
        return _of_source(opened, path, given, about, packages or ("tensorflow",))
    bisection = opened.store.bisection_named(source, viewer=ADMIN)
    request = {name: value for name, value in bisection.request.items() if name not in UNREPEATED}
    # What is asked for now wins over what was asked for then.
    options, _ = request_of_options({**given, "package": bisection.package}, Asked(""))
    changed = options.model_dump(mode="json", exclude_defaults=True, exclude=set(UNREPEATED))
    spec = {
        **about,
        "name": about["name"] or f"bisection-{bisection.id}",
        "snippet": opened.store.snippet(bisection.snippet_digest),
        "request": {**request, **changed},
        "packages": [{"package": one} for one in packages or (bisection.package,)],
    }
    return watch_from(spec, origin="cli", public=bisection.public, owner=bisection.owner)


def _of_source(
    opened: House, path: Path, given: Mapping[str, Any], about: Mapping[str, Any], packages: Sequence[str]
) -> NewWatch:
    """Return the watch of a script or a project; each package is checked."""
    asked = read_asked(str(path), given["words"] or (), given["files"] or (), Bounds(*opened.settings.project_bounds))
    requests = [request_of_options({**given, "package": package}, asked)[0] for package in packages]
    for request in requests:
        _check(opened, request, asked)
    if asked.project is not None:
        opened.store.put_project(asked.project.digest, asked.project.packed)
    kept = requests[0].model_dump(mode="json", exclude_unset=True, exclude={"package", "snippet"})
    spec = {
        **about,
        "name": about["name"] or path.stem,
        "snippet": asked.snippet,
        "request": kept,
        "packages": [{"package": package} for package in packages],
    }
    return watch_from(spec, origin="cli")


def _check(opened: House, request: BisectionRequest, asked: Asked) -> None:
    """Refuse what `tfbisect run` would refuse; an index that does not respond is asked in the night."""
    try:
        opened.intake.case(request, asked.project)
    except Unavailable as error:
        err.print(f"not checked against the releases of {request.package}: {error.message}", markup=False)


@watch_app.command("list")
def list_watches(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """List watches with their last result."""
    with opened_store() as store:
        rows = [_row(store, watch) for watch in store.watches()]
    if as_json:
        print(json.dumps(rows, indent=2, default=str))
        return
    for row in rows:
        line = f"{row['id']}  {row['name']:<24} {', '.join(row['watched']):<24} {row['last']}"
        print(printable(line))


def _row(store: Store, watch: Watch) -> dict[str, Any]:
    nights = store.history(watch.id, limit=1).rows
    last = f"{nights[0].finished_at:%Y-%m-%d} {nights[0].status}: {nights[0].message}" if nights else "no night yet"
    notify = [{**entry, "target": host_of(entry["target"])} for entry in watch.notify]
    return {
        **asdict(watch),
        "notify": notify,
        "watched": [str(package["package"]) for package in watch.packages],
        "last": last,
    }


@watch_app.command("remove")
def remove(id_or_name: Annotated[str, typer.Argument(help="id or name")]) -> None:
    """Remove a watch; its history is kept. A watch from a file returns with the next pass."""
    with opened_store() as store:
        print(f"{store.remove_watch(id_or_name).name} is no longer watched")
