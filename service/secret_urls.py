"""Addresses that may contain a password, and how they are shown."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

HIDDEN = "***"
# Up to the last @, since passwords may contain / and @, and a user name alone can be a token.
_USER = re.compile(r"(?<=://)[^\s\"'<>]*@")
_USER_WITHOUT_SCHEME = re.compile(r"^(?!\w[\w+.-]*://).*@", re.DOTALL)
_VALUE = re.compile(r"(?<=[?&])([^=&#]*)=[^&#]*")


class SecretUrl:
    """An address that may contain a password; only `reveal` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the address as it was set, to connect to it."""
        return self._text

    @property
    def credentials(self) -> tuple[str, str] | None:
        """Return its user and password, or None."""
        found = _USER.search(self._text)
        if found is None:
            return None
        user, _, password = found.group()[:-1].partition(":")
        return unquote(user), unquote(password)

    @property
    def without_credentials(self) -> str:
        """Return it without user and password: an address that can be passed on."""
        return _USER.sub("", self._text)

    def __str__(self) -> str:
        """Return it for display: without user and password, and with only the names of its query."""
        hidden = _USER_WITHOUT_SCHEME.sub(f"{HIDDEN}@", without_credentials(self._text))
        return _VALUE.sub(rf"\1={HIDDEN}", hidden)

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretUrl) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Parse it from text; serialised it is `str`."""
        read = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=read,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), read]),
            serialization=core_schema.to_string_ser_schema(),
        )


def without_credentials(text: str) -> str:
    """Return a text without the users and passwords of its addresses."""
    return _USER.sub(f"{HIDDEN}@", text)


def host_of(address: str) -> str:
    """Return an address up to its host: the paths of webhooks are secret."""
    scheme, separator, rest = without_credentials(address).partition("://")
    if not separator:
        return address
    host, slash, _ = rest.partition("/")
    return f"{scheme}://{host.partition('?')[0]}" + (f"/{HIDDEN}" if slash else "")
