"""Reading bisections: who may, what is rendered already, what is known in the middle."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Semaphore
from typing import Any

from service.bisection.outcomes import Answer, Judge
from service.errors import NotFound, TfbisectError
from service.intake import BisectionRequest
from service.storage.records import EVERYBODY, Bisection, LinkedObservation, Viewer
from service.web.dependencies import Dependencies
from service.web.documents import Document, bisection_json, by_release, is_finished, meaning
from service.web.foresight import Outlook, look_ahead

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
KEPT_DOCUMENTS = 4096
KEPT_BYTES = 64 * 1024 * 1024
TRUSTED_SECONDS = 10.0
"""For so long a kept document is taken for current; then the store is asked whether it is still there."""


RENDERED_AT_ONCE = 2


@dataclass
class Kept:
    """A rendered bisection that has ended, and who may read it."""

    bisection: Bisection
    document: Document
    checked_at: float


@dataclass(frozen=True)
class Reading:
    """A bisection with its observations."""

    bisection: Bisection
    observations: Sequence[LinkedObservation]
    judge: Judge | None

    @property
    def is_finished(self) -> bool:
        """Say whether it will never change again."""
        return is_finished(self.bisection)

    def answers(self, variant: str = "") -> dict[str, list[Answer]]:
        """Return what the runs of each release meant, by release."""
        return {
            release: [meaning(linked.observation.report, self.judge) for linked in runs]
            for release, runs in by_release(self.observations, variant).items()
        }


@dataclass
class Shelf:
    """The documents kept in memory, the least recently read thrown out first."""

    kept: OrderedDict[str, Kept] = field(default_factory=OrderedDict)
    size_bytes: int = 0

    def put(self, bisection_id: str, kept: Kept) -> None:
        """Keep a document."""
        self.drop(bisection_id)
        self.kept[bisection_id] = kept
        self.size_bytes += len(kept.document.body)
        while len(self.kept) > KEPT_DOCUMENTS or self.size_bytes > KEPT_BYTES:
            _, oldest = self.kept.popitem(last=False)
            self.size_bytes -= len(oldest.document.body)

    def get(self, bisection_id: str) -> Kept | None:
        """Return a document, and note that it was read."""
        kept = self.kept.get(bisection_id)
        if kept is not None:
            self.kept.move_to_end(bisection_id)
        return kept

    def drop(self, bisection_id: str) -> None:
        """Forget a document."""
        dropped = self.kept.pop(bisection_id, None)
        if dropped is not None:
            self.size_bytes -= len(dropped.document.body)


class Readings:
    """Reads bisections for a viewer. `fresh_document` is for the event loop; the rest asks the store and may wait."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._store = dependencies.store
        self._shelf = Shelf()
        self._rendering = Semaphore(RENDERED_AT_ONCE)

    def fresh_document(self, bisection_id: str, viewer: Viewer) -> Document | None:
        """Return a document that was read a moment ago; None: ask `document`."""
        kept = self._shelf.get(bisection_id)
        if kept is None or time.monotonic() - kept.checked_at > TRUSTED_SECONDS or not kept.bisection.seen_by(viewer):
            return None
        return kept.document

    def public_document(self, bisection_id: str) -> Document | None:
        """Return a document that was read a moment ago and is everybody's; None: go the long way."""
        return self.fresh_document(bisection_id, EVERYBODY)

    def document(self, bisection_id: str, viewer: Viewer) -> Document:
        """Return a bisection as the API shows it.

        Raises:
            NotFound: there is none of this id that the viewer may see.
        """
        bisection = self.bisection(bisection_id, viewer)
        kept = self._shelf.get(bisection_id)
        if kept is not None:
            kept.checked_at = time.monotonic()
            return kept.document
        # Rendering is all computing: done by several threads at once, all of them would wait for all.
        with self._rendering:
            reading = self._reading(bisection)
            document = Document.of(bisection_json(bisection, reading.observations, reading.judge))
        if is_finished(bisection):
            self._shelf.put(bisection_id, Kept(bisection, document, time.monotonic()))
        return document

    def bisection(self, bisection_id: str, viewer: Viewer) -> Bisection:
        """Return a bisection that the viewer may see; one they may not looks as if it were not there.

        Raises:
            NotFound: there is none.
        """
        if not ULID.fullmatch(bisection_id):
            raise absent(bisection_id)
        bisection = self._store.bisection(bisection_id)
        if not bisection.seen_by(viewer):
            raise absent(bisection_id)
        return bisection

    def reading(self, bisection_id: str, viewer: Viewer) -> Reading:
        """Return a bisection with its observations."""
        return self._reading(self.bisection(bisection_id, viewer))

    def _reading(self, bisection: Bisection) -> Reading:
        """Return a bisection with its observations."""
        probe = self._dependencies.probes.get(bisection.probe)
        observations = self._store.linked_observations(bisection.id)
        return Reading(bisection, observations, probe.judge if probe else None)

    def outlook(self, reading: Reading) -> Outlook | None:
        """Return what is known in the middle; None where the catalog cannot say what it was about."""
        source = self._store.snippet(reading.bisection.snippet_digest)
        try:
            request = BisectionRequest.model_validate({**reading.bisection.request, "snippet": source})
            return look_ahead(self._dependencies.intake, request, reading.answers())
        except (TfbisectError, ValueError):
            return None

    def forget(self, bisection_id: str) -> None:
        """Drop what was rendered of a bisection."""
        self._shelf.drop(bisection_id)


def verdict_of(reading: Reading, outlook: Outlook | None) -> Mapping[str, Any]:
    """Return the verdict of a bisection: the last one, or the one so far."""
    if reading.bisection.verdict is not None:
        return reading.bisection.verdict
    return outlook.verdict if outlook is not None else {}


def absent(bisection_id: str) -> NotFound:
    """Return the error for a bisection that is not there, or not for this viewer."""
    return NotFound(f"no bisection {bisection_id[:64]!r} here; it may have been deleted, or it needs a token.")
