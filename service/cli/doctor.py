"""Checks what works on this machine, and says how to fix the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from service.bisection.words import counted
from service.catalog.interpreters import installed_interpreters
from service.errors import NoRunner, TfbisectError
from service.execution.docker_engine import connect, engine_in_words, is_filtered
from service.images.disk import free_bytes
from service.settings import GIB, Settings

if TYPE_CHECKING:
    from service.bootstrap import House

State = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    state: State
    message: str


def examine(house: House) -> list[Finding]:
    """Check everything that `tfbisect run` needs. After a failure it cannot run."""
    return [_guarded(subject, look, house) for subject, look in CHECKS]


def _guarded(subject: str, look: Callable[[House], tuple[State, str]], house: House) -> Finding:
    """Return one of our errors as a failed check."""
    try:
        state, message = look(house)
    except (TfbisectError, OSError) as error:
        state, message = "failure", str(error)
    return Finding(subject, state, message)


def _data_folder(house: House) -> tuple[State, str]:
    folder = house.settings.data_dir
    folder.mkdir(parents=True, exist_ok=True)
    return "ok", f"{folder} (TFBISECT_DATA_DIR)"


def _database(house: House) -> tuple[State, str]:
    house.store.check_writes()
    return "ok", f"{house.settings.store_url} (TFBISECT_DATABASE_URL)"


def _disk(house: House) -> tuple[State, str]:
    free = free_bytes(house.settings.data_dir)
    message = f"{free / GIB:.0f} GB free, {house.settings.disk_reserve_bytes / GIB:.0f} GB of it reserved"
    if free < house.settings.disk_reserve_bytes:
        return "failure", message + "; free some, or run `tfbisect images prune`"
    return "ok", message


def _index(house: House) -> tuple[State, str]:
    known = house.catalog.releases("tensorflow")
    standing = house.catalog.standing("tensorflow")
    newest = f", the newest {known[-1].version}" if known else ""
    message = f"{counted(len(known), 'release')} of tensorflow known{newest}"
    if standing is not None and standing.problem:
        return "warning", f"{message}, as of {standing.as_of:%Y-%m-%d %H:%M} UTC. Since then: {standing.problem}"
    return "ok", message


def _runner(house: House) -> tuple[State, str]:
    choice = house.runner_choice
    missing = choice.runner.missing_protections()
    note = f" Missing protections: {', '.join(missing)}." if missing else ""
    state: State = "ok" if choice.runner.name == "docker" and not missing else "warning"
    return state, f"{choice.runner.name}: {choice.why}{note}"


def _engine(house: House) -> tuple[State, str]:
    if house.settings.runner == "local":
        return "ok", "none is used (TFBISECT_RUNNER)"
    try:
        client = connect()
    except NoRunner as error:
        return "warning", error.message
    try:
        facts = engine_in_words(client)
        filtered = " It is behind the filter of deploy/." if is_filtered(client.api) else ""
    finally:
        client.close()
    return "warning" if facts.missing else "ok", f"{facts.words()}.{filtered}"


def _interpreters(_: House) -> tuple[State, str]:
    found = installed_interpreters()
    if not found:
        return (
            "warning",
            "no other Python found; base images come from the registry. To build them here, install 3.6, 3.8 and 3.10",
        )
    return "ok", ", ".join(found)


CHECKS: Iterable[tuple[str, Callable[[House], tuple[State, str]]]] = (
    ("data folder", _data_folder),
    ("database", _database),
    ("disk", _disk),
    ("package index", _index),
    ("runner", _runner),
    ("engine", _engine),
    ("interpreters", _interpreters),
)


def setting_rows(settings: Settings) -> list[dict[str, Any]]:
    """List every setting: variable, value and description; secrets are hidden by their types."""
    return [
        {
            "name": f"TFBISECT_{name.upper()}",
            "value": str(getattr(settings, name)),
            "description": field.description or "",
        }
        for name, field in type(settings).model_fields.items()
    ]
