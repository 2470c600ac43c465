"""`tfbisect list`, and how an id is typed: whole, by its beginning, or as `last`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from service.cli.console import err, opened_store, out, tell
from service.cli.remote import ServerOption, server_at
from service.reports.naming import called, name_of
from service.reports.views import headline, title_of
from service.storage.records import ADMIN, Bisection, Search
from service.storage.store import Store


def list_stored(
    text: Annotated[list[str] | None, typer.Argument(help="words that the snippet must contain")] = None,
    package: Annotated[str | None, typer.Option(help="of this package")] = None,
    probe: Annotated[str | None, typer.Option(help="by this probe")] = None,
    status: Annotated[str | None, typer.Option(help="queued, running, done, failed or cancelled")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many, newest first")] = 20,
    server: ServerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List stored bisections, newest first; `last` or the beginning of an id stands for it everywhere."""
    words = " ".join(text or ())
    if server:
        with server_at(server, err) as asked:
            found = asked.bisections(limit, status=status, probe=probe, package=package, q=words)
            rows = [_row_of_json(each, asked.snippet(each["id"])) for each in found]
    else:
        search = Search(status=status, probe=probe, package=package, text=words)
        with opened_store() as store:
            page = store.bisections(search, limit=limit, viewer=ADMIN)
            rows = [_row(store, each) for each in page.rows]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif rows:
        for row in rows:
            for line in _lines(row):
                tell(line)
    else:
        narrowed = text or package or probe or status
        out.print("No bisection matches." if narrowed else "No bisections yet. Start one: tfbisect run FILE")


def _row(store: Store, bisection: Bisection) -> dict[str, Any]:
    verdict = bisection.verdict or {}
    return {
        "id": bisection.id,
        "name": called(bisection.request, store.snippet(bisection.snippet_digest)),
        "status": bisection.status,
        "package": bisection.package,
        "releases": str(bisection.request.get("releases") or ""),
        "probe": bisection.probe,
        "created_at": bisection.created_at.isoformat(),
        "title": title_of(bisection),
        "summary": headline(bisection, verdict),
    }


def _row_of_json(summary: Mapping[str, Any], snippet: str) -> dict[str, Any]:
    """Return a row of what a service says; the range is in a bisection of its own only."""
    kept = {name: summary[name] for name in ("id", "status", "package", "probe", "created_at")}
    said = summary.get("summary") or str(summary["status"]).capitalize()
    return {**kept, "name": name_of(snippet), "title": summary["package"], "summary": said}


def _lines(row: dict[str, Any]) -> tuple[Text, Text]:
    """Return the two lines of a bisection: which one it is, and what was found."""
    first = f"{row['id']}  {row['created_at'][:16].replace('T', ' ')}  {row['name']}"
    return Text(first), Text(f"  {row['title']}: ").append(row["summary"] or row["status"], style="bold")
