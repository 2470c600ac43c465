"""`tfbisect tokens`: create, list and revoke API tokens."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from service.cli.console import err, opened_store, out
from service.storage.records import Token

app = typer.Typer(help="Create, list and revoke API tokens of the web service.", no_args_is_help=True)

MOMENTS = ("created_at", "expires_at", "last_used_at")
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="what the token is for; several tokens may share a name")],
    scope: Annotated[list[str], typer.Option(help="read, submit or admin; admin includes the others; repeatable")],
    expires_days: Annotated[float | None, typer.Option(min=0, help="days until it expires; default: never")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a token and print it. It is shown only once; only its digest is stored."""
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    with opened_store() as store:
        token, secret = store.create_token(name, scope, expires_at)
    if as_json:
        typer.echo(json.dumps({**token_json(token), "token": secret}))
        return
    typer.echo(secret)
    err.print(f"token {token.id} ({name}), scopes {', '.join(sorted(token.scopes))}; it will not be shown again.")


@app.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List every token, without its secret."""
    with opened_store() as store:
        tokens = store.tokens()
    if as_json:
        typer.echo(json.dumps([token_json(token) for token in tokens]))
        return
    table = Table("id", "name", "scopes", "created", "expires", "last used", "state", box=None)
    for token in tokens:
        said = token_json(token)
        moments = [
            (said[moment] or "-")[:16].replace("T", " ") for moment in ("created_at", "expires_at", "last_used_at")
        ]
        table.add_row(token.id, token.name, " ".join(said["scopes"]), *moments, said["state"])
    out.print(table)


@app.command()
def revoke(
    id_or_name: Annotated[str, typer.Argument(help="id of a token, or a name: revokes all tokens of that name")],
) -> None:
    """Revoke a token for good."""
    with opened_store() as store:
        closed = store.revoke_token(id_or_name)
    typer.echo(f"{closed} token{'' if closed == 1 else 's'} revoked")


def token_json(token: Token) -> dict[str, Any]:
    """Return a token as JSON; its secret is not stored."""
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "created_at": token.created_at.isoformat(),
        "expires_at": token.expires_at and token.expires_at.isoformat(),
        "last_used_at": token.last_used_at and token.last_used_at.isoformat(),
        "state": state_of(token, datetime.now(UTC)),
    }


def state_of(token: Token, moment: datetime) -> str:
    """Return the state of a token."""
    if token.revoked_at is not None:
        return "revoked"
    return "open" if token.valid_at(moment) else "expired"
