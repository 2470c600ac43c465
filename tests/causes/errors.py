"""Changes to and from errors in real releases: is the right kind named, and does the edit that is offered run?

python -m tests.causes.errors [NAME...] asks every release of errors.toml whose image is here and prints a table; it
reads the sources of both wheels from the index, each once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from service.bisection.repairs import Repair, Tried, repaired
from service.catalog.interfaces import Interface
from service.catalog.releases import Index
from service.catalog.upgrade_tables import upgrade_tables
from service.catalog.wheel_sources import PythonSources
from service.causes.edits import edits_for
from service.causes.errors import ErrorCause, ErrorSide, Raised, error_explained
from service.causes.rewriting import edit_diff
from service.settings import Settings
from tests.behaviour.asking import Release, images, waiting
from tests.probes.protocol import PROBES

TABLE = Path(__file__).parent / "errors.toml"
PROBE = PROBES["behaviour"]
FAMILY = ("tensorflow", "tensorflow-cpu", "keras", "numpy")
SHOW = (
    "import importlib.metadata as m, json, sys; print(json.dumps([sys.version_info[:2], "
    "{(d.metadata['Name'] or '').lower().replace('_', '-'): d.version for d in m.distributions()}]))"
)
SHOW_OLD = (
    "import pkg_resources as p, json, sys; print(json.dumps([sys.version_info[:2], "
    "{d.key.replace('_', '-'): d.version for d in p.working_set}]))"
)


@dataclass(frozen=True)
class Known:
    """One change, as it was checked by hand."""

    name: str
    source: str
    works: str
    raises: str
    error: str
    kind: str
    edit: str
    """A text of the edit that is right; "" where there is none."""


def known_errors() -> list[Known]:
    """Return all of errors.toml."""
    rows = tomllib.loads(TABLE.read_text("utf-8"))["error"]
    return [Known(**{**row, "source": row["source"].lstrip(), "edit": row["edit"] or ""}) for row in rows]


class Releases:
    """The releases whose images are here, each with one waiting container."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._images = images()
        settings = Settings()
        index = Index.at(settings.index_url, settings.ca_bundle)
        self._sources = PythonSources(index, settings.download_dir / "sources")
        self.runs = 0

    def has(self, release: str) -> bool:
        return release in self._images

    @cache  # noqa: B019  (one object for the whole run)
    def _container(self, release: str) -> Release:
        return self._stack.enter_context(waiting(self._images[release], PROBE))

    def ask(self, release: str, source: str) -> Raised | None:
        """Run a script and return what it raised."""
        self.runs += 1
        given = self._container(release).ask(PROBE, source, {"seed": 1})
        measured = given.get("measurements") or given
        raised = measured.get("raised") or (given if "exception" in given else None)
        if raised is None and given.get("kind") == "ended":
            return Raised("Ended", str(given))
        return None if not raised else raised_of(raised)

    @cache  # noqa: B019
    def side(self, release: str) -> ErrorSide:
        """Return what is installed in a release's image, with the names of its wheels."""
        python, packages = self._installed(release)
        wheels = [self._sources.of(name, packages[name], python) for name in FAMILY if name in packages]
        return ErrorSide(release, python, packages, Interface(wheels, int(release.partition(".")[0])))

    def _installed(self, release: str) -> tuple[str, Mapping[str, str]]:
        for code in (SHOW, SHOW_OLD):
            command = ["docker", "run", "--rm", "--network", "none", self._images[release], "python", "-c", code]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                version, packages = json.loads(done.stdout.splitlines()[-1])
                return ".".join(map(str, version)), packages
        raise RuntimeError(f"{release}: {done.stderr}")


@dataclass(frozen=True)
class Answered:
    """What came of one change."""

    known: Known
    raised: Raised | None
    cause: ErrorCause | None = None
    repair: Repair | None = None

    @property
    def kind_is_right(self) -> bool:
        return self.cause is not None and self.cause.kind == self.known.kind

    @property
    def edit_is_right(self) -> bool:
        """Say whether an edit was found where one is known, and the right one."""
        if self.repair is None:
            return False
        return bool(self.repair.titles) == bool(self.known.edit) and self.known.edit in self.repair.source


def answered(known: Known, releases: Releases) -> Answered:
    """Ask for one change's cause and for an edit."""
    raised = releases.ask(known.raises, known.source)
    if raised is None or releases.ask(known.works, known.source) is not None:
        return Answered(known, raised)
    works, raises = releases.side(known.works), releases.side(known.raises)
    cause = error_explained(raised, known.source, works, raises)
    tables = upgrade_tables([*works.interface.texts(), *raises.interface.texts()])
    seen = {known.source: raised}

    def following(source: str, _said: str) -> Iterator[tuple[str, str]]:
        error = seen[source]
        again = error_explained(error, source, works, raises)
        yield from ((edit.title, edit.source) for edit in edits_for(again, error, source, works, raises, tables))

    def attempt(source: str) -> Tried:
        new = releases.ask(known.raises, source)
        if new is not None:
            seen[source] = new
        old = releases.ask(known.works, source)
        return Tried(said(old), said(new))

    repair = repaired(known.source, said(raised), lambda *given: list(following(*given)), attempt)
    return Answered(known, raised, cause, repair)


def said(raised: Raised | None) -> str:
    return f"{raised.exception}: {raised.message}" if raised else ""


def raised_of(facts: Mapping[str, Any]) -> Raised:
    line = facts.get("line")
    return Raised(
        str(facts.get("exception")),
        str(facts.get("message")),
        line if isinstance(line, int) else None,
        str(facts.get("traceback", "")),
    )


def row(found: Answered) -> str:
    """Return a row of the table in docs/causes.md."""
    known, cause, repair = found.known, found.cause, found.repair
    if cause is None or repair is None:
        shows = f"does not show {known.error}: {said(found.raised)}"
        return f"| {known.name} | {known.works} | {known.raises} | {shows} | | | no |"
    edit = "; ".join(repair.titles) or "none"
    right = found.kind_is_right and found.edit_is_right
    kind = cause.kind if found.kind_is_right else f"{cause.kind}, is {known.kind}"
    return (
        f"| {known.name} | {known.works} | {known.raises} | {found.raised.exception if found.raised else ''} "
        f"| {kind} | {edit} ({repair.tries}) | {'yes' if right else 'no'} |"
    )


def main(names: Sequence[str]) -> int:
    """Ask for all of errors.toml; 1 where anything is not as it was checked by hand."""
    with ExitStack() as stack:
        releases = Releases(stack)
        chosen = [each for each in known_errors() if not names or each.name in names]
        chosen = [each for each in chosen if releases.has(each.works) and releases.has(each.raises)]
        found = []
        print("| script | runs in | raises in | error | kind | edit (tries) | right |\n|---|---|---|---|---|---|---|")
        for known in chosen:
            found.append(answered(known, releases))
            print(row(found[-1]), flush=True)
            if names and found[-1].cause and found[-1].repair:
                print(found[-1].cause.said, found[-1].cause.to_json(known.works, known.raises), sep="\n")
                print(edit_diff(known.source, found[-1].repair.source), found[-1].repair.ruled_out)
                print(found[-1].raised)
        kinds = {each.known.kind for each in found if each.kind_is_right}
        edits = sum(bool(each.known.edit) and each.edit_is_right for each in found)
        print(
            f"\n{sum(each.kind_is_right for each in found)} of {len(found)} kinds right, of {len(kinds)} kinds; "
            f"{edits} edits run in both releases; {releases.runs} runs."
        )
    return 0 if all(each.kind_is_right and each.edit_is_right for each in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
