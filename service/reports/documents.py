"""Stored bisections as the contract's JSON."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.bisection.outcomes import Answer, Judge, RunReport, Untestable, classify
from service.catalog.probes import Parameter, Probe
from service.coordination.answers import answer_json
from service.storage.records import FINISHED, Bisection, LinkedObservation

API = "/api/v1"


COMPRESSION = 1
"""zlib's fastest level: a fifth larger than its best, in a fifth of the time."""

GZIP = zlib.MAX_WBITS | 16
"""Makes zlib write gzip's format; Python's gzip module takes 50 % longer."""


@dataclass(frozen=True)
class Document:
    """A rendered answer and its ETag."""

    etag: str
    content: bytes
    is_zipped: bool = False

    @classmethod
    def of(cls, value: Any) -> Document:
        """Render a JSON value."""
        return cls.of_bytes(json_text(value).encode())

    @classmethod
    def of_bytes(cls, body: bytes) -> Document:
        """Give a rendered answer its tag."""
        # Weak: compressed and plain bytes have the same tag.
        return cls(f'W/"{hashlib.sha256(body).hexdigest()[:20]}"', body)

    def zipped(self) -> Document:
        """Return it as a row of the store."""
        return self if self.is_zipped else Document(self.etag, gzip.compress(self.content, COMPRESSION, mtime=0), True)

    def plain(self) -> Document:
        """Return it uncompressed."""
        return Document(self.etag, zlib.decompress(self.content, GZIP)) if self.is_zipped else self

    def answer(
        self,
        asked: Mapping[str, str],
        content_type: str = "application/json",
        *,
        cache_control: str = "no-cache",
        vary: str = "authorization, cookie, accept-encoding",
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a request: 304 if the client has this version."""
        headers = {"etag": self.etag, "cache-control": cache_control, "vary": vary}
        if names_tag(asked.get("if-none-match", ""), self.etag):
            return 304, headers, b""
        sent = self if "gzip" in asked.get("accept-encoding", "") else self.plain()
        headers |= {"content-type": content_type, "content-length": str(len(sent.content))}
        return 200, {**headers, "content-encoding": "gzip"} if sent.is_zipped else headers, sent.content


def names_tag(if_none_match: str, etag: str) -> bool:
    """Return whether an If-None-Match header names a tag, weak or strong."""
    return if_none_match.strip() == "*" or etag.removeprefix("W/") in if_none_match


def json_text(value: Any) -> str:
    """Return standard JSON in ASCII. Numbers that JSON does not have, such as NaN, become text."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    """Return a value with text in place of numbers that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def is_finished(bisection: Bisection) -> bool:
    """Return whether a bisection will never change again."""
    return bisection.status in FINISHED


JudgeOf = Callable[[LinkedObservation], Judge | None]
"""Finds the rule that reads a run; one bisection may rest on runs of several probes. None: the probe is gone."""


def meaning(report: RunReport, judge: Judge | None) -> Answer:
    """Return what a stored run means today; untestable if its probe is gone."""
    return Untestable("its probe is not installed here any more") if judge is None else classify(report, judge)


def bisection_json(
    bisection: Bisection, observations: Sequence[LinkedObservation], judge_of: JudgeOf, base_url: str = ""
) -> dict[str, Any]:
    """Return a bisection as GET /api/v1/bisections/{id} answers."""
    return {
        **summary_json(bisection, base_url),
        "request": dict(bisection.request),
        "progress": progress_json(bisection, observations),
        "observations": [observation_json(linked, judge_of(linked)) for linked in observations],
        "verdict": bisection.verdict if is_finished(bisection) else None,
        "error": bisection.error,
    }


def summary_json(bisection: Bisection, base_url: str = "") -> dict[str, Any]:
    return {
        "id": bisection.id,
        "status": bisection.status,
        "created_at": stamp(bisection.created_at),
        "started_at": stamp(bisection.started_at),
        "finished_at": stamp(bisection.finished_at),
        "package": bisection.package,
        "probe": bisection.probe,
        "snippet": bisection.snippet_digest,
        "visibility": "public" if bisection.public else "private",
        "links": links_of(bisection.id, base_url),
    }


def links_of(bisection_id: str, base_url: str = "") -> dict[str, str]:
    """Return where else a bisection can be read."""
    api, page = f"{base_url}{API}/bisections/{bisection_id}", f"{base_url}/b/{bisection_id}"
    return {
        "self": api,
        "events": f"{api}/events",
        "cancel": f"{api}/cancel",
        "page": page,
        "report": f"{page}.md",
        "badge": f"{page}.svg",
        "csv": f"{page}.csv",
        "snippet": f"{page}.py",
    }


def progress_json(bisection: Bisection, observations: Sequence[LinkedObservation]) -> dict[str, Any]:
    said = dict(bisection.progress or {})
    done = int(said.get("runs_done", len(observations)))
    if is_finished(bisection):
        done = max(done, len(observations))
        return {"runs_done": done, "runs_planned_at_least": done, "current": []}
    planned = max(done, int(said.get("runs_planned_at_least", 1)))
    waits = {"problem": str(said["problem"])} if said.get("problem") else {}
    return {"runs_done": done, "runs_planned_at_least": planned, "current": list(said.get("current", ())), **waits}


def observation_json(linked: LinkedObservation, judge: Judge | None) -> dict[str, Any]:
    """Return a short observation; the call for one release has output and packages."""
    stored = linked.observation
    report = stored.report
    return {
        "id": stored.id,
        "release": stored.identity.release,
        "variant": linked.variant,
        "repeat": stored.repeat,
        "reused": linked.reused,
        "observed_at": stamp(stored.created_at),
        **answer_json(meaning(report, judge)),
        "measurements": measurements_of(report),
        "ending": report.ending,
        "python": report.python,
        "runner": report.runner,
        "device": report.device,
        "seconds": dict(report.seconds),
    }


def full_observation_json(linked: LinkedObservation, judge: Judge | None) -> dict[str, Any]:
    """Return all that is known of one run."""
    stored = linked.observation
    report = stored.report
    return {
        **observation_json(linked, judge),
        "key": stored.key,
        "reason": report.reason,
        "result": report.result,
        "exit_code": report.exit_code,
        "signal": report.signal,
        "output": report.output,
        "image": report.image,
        "packages": dict(report.packages),
        "environment": stored.identity.environment,
        "probe_digest": stored.identity.probe,
        "parameters": dict(stored.identity.parameters),
        "missing_protections": list(report.missing_protections),
    }


def probe_json(probe: Probe) -> dict[str, Any]:
    return {
        "name": probe.name,
        "title": probe.title,
        "question": probe.question,
        "outcomes": dict(probe.outcomes),
        "expected": sorted(probe.expected),
        "parameters": {name: parameter_json(each) for name, each in probe.parameters.items()},
        "releases": probe.releases,
        "packages": sorted(probe.frameworks),
        "any_package": probe.accepts_any_package,
        "digest": probe.digest,
    }


def parameter_json(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter of a probe; without `choices` any value of its type is allowed."""
    said = {"type": parameter.type, "default": parameter.default, "help": parameter.help}
    return {**said, "choices": list(parameter.choices)} if parameter.choices else said


def measurements_of(report: RunReport) -> dict[str, Any]:
    """Return what the probe measured; untrusted."""
    measured = (report.result or {}).get("measurements")
    return dict(measured) if isinstance(measured, Mapping) else {}


def by_release(observations: Iterable[LinkedObservation], variant: str = "") -> dict[str, list[LinkedObservation]]:
    """Sort the observations of one variant by release."""
    sorted_out: dict[str, list[LinkedObservation]] = {}
    for linked in observations:
        if linked.variant == variant:
            sorted_out.setdefault(linked.observation.identity.release, []).append(linked)
    return sorted_out


def stamp(moment: datetime | None) -> str | None:
    """Return a moment as RFC 3339 writes it, UTC."""
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
