"""The definitions that may be behind a change, and what a worker is told to carry out a hypothesis. Pure."""

from __future__ import annotations

import base64
import difflib
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from service.bisection.bridges import Side
from service.bisection.culprit import HypothesisAnswer
from service.catalog.definitions import (
    ChangedDefinition,
    Definition,
    changed_definitions,
    differing_files,
    matched_files,
    statements_that_differ,
)
from service.catalog.sources import SideSources
from service.causes.trials import Shows

MARK = " of the other release"
"""Follows the name of a file in a traceback whose code is from the other side; as in probes/why/why_donors.py."""
FRAME = re.compile(rf'File "([^"\n]+?){MARK}", line (\d{{1,9}})')
CALLED = re.compile(r"([A-Za-z_][\w.]*)\(\) (?:got|missing|takes)")
"""How a TypeError names the function that was called with other arguments than it takes."""
MOST_MODULES = 5000
CONTEXT_LINES = 3

Traces = Mapping[str, frozenset[int]]


def executed_in(told: Mapping[str, Any]) -> Traces:
    """Return the first lines of the code that ran, by file, from what a worker said; untrusted."""
    found = told.get("executed")
    if not isinstance(found, Mapping):
        return {}
    return {
        str(path): frozenset(line for line in lines if isinstance(line, int))
        for path, lines in found.items()
        if isinstance(lines, list)
    }


def modules_in(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modules that were loaded at the end, from what a worker said; untrusted."""
    found = told.get("modules")
    names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    return tuple(name for name in names if re.fullmatch(r"[A-Za-z_][\w.]*", name))[:MOST_MODULES]


@dataclass(frozen=True)
class Candidates:
    """All changed definitions that were executed, with the sources of both sides."""

    before: SideSources
    after: SideSources
    executed_before: Traces
    executed_after: Traces
    modules_before: tuple[str, ...]
    modules_after: tuple[str, ...]

    @cached_property
    def all(self) -> tuple[ChangedDefinition, ...]:
        """Return them in the order of files and lines."""
        return changed_definitions(self.before, self.after, self.executed_before, self.executed_after)

    @cached_property
    def by_id(self) -> Mapping[str, ChangedDefinition]:
        return {each.id: each for each in self.all}

    @cached_property
    def executed(self) -> int:
        """Return how many definitions of the newer release ran."""
        return sum(map(len, self.executed_after.values()))

    @cached_property
    def _older_path(self) -> Mapping[str, str]:
        return matched_files(self.before.digests.keys(), self.after.digests.keys())

    @cached_property
    def _newer_path(self) -> Mapping[str, str]:
        return {old: new for new, old in self._older_path.items()}

    @cached_property
    def outside(self) -> int:
        """Return how many statements outside functions differ in files that ran: no hypothesis can swap them."""
        return statements_that_differ(self.before, self.after, self.executed_after.keys())

    @cached_property
    def differing(self) -> int:
        """Return how many files differ."""
        return len(differing_files(self.before, self.after))

    def file(self, changed: ChangedDefinition, side: Side) -> str:
        """Return the file of a definition in a release, also where that lacks the definition."""
        if side == "after":
            return changed.after.file if changed.after else self._newer_path[self._old(changed).file]
        return changed.before.file if changed.before else self._older_path[self._new(changed).file]

    @staticmethod
    def _old(changed: ChangedDefinition) -> Definition:
        return changed.before or changed.shown

    @staticmethod
    def _new(changed: ChangedDefinition) -> Definition:
        return changed.after or changed.shown

    def groups(self, inherited: Collection[str]) -> tuple[tuple[str, ...], ...]:
        """Return the ids of those that a hypothesis may hold, those of Keras first.

        Args:
            inherited: ids of methods that only one side has, whose class inherits one of that name there.
        """
        able = [each for each in self.all if each.kind != "added" or each.id in inherited]
        able = [each for each in able if each.kind != "removed" or each.id in inherited]
        keras = [each.id for each in able if "keras" in self.file(each, "after").split("/")]
        return tuple(keras), tuple(each.id for each in able if each.id not in keras)

    def asked(self, ids: Collection[str], side: Side = "after") -> dict[str, Any]:
        """Return what the worker is told: the release of one side runs with the text that the other has.

        Args:
            ids: the definitions with the other text.
            side: whose release runs.
        """
        swaps = [self._swap(self.by_id[each], side) for each in sorted(ids)]
        added = [
            self._swap(each, side) for each in self.all if each.kind == ("added" if side == "after" else "removed")
        ]
        added = [{**each, "kind": "helper"} for each in added if each["id"] not in ids]
        files = {each["file"] for each in (*swaps, *added)}
        return {
            "imports": list(self.modules_after if side == "after" else self.modules_before),
            "roots": list((self.after if side == "after" else self.before).roots),
            "donors": {file: packed(self._donor(file, side)) for file in sorted(files)},
            "moved": self._moved(side),
            "added": added,
            "swaps": swaps,
        }

    def _swap(self, changed: ChangedDefinition, side: Side) -> dict[str, Any]:
        here = changed.after if side == "after" else changed.before
        kind = changed.kind
        if side == "before":
            kind = {"added": "removed", "removed": "added", "text": "text"}[kind]  # type: ignore[assignment]
        return {
            "id": changed.id,
            "kind": kind,
            "file": self.file(changed, side),
            "line": here.line if here else 0,
            "name": changed.name,
            "defaults": changed.other_defaults,
        }

    def _donor(self, file: str, side: Side) -> str:
        if side == "after":
            return self.before.text(self._older_path[file])
        return self.after.text(self._newer_path[file])

    def _moved(self, side: Side) -> dict[str, str]:
        """Return the modules that have another name in the release that runs."""
        pairs = self._newer_path if side == "after" else self._older_path
        return {module_name(there): module_name(here) for there, here in pairs.items() if there != here}

    def blamed(self, traceback: str, ids: Collection[str]) -> str:
        """Return which definition of a hypothesis stands innermost in a traceback, or was called wrongly; "" if none.

        Args:
            traceback: of a run of the newer release; untrusted.
            ids: the hypothesis.
        """
        held = [self.by_id[each] for each in sorted(ids)]
        for path, line in reversed(FRAME.findall(traceback)):
            for each in held:
                old = each.before
                if old and path == self.file(each, "after") and old.line <= int(line) <= old.end:
                    return each.id
        for called in reversed(CALLED.findall(traceback)):
            for each in held:
                if each.name.rpartition(".")[2] == called.rpartition(".")[2]:
                    return each.id
        return ""


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"))).decode("ascii")


def answer_of(shows: Shows, candidates: Candidates, ids: Collection[str]) -> HypothesisAnswer:
    """Say what a hypothesis did, from what its run of the newer release showed."""
    if shows.like == "before":
        return HypothesisAnswer("restored")
    if shows.like == "after":
        return HypothesisAnswer("none")
    if trail := shows.traceback:
        return HypothesisAnswer("raises", candidates.blamed(trail, ids), trail.strip().splitlines()[-1][:200])
    return HypothesisAnswer("another")


def inherited_in(told: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return which additions a worker left out since their class inherits one of that name; untrusted."""
    failed = [each for one in told if isinstance(several := one.get("failed"), list) for each in several]
    pairs = (each for each in failed if isinstance(each, list) and len(each) == 2)
    return frozenset(str(name) for name, why in pairs if "an inherited one" in str(why))


def unified_diff(old: Sequence[str], new: Sequence[str], names: tuple[str, str]) -> str:
    """Return the lines in which two texts of a definition differ, as a unified diff."""
    return "\n".join(_without_ends(difflib.unified_diff(old, new, *names, n=CONTEXT_LINES, lineterm="")))


def _without_ends(lines: Iterator[str]) -> Iterator[str]:
    yield from (line.rstrip("\r\n") for line in lines)
