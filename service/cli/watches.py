"""`tfbisect watch`: add, list and remove watches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from service.catalog.probes import DEFAULT_PROBE
from service.catalog.snippets import read_source
from service.cli.console import opened_store
from service.nightly.watches import read_watch, watch_from
from service.printable import printable
from service.secret_urls import host_of
from service.storage.records import ADMIN
from service.storage.store import Store
from service.storage.watch_records import NewWatch, Watch

watch_app = typer.Typer(help="Add, list and remove watches: bisections that the nightly repeats.", no_args_is_help=True)


@watch_app.command("add")
def add(
    source: Annotated[
        str, typer.Argument(help="a Python file, a watch file (.toml), or the id of a bisection (or `last`)")
    ],
    name: Annotated[str | None, typer.Option(help="name of the watch; default: the name of the file")] = None,
    package: Annotated[list[str] | None, typer.Option(help="package to watch; repeatable")] = None,
    releases: Annotated[str, typer.Option(help="range, such as 2.0..; default: all supported releases")] = "",
    probe: Annotated[str, typer.Option(help="what to test in each release")] = DEFAULT_PROBE,
    with_: Annotated[
        list[str] | None, typer.Option("--with", help="package that the script needs, as in `tfbisect run`; repeatable")
    ] = None,
    webhook: Annotated[list[str] | None, typer.Option(help="URL that receives signed JSON; repeatable")] = None,
    slack: Annotated[list[str] | None, typer.Option(help="URL of a Slack-compatible webhook; repeatable")] = None,
    mail: Annotated[list[str] | None, typer.Option(help="mail address; repeatable")] = None,
    blind_after: Annotated[int, typer.Option(min=1, help="notify after this many nights without a result")] = 3,
) -> None:
    """Watch a snippet or an earlier bisection: the nightly repeats it."""
    notify = [
        {"channel": channel, "target": target}
        for channel, targets in (("webhook", webhook), ("slack", slack), ("mail", mail))
        for target in targets or ()
    ]
    asked: dict[str, Any] = {"name": name, "notify": notify, "blind_after": blind_after}
    asked |= {"packages": [{"package": one} for one in package or ["tensorflow"]]}
    asked |= {"request": {"releases": releases, "probe": probe, "with": with_ or []}}
    with opened_store() as store:
        added = store.add_watch(_new(store, source, asked))
    print(f"{added.id}  {added.name}")


def _new(store: Store, source: str, asked: Mapping[str, Any]) -> NewWatch:
    path = Path(source)
    if path.suffix == ".toml":
        return read_watch(path)
    if path.exists():
        spec = {**asked, "name": asked["name"] or path.stem, "snippet": read_source(path)}
        return watch_from(spec, origin="cli")
    bisection = store.bisection_named(source, viewer=ADMIN)
    request = {name: value for name, value in bisection.request.items() if name not in {"package", "fresh", "watch"}}
    spec = {
        **asked,
        "name": asked["name"] or f"bisection-{bisection.id}",
        "snippet": store.snippet(bisection.snippet_digest),
        "request": request,
        "packages": [{"package": bisection.package}],
    }
    return watch_from(spec, origin="cli", public=bisection.public, owner=bisection.owner)


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
