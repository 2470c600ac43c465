"""Watches as people describe them: in a file, in a form, on the command line.

A file `NAME.toml`, beside or near the snippet that it names:

    snippet = "model.py"
    probe = "dropout"
    blind_after = 3

    [[package]]
    package = "tensorflow"
    releases = "2.0.."

    [[notify]]
    channel = "webhook"
    target = "https://ci.example.org/hooks/tfbisect"

Everything that a bisection's request takes may stand at the top, and again per package, where it wins. A watch that
names no probe looks at everything that its snippet shows.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.catalog.snippets import read_source
from service.coordination.intake import BisectionRequest
from service.errors import BadInput
from service.secret_urls import host_of
from service.storage.watch_records import NewWatch, Watch

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
_FROM_ENVIRONMENT = "env:"


class Notify(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: Literal["webhook", "slack", "mail"]
    target: Annotated[str, Field(min_length=3, max_length=1000)] = Field(
        description="an https address or a mail address; env:NAME in a file reads a secret one from the environment"
    )

    @model_validator(mode="after")
    def _target_fits(self) -> Notify:
        if self.target.startswith(_FROM_ENVIRONMENT):
            return self
        if self.channel == "mail" and not re.fullmatch(r"[^@\s]+@[^@\s]+", self.target):
            raise ValueError(f"{host_of(self.target)} is not a mail address")
        if self.channel != "mail" and not re.match(r"https?://[^/\s]", self.target):
            raise ValueError(f"{host_of(self.target)} is not a web address; start it with https://")
        return self


class WatchSpec(BaseModel):
    """A watch as somebody describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    snippet: str
    request: dict[str, Any] = Field(default_factory=dict)
    packages: tuple[dict[str, Any], ...] = Field(({"package": "tensorflow"},), min_length=1, max_length=8)
    notify: tuple[Notify, ...] = Field((), max_length=8)
    blind_after: int = Field(3, ge=1, le=365)

    @model_validator(mode="after")
    def _requests_fit(self) -> WatchSpec:
        names = [package.get("package") for package in self.packages]
        if None in names or len(set(names)) != len(names):
            raise ValueError("each [[package]] needs a `package` of its own")
        for package in self.packages:
            BisectionRequest.model_validate({**self.request, **package, "snippet": self.snippet})
        return self


def watch_from(spec: Mapping[str, Any], *, origin: str, public: bool = True, owner: str | None = None) -> NewWatch:
    """Return a watch that the store takes.

    Raises:
        BadInput: a field is unknown or out of its bounds; the message names it.
    """
    try:
        checked = WatchSpec.model_validate(dict(spec))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"watch {spec.get('name', '')}: {where}: {first['msg']}", field=where or None) from None
    if not (origin == "cli" or origin.startswith("file:")):
        _refuse_secrets(checked)
    return NewWatch(
        name=checked.name,
        request=checked.request,
        snippet=checked.snippet,
        packages=checked.packages,
        notify=tuple(entry.model_dump() for entry in checked.notify),
        blind_after=checked.blind_after,
        origin=origin,
        public=public,
        owner=owner,
    )


def nightly_watch(request: BisectionRequest, bisection_id: str, *, public: bool, owner: str | None) -> NewWatch:
    """Return a watch that repeats a bisection every night."""
    asked = request.model_dump(mode="json", exclude={"snippet", "package", "watch", "fresh"})
    spec = {
        "name": f"bisection-{bisection_id}",
        "snippet": request.snippet,
        "request": asked,
        "packages": [{"package": request.package}],
    }
    return watch_from(spec, origin="api", public=public, owner=owner)


def _refuse_secrets(spec: WatchSpec) -> None:
    if any(entry.target.startswith(_FROM_ENVIRONMENT) for entry in spec.notify):
        raise BadInput("env:NAME works in watch files only; use the address itself", field="notify")


def read_watch(path: Path) -> NewWatch:
    """Read a watch file; its name is the watch's.

    Raises:
        BadInput: no TOML, no snippet where the file says, or a field that does not fit.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"cannot read the watch {path}: {error}") from error
    named = content.pop("snippet", None)
    if not isinstance(named, str):
        raise BadInput(f'{path}: name the file to watch: snippet = "model.py"', field="snippet")
    spec = {
        "name": path.stem,
        "snippet": read_source(path.parent / named),
        "packages": content.pop("package", [{"package": "tensorflow"}]),
        "notify": content.pop("notify", []),
        "blind_after": content.pop("blind_after", 3),
        "request": content,
    }
    return watch_from(spec, origin=f"file:{path.name}")


def read_watches(folder: Path) -> tuple[list[NewWatch], list[BadInput]]:
    """Read every watch file of a folder, and return the errors; one bad file does not stop the others."""
    good: list[NewWatch] = []
    bad: list[BadInput] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            good.append(read_watch(path))
        except BadInput as error:
            bad.append(error)
    return good, bad


def request_of(watch: Watch, package: Mapping[str, Any], snippet: str) -> BisectionRequest:
    """Return the bisection that a watch repeats for one of its packages.

    Raises:
        BadInput: a later version of this program takes other fields.
    """
    try:
        return BisectionRequest.model_validate({**watch.request, **package, "snippet": snippet, "watch": False})
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"watch {watch.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def address_of(target: str) -> str:
    """Return an address, read from the environment if it starts with env:.

    Raises:
        BadInput: the environment does not have it.
    """
    if not target.startswith(_FROM_ENVIRONMENT):
        return target
    name = target.removeprefix(_FROM_ENVIRONMENT)
    if not os.environ.get(name):
        raise BadInput(f"the environment variable {name}, the address of a watch's notifications, is not set")
    return os.environ[name]
