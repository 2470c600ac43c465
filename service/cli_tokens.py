"""`tfbisect tokens`: API tokens."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from service.settings import Settings
from service.storage.store import Store

tokens_app = typer.Typer(help="API tokens.", no_args_is_help=True)


def _store() -> Store:
    return Store.open(Settings().store_url)


@tokens_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="what it is for, such as ci")],
    scope: Annotated[list[str] | None, typer.Option(help="read, submit or admin; repeatable")] = None,
    days: Annotated[float | None, typer.Option(min=0.01, help="days until it expires; default: never")] = None,
) -> None:
    """Make a token and print its secret, which cannot be shown again."""
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _store() as store:
        _, secret = store.create_token(name, scope or ["read", "submit"], expires)
    print(secret)


@tokens_app.command("list")
def list_tokens(as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False) -> None:
    """List tokens; their secrets are not kept."""
    with _store() as store:
        found = store.tokens()
    if as_json:
        print(json.dumps([asdict(token) | {"scopes": sorted(token.scopes)} for token in found], default=str, indent=2))
        return
    now = datetime.now(UTC)
    for token in found:
        state = "open" if token.valid_at(now) else "revoked" if token.revoked_at else "expired"
        used = f"{token.last_used_at:%Y-%m-%d}" if token.last_used_at else "never"
        print(f"{token.id}  {state:<8} {token.name:<20} {','.join(sorted(token.scopes)):<18} used {used}")


@tokens_app.command("revoke")
def revoke(id_or_name: Annotated[str, typer.Argument(help="a token's id, or a name for all of that name")]) -> None:
    """Close a token for ever."""
    with _store() as store:
        print(f"{store.revoke_token(id_or_name)} revoked")
