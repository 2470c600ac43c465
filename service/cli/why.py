"""`tfbisect why`: what caused each change of a stored bisection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from service.bisection.upgrades import MOST_RUNS
from service.bootstrap import House, set_up_logging
from service.cli.console import err, house, out
from service.cli.remote import ServerOption, server_at
from service.cli.why_locks import Compared, why_locks
from service.errors import BadInput
from service.printable import printable
from service.reports.causes import CauseCard, cause_cards, changes_like, verdict_explained, with_likes
from service.storage.records import ADMIN, Bisection

LOCKS_AND_SCRIPT = 3
EXAMPLES = """
**Examples**

`tfbisect why last` : the causes of the newest bisection's changes

`tfbisect why last --change 2 --budget 100` : of its second change, with more hypotheses

`tfbisect why last --diff` : with the lines that differ in what is named

`tfbisect why old.txt new.txt my_script.py` : which packages' upgrades between two lock files change the script
"""


def why(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="ID | OLD NEW SCRIPT",
            help="id of the bisection, its beginning, or `last`; see `tfbisect list`. Or two lock files and a script",
        ),
    ],
    change: Annotated[
        int | None, typer.Option(min=1, help="only the cause of this change, as the verdict counts them")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, max=1000, help="hypotheses at most for each change; default: 100")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the changes with their causes as JSON")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="print the lines that differ in what is named")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="show no progress")] = False,
    package: Annotated[
        str, typer.Option(help="of two lock files: the package that is imported first; default: a framework")
    ] = "",
    aspect: Annotated[
        str, typer.Option(help="of two lock files: what counts, such as ends or prints; default: what differs")
    ] = "",
    server: ServerOption = None,
) -> None:
    """Say what caused each change of a stored bisection: package, definitions, switches.

    What was found before is told at once; only hypotheses that nobody has run yet are run. Of two lock files
    (requirements, pip freeze, uv.lock, poetry.lock, pylock.toml) it says which packages' upgrades, together, change
    what a script does.
    """
    set_up_logging(quiet=quiet)
    if len(words) == LOCKS_AND_SCRIPT:
        if server or change or diff:
            raise BadInput("two lock files are compared on this machine, without --server, --change and --diff.")
        old, new, script = words
        compared = Compared(package, aspect, budget or MOST_RUNS)
        why_locks((Path(old), Path(new)), script, compared, as_json=as_json, quiet=quiet)
        return
    if len(words) != 1:
        raise BadInput("name a bisection, or two lock files and a script: tfbisect why old.txt new.txt script.py.")
    bisection_id = words[0]
    if server:
        with server_at(server, err) as asked:
            verdict: Mapping[str, Any] = asked.why(bisection_id, budget, quiet=quiet)
    else:
        with house() as opened:
            row = opened.store.bisection_named(bisection_id, viewer=ADMIN)
            verdict = explained_here(opened, row, change, budget, quiet=quiet)
    changes = [each for number, each in enumerate(verdict.get("changes", ()), 1) if change in (None, number)]
    if change is not None and not changes:
        raise BadInput(f"there is no change {change}.", field="change")
    if as_json:
        print(json.dumps({"id": verdict.get("id"), "changes": changes}, indent=2))
        return
    cards = [card for card in cause_cards(verdict) if change in (None, card.number)]
    if not cards:
        out.print("No change, so no cause.")
    for line in (line for card in cards for line in card_lines(card, diff=diff)):
        out.print(line)


def explained_here(
    opened: House,
    row: Bisection,
    change: int | None,
    budget: int | None,
    *,
    quiet: bool,
    cancelled: threading.Event | None = None,
) -> Mapping[str, Any]:
    """Find the causes of a stored bisection's changes on this machine, and return its verdict with them."""

    def tell(words: str) -> None:
        if not quiet:
            err.print(printable(words), style="dim", markup=False, soft_wrap=True)

    only = None if change is None else change - 1
    hypotheses = budget or opened.settings.causes_budget
    found = opened.explaining.explain(row, only=only, budget=hypotheses, tell=tell, cancelled=cancelled)
    verdict = verdict_explained(row.verdict or {}, found)
    return with_likes(verdict, changes_like(opened.store, row.id, ADMIN))


def card_lines(card: CauseCard, *, diff: bool) -> Iterator[Text]:
    """Yield what a terminal shows of a cause."""
    yield Text(printable(f"Cause {card.number}. {card.title}"), style="bold")
    for culprit in card.culprits:
        yield Text(f"  {printable(culprit.name)}", style="bold yellow") + Text(f"  {printable(culprit.place)}")
        if culprit.note:
            yield Text(printable(f"    {culprit.note}"), style="dim")
        if diff:
            for words in filter(None, (culprit.url, culprit.history, culprit.licence)):
                yield Text(printable(f"    {words}"), style="dim")
            yield from (Text(printable(f"    {line}"), style=_style(line)) for line in culprit.diff.splitlines())
    yield from (Text(printable(f"  {fact}")) for fact in card.facts)
    yield from (Text(printable(f"    {release}: {each}"), style="dim") for release, each in card.signatures)
    yield from (Text(printable(f"    {line}"), style=_style(line)) for line in card.edit.splitlines())


def _style(line: str) -> str:
    return {"+": "green", "-": "red"}.get(line[:1], "dim")
