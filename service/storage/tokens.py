"""API tokens: shown once when made, kept as digests."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.engine import Row

from service.errors import BadInput, NotFound
from service.json_text import text_digest
from service.storage.connected import Connected
from service.storage.records import Token
from service.storage.tables import tokens
from service.storage.ulid import new_ulid

SCOPES = ("read", "submit", "admin")
_USE_IS_NOTED_EVERY = timedelta(minutes=1)


class Tokens(Connected):
    def create_token(self, name: str, scopes: Iterable[str], expires_at: datetime | None = None) -> tuple[Token, str]:
        """Create a token and return it with its secret, which is not stored.

        Raises:
            BadInput: no scope, or one that does not exist.
        """
        wanted = sorted(set(scopes))
        if not wanted or not set(wanted) <= set(SCOPES):
            raise BadInput(f"scopes {', '.join(wanted) or '(none)'}; choose from: {', '.join(SCOPES)}", field="scopes")
        secret = f"tfb_{secrets.token_urlsafe(32)}"
        row = {
            "id": new_ulid(),
            "name": name,
            # 256 random bits: a plain digest is enough, since they cannot be guessed.
            "secret_digest": text_digest(secret),
            "scopes": wanted,
            "created_at": self._now(),
            "expires_at": expires_at,
        }
        with self._writing() as connection:
            connection.execute(insert(tokens).values(**row))
            return _token(connection.execute(select(tokens).where(tokens.c.id == row["id"])).one()), secret

    def token_of(self, secret: str) -> Token | None:
        """Return the valid token of a secret; None if it is unknown, expired or revoked."""
        now = self._now()
        with self._reading() as connection:
            row = connection.execute(select(tokens).where(tokens.c.secret_digest == text_digest(secret))).first()
        token = None if row is None else _token(row)
        if token is None or not token.valid_at(now):
            return None
        if token.last_used_at is None or now - token.last_used_at > _USE_IS_NOTED_EVERY:
            with self._writing() as connection:
                connection.execute(update(tokens).where(tokens.c.id == token.id).values(last_used_at=now))
        return token

    def tokens(self) -> list[Token]:
        """Return every token, oldest first, revoked ones included."""
        with self._reading() as connection:
            return [_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.id))]

    def revoke_token(self, id_or_name: str) -> int:
        """Revoke a token, or all of a name, and return how many.

        Raises:
            NotFound: there is none open.
        """
        meant = or_(tokens.c.id == id_or_name, tokens.c.name == id_or_name)
        closing = update(tokens).where(meant, tokens.c.revoked_at.is_(None)).values(revoked_at=self._now())
        with self._writing() as connection:
            closed = connection.execute(closing).rowcount
        if not closed:
            raise NotFound(f"there is no open token {id_or_name}; list them with: tfbisect tokens list")
        return closed


def _token(row: Row[Any]) -> Token:
    values = {name: row._mapping[name] for name in Token.__dataclass_fields__}
    return Token(**{**values, "scopes": frozenset(row.scopes)})
