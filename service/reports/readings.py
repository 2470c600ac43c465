"""Reads bisections: access, stored rendered answers, and the state of running ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Semaphore
from types import ModuleType
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool

from service.bisection.outcomes import Answer, Judge
from service.catalog.probes import Probe
from service.coordination.conclusion import said_so_far
from service.coordination.intake import ASPECT_PREFIX, BisectionRequest
from service.coordination.progress import progress_of
from service.errors import NotFound, StoreError, TfbisectError
from service.locks import made_once
from service.reports import documents
from service.reports.causes import with_causes_found
from service.reports.dependencies import Dependencies
from service.reports.documents import Document, bisection_json, by_release, is_finished, meaning, names_tag
from service.reports.foresight import Outlook, look_ahead
from service.reports.program import program_of
from service.storage.records import Bisection, LinkedObservation, StoredDocument, Viewer

log = structlog.get_logger()

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
RENDERED_AT_ONCE = 2
MOST_SO_FAR = 64
"""So many running bisections are remembered with what they say so far."""


@dataclass(frozen=True)
class StoredBisection:
    bisection: Bisection
    observations: Sequence[LinkedObservation]
    judge: Judge | None
    """The rule of the probe that was asked for."""
    judges: Mapping[str, Judge] = field(default_factory=dict)
    """The rules of all probes, by digest and by the name of a track that asks a named probe beside it."""

    def judge_of(self, linked: LinkedObservation) -> Judge | None:
        """Return the rule that reads a run; that of the probe which was asked for, where nothing else is known."""
        by_digest = self.judges.get(linked.observation.identity.probe)
        return by_digest or self.judges.get(linked.variant, self.judge)

    @property
    def is_finished(self) -> bool:
        """Say whether it will never change again."""
        return is_finished(self.bisection)

    def answers(self, variant: str = "") -> dict[str, list[Answer]]:
        """Return what the runs of each release meant, by release."""
        return {
            release: [meaning(linked.observation.report, self.judge_of(linked)) for linked in runs]
            for release, runs in by_release(self.observations, variant).items()
        }


class Readings:
    """Reads bisections for a viewer. `at_hand` is for the event loop; the rest asks the store and may wait."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._store = dependencies.store
        self._rendering = Semaphore(RENDERED_AT_ONCE)
        self._so_far: dict[str, tuple[tuple[str, ...], Outlook]] = {}
        """By running bisection: the observations, and what they say."""

    @made_once
    def _programs(self) -> Mapping[str, str]:
        """Return the digest of the program that renders the answers of each probe; computed when first needed."""
        probes = self._dependencies.probes
        beside = [probe for probe in probes.values() if probe.runs_beside]
        return {
            name: program_of(documents, *(_module_of(each) for each in {name: probe, **_named(beside, probe)}.values()))
            for name, probe in probes.items()
        }

    @made_once
    def _judges(self) -> Mapping[str, Judge]:
        """Return the rules by the digests of their probes, and by the tracks that ask a named probe."""
        probes = self._dependencies.probes
        return {
            **{probe.digest: probe.judge for probe in probes.values()},
            **{f"{ASPECT_PREFIX}{name}": probe.judge for name, probe in probes.items()},
        }

    @made_once
    def _current_programs(self) -> frozenset[str]:
        return frozenset(self._programs.values())

    async def at_hand(self, bisection_id: str, viewer: Viewer, if_none_match: str | None = None) -> Document | None:
        """Return what `stored` does, from the event loop."""
        if self._store.is_local:
            # One row of a local file: switching to a thread takes longer than reading it.
            return self.stored(bisection_id, viewer, if_none_match)
        return await run_in_threadpool(self.stored, bisection_id, viewer, if_none_match)

    def stored(self, bisection_id: str, viewer: Viewer, if_none_match: str | None = None) -> Document | None:
        """Return the stored answer of a finished bisection, or None: ask `document`.

        Args:
            bisection_id: which one.
            viewer: who asks; what they may not see is not at hand.
            if_none_match: tags that the client holds; the content of one that is named is left out.
        """
        if not ULID.fullmatch(bisection_id):
            return None
        if if_none_match is not None:
            known = self._current(self._store.document_tag(bisection_id), viewer)
            if known is None or names_tag(if_none_match, known.etag):
                return known
        return self._current(self._store.document(bisection_id), viewer)

    def _current(self, found: StoredDocument | None, viewer: Viewer) -> Document | None:
        """Return a stored answer that this viewer may see and that this program rendered."""
        if found is None or found.made_by not in self._current_programs or not found.seen_by(viewer):
            return None
        return Document(found.tag, found.body, is_zipped=True)

    def document(self, bisection_id: str, viewer: Viewer) -> Document:
        """Return a bisection as the API shows it; a finished one is rendered once and stored.

        Raises:
            NotFound: there is none of this id that the viewer may see.
        """
        stored = self.stored(bisection_id, viewer)
        if stored is not None:
            return stored
        bisection = self.bisection(bisection_id, viewer)
        # Rendering is pure computation: several threads at once would only slow each other down.
        with self._rendering:
            reading = self._reading(bisection)
            document = Document.of(bisection_json(bisection, reading.observations, reading.judge_of))
        if is_finished(bisection):
            self._keep(bisection, document)
        return document

    def _keep(self, bisection: Bisection, document: Document) -> None:
        """Store a rendered answer; if the store takes no writes, reading must still work."""
        made_by = self._programs.get(bisection.probe)
        if made_by is None:
            return  # its probe may be installed again, and judge the runs
        content = document.zipped().content
        kept = StoredDocument(made_by, bisection.public, bisection.owner, document.etag, content)
        try:
            self._store.put_document(bisection.id, kept)
        except StoreError as error:
            log.warning("document.not-kept", bisection=bisection.id, reason=error.message)

    def bisection(self, bisection_id: str, viewer: Viewer) -> Bisection:
        """Return a bisection that the viewer may see; for others it does not exist.

        Raises:
            NotFound: there is none.
        """
        if not ULID.fullmatch(bisection_id):
            raise not_found(bisection_id)
        bisection = self._store.bisection(bisection_id)
        if not bisection.seen_by(viewer):
            raise not_found(bisection_id)
        return with_causes_found(bisection, self._store.explanations_of(bisection_id))

    def reading(self, bisection_id: str, viewer: Viewer) -> StoredBisection:
        return self._reading(self.bisection(bisection_id, viewer))

    def _reading(self, bisection: Bisection) -> StoredBisection:
        probe = self._dependencies.probes.get(bisection.probe)
        observations = self._store.linked_observations(bisection.id)
        if probe is None:
            return StoredBisection(bisection, observations, None, self._judges)
        judge = probe.judging_with(bisection.request.get("parameters", {}))
        return StoredBisection(bisection, observations, judge, {**self._judges, probe.digest: judge})

    def outlook(self, reading: StoredBisection) -> Outlook | None:
        """Return the state of a running bisection; None if the catalog does not know its releases. Asks no index."""
        source = self._store.snippet(reading.bisection.snippet_digest)
        try:
            request = BisectionRequest.model_validate({**reading.bisection.request, "snippet": source})
            if is_finished(reading.bisection) or not self._has_aspects(request.probe):
                return look_ahead(self._dependencies.intake.at_rest(), request, reading.answers())
            return self._outlook_of_aspects(reading, request)
        except (TfbisectError, ValueError):
            return None

    def _has_aspects(self, name: str) -> bool:
        probe = self._dependencies.probes.get(name)
        return probe is not None and probe.aspects is not None

    def _outlook_of_aspects(self, reading: StoredBisection, request: BisectionRequest) -> Outlook:
        """Return the state of a running bisection with all its aspects; computed once for each of its answers."""
        name = reading.bisection.id
        newest = tuple(linked.observation.id for linked in reading.observations)
        kept = self._so_far.get(name)
        if kept is not None and kept[0] == newest:
            return kept[1]
        case = self._dependencies.intake.at_rest().case(request)
        tracks = progress_of(case, reading.observations)
        least = sum(progress.planned_at_least for progress in tracks)
        outlook = Outlook(case.tree, said_so_far(case, name, tracks), least)
        if len(self._so_far) >= MOST_SO_FAR:
            self._so_far.clear()
        self._so_far[name] = newest, outlook
        return outlook

    def outlook_of(self, bisection: Bisection) -> Outlook | None:
        """Return the state of a running bisection that its reader may see."""
        return self.outlook(self._reading(bisection))


def _named(beside: Sequence[Probe], probe: Probe) -> dict[str, Probe]:
    """Return the probes that are asked beside one that looks at several aspects, by name."""
    return {each.name: each for each in beside} if probe.aspects is not None else {}


def _module_of(probe: Probe) -> ModuleType:
    return sys.modules[probe.judge.__module__]


def verdict_of(reading: StoredBisection, outlook: Outlook | None) -> Mapping[str, Any]:
    if reading.bisection.verdict is not None:
        return reading.bisection.verdict
    return outlook.verdict if outlook is not None else {}


def not_found(bisection_id: str) -> NotFound:
    """Return the error for a bisection that does not exist, or not for this viewer."""
    return NotFound(f"no bisection {bisection_id[:64]!r} here; it may have been deleted, or it needs a token.")
