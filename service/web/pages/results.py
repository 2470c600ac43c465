"""The pages of one bisection: the live result, a release of it, and downloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from service.bisection.verdict import all_changes
from service.bisection.words import causes_in_words
from service.reports.documents import by_release, is_finished, meaning
from service.reports.evidence import bundle_of
from service.reports.foresight import Outlook
from service.reports.issues import issue_url
from service.reports.links import notes_url, reproduce_from_page, submit_command
from service.reports.markdown import REPRODUCED, markdown, table
from service.reports.naming import called
from service.reports.plots import numbers_in
from service.reports.readings import StoredBisection
from service.reports.reproduction import Side, reproduction_script, side_of, sides_of
from service.reports.timeline import Timeline
from service.reports.views import BisectionView, headline, plot_of, title_of
from service.storage.records import Bisection
from service.web.access import Caller
from service.web.api import bisections as api
from service.web.api.bisections import tagged
from service.web.pages.badges import badge, badge_words
from service.web.pages.highlighting import highlighted
from service.web.pages.share_card import share_card
from service.web.problems import Problem, Refusal
from service.web.site import Reader, Site, Submitter, ThisSite

router = APIRouter(include_in_schema=False)

Id = Annotated[str, Path(alias="id", max_length=64)]


@router.get("/b/{id}.md")
def report_page(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    reading = site.readings.reading(bisection_id, caller.viewer)
    view = site.views.of(reading, site.readings.outlook(reading))
    source = site.store.snippet(reading.bisection.snippet_digest)
    lock_of = site.surroundings.locks_of(reading.bisection)
    text = markdown(reading, view, source, site.base_url(request), lock_of)
    return Response(text, media_type="text/markdown; charset=utf-8")


@router.get("/b/{id}.zip")
def evidence(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Return all that a stranger needs to see the changes again, as a zip archive."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    view = site.views.of(reading, site.readings.outlook(reading))
    source = site.store.snippet(reading.bisection.snippet_digest)
    lock_of = site.surroundings.locks_of(reading.bisection)
    report = markdown(reading, view, source, site.base_url(request), lock_of)
    packed = bundle_of(site.dependencies, reading, view.verdict, report, lock_of)
    headers = {"content-disposition": f'attachment; filename="tfbisect-{reading.bisection.id}.zip"'}
    return StreamingResponse(packed, 200, headers, media_type="application/zip")


@router.get("/b/{id}/locks/{release}.txt")
def download_lock(bisection_id: Id, release: str, site: ThisSite, caller: Reader) -> Response:
    """Return the packages of a release as a requirements file."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    runs = [run for run in reading.observations if run.observation.identity.release == release]
    if not runs:
        raise Refusal(Problem(404, "Not found", f"This bisection has no run of {release[:64]}.", "not-found"))
    side = side_of(runs[0], site.surroundings.locks_of(reading.bisection))
    headers = {"content-disposition": f'attachment; filename="{side.lock_name}"'}
    return Response(side.lock, 200, headers, media_type="text/plain; charset=utf-8")


@router.get("/b/{id}.svg")
def badge_picture(bisection_id: Id, site: ThisSite, caller: Reader) -> Response:
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    words, colour = badge_words(bisection.status, bisection.verdict or {})
    return _picture(badge(bisection.package, words, colour), bisection)


@router.get("/b/{id}/card.png")
def card_picture(bisection_id: Id, site: ThisSite, caller: Reader) -> Response:
    """Return the picture of a shared link."""
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    verdict = bisection.verdict or {}
    timeline = site.views.timeline(bisection, verdict)
    below = f"{title_of(bisection)} · {bisection.probe}"
    return _picture(share_card(headline(bisection, verdict), below, timeline), bisection, "image/png")


def _picture(picture: str | bytes, bisection: Bisection, media_type: str = "image/svg+xml") -> Response:
    """Answer with a picture; caches keep that of a running bisection only briefly, and proxies keep no private one."""
    lasting = "public, max-age=3600" if bisection.public and is_finished(bisection) else "private, no-cache"
    headers = {"cache-control": lasting}
    return Response(picture, 200, headers, media_type=media_type)


@router.get("/b/{id}.json")
def download_json(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Return the API's answer as a file."""
    response = tagged(site.readings.document(bisection_id, caller.viewer), request)
    response.headers["content-disposition"] = f'attachment; filename="tfbisect-{bisection_id}.json"'
    return response


@router.get("/b/{id}.csv")
def download_csv(bisection_id: Id, site: ThisSite, caller: Reader) -> Response:
    """Return every run as a table."""
    text = table(site.readings.reading(bisection_id, caller.viewer))
    headers = {"content-disposition": f'attachment; filename="tfbisect-{bisection_id}.csv"'}
    return Response(text, 200, headers, media_type="text/csv; charset=utf-8")


@router.get("/b/{id}.py")
def download_snippet(bisection_id: Id, site: ThisSite, caller: Reader, variant: str = "") -> Response:
    """Return the snippet, or the source of a variant of the user's own."""
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    own = bisection.request.get("variant_snippets", {})
    if variant and variant not in own:
        raise Refusal(Problem(404, "Not found", f"This bisection has no variant {variant[:64]!r}.", "not-found"))
    source = own[variant] if variant else site.store.snippet(bisection.snippet_digest)
    return Response(source, media_type="text/plain; charset=utf-8")


@router.get("/b/{id}")
def result(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Show a bisection, live while it runs."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    view = site.views.of(reading, site.readings.outlook(reading))
    bisection, base_url = reading.bisection, site.base_url(request)
    return site.pages.response(
        request,
        "bisection.html",
        **live_values(site, caller, reading, view, base_url),
        source=highlighted(site.store.snippet(bisection.snippet_digest)),
    )


@router.get("/b/{id}/live")
def live(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Return the part of the page that changes while a bisection runs."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    view = site.views.of(reading, site.readings.outlook(reading))
    values = live_values(site, caller, reading, view, site.base_url(request))
    return site.pages.response(request, "live.html", **values)


@dataclass(frozen=True)
class Reproduction:
    """The two sides of a change, and the commands that show them."""

    sides: Sequence[Side]
    script: str


@dataclass(frozen=True)
class ForTriage:
    """What a triager needs beside the finding."""

    causes: Sequence[str]
    details: Sequence[Mapping[str, str]]
    reproductions: Sequence[Reproduction]
    issue: str
    """Address of a new issue of the project; "" where none is known."""


def told_of(site: Site, reading: StoredBisection, view: BisectionView, base_url: str) -> ForTriage:
    """Return causes, details and the ways to see a finished bisection's changes again."""
    bisection, verdict = reading.bisection, view.verdict
    causes, details = causes_in_words(all_changes(verdict)), verdict.get("details", ())
    if view.is_live or not view.changes:
        return ForTriage(causes, details, (), "")
    lock_of = site.surroundings.locks_of(bisection)
    pairs = [
        found
        for change in verdict["changes"][:REPRODUCED]
        if (found := sides_of(change, verdict, reading.observations, lock_of))
    ]
    scripts = (reproduction_script(pair, bisection.request, bisection.id, base_url) for pair in pairs)
    source = site.store.snippet(bisection.snippet_digest)
    page = f"{base_url}/b/{bisection.id}" if site.settings.public_url else ""
    issue = issue_url(bisection.package, verdict, source, pairs[0] if pairs else (), bisection.request, page)
    return ForTriage(causes, details, [Reproduction(*each) for each in zip(pairs, scripts, strict=True)], issue)


def live_values(
    site: Site, caller: Caller, reading: StoredBisection, view: BisectionView, base_url: str
) -> dict[str, Any]:
    bisection = reading.bisection
    is_over_with_changes = reading.is_finished and bool(view.changes)
    similar = (
        site.store.similar_bisections(reading.bisection.id, limit=6, viewer=caller.viewer)
        if is_over_with_changes
        else ()
    )
    probe = site.dependencies.probes.get(reading.bisection.probe)
    plot, chosen, measurements = plot_of(reading, view.timeline, ())
    return {
        "view": view,
        "told": told_of(site, reading, view, base_url),
        "bisection": reading.bisection,
        "base": f"/b/{reading.bisection.id}",
        "title": title_of(bisection),
        "name": called(bisection.request, site.store.snippet(bisection.snippet_digest)),
        "base_url": base_url,
        "curl": submit_command(bisection.request, bisection.id, base_url),
        "may_end": caller.may_end(bisection.owner),
        "place": site.store.place_in_queue(bisection.id) if bisection.status == "queued" else 0,
        "building": building(site, bisection, view.progress["current"]) if view.is_live else (),
        "probe": probe,
        "explained": dict(probe.outcomes) if probe else {},
        "plot": plot,
        "chosen": chosen,
        "measurements": measurements,
        "rows": runs_of(reading),
        "variants": variants_of(site, reading),
        "similar": site.rows(similar),
    }


def building(site: Site, bisection: Bisection, current: Sequence[str]) -> list[str]:
    """Return which of the releases under way still have no image; none where no image is known here."""
    known = site.surroundings.warm_releases(bisection.package, str(bisection.request.get("hardware", "cpu")))
    return [release for release in current if release not in known] if known else []


def runs_of(reading: StoredBisection) -> list[dict[str, Any]]:
    return [
        {
            "linked": linked,
            "report": linked.observation.report,
            "release": linked.observation.identity.release,
            "answer": meaning(linked.observation.report, reading.judge_of(linked)),
        }
        for linked in reading.observations
    ]


@dataclass(frozen=True)
class VariantView:
    name: str
    words: str
    """What it does to the verdict."""
    timeline: Timeline


def variants_of(site: Site, reading: StoredBisection) -> list[VariantView]:
    """Return each variant with its own timeline."""
    said = (reading.bisection.verdict or {}).get("variants", ())
    return [
        VariantView(
            entry["name"], entry.get("words", ""), site.views.timeline(reading.bisection, entry.get("verdict", {}))
        )
        for entry in said
    ]


@router.get("/b/{id}/plot")
def plot(
    bisection_id: Id,
    request: Request,
    site: ThisSite,
    caller: Reader,
    m: Annotated[list[str], Query(max_length=8)] = [],  # noqa: B006  # FastAPI copies it
) -> Response:
    """Return the plot of the chosen measurements."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    view = site.views.of(reading, site.readings.outlook(reading))
    drawn, chosen, measurements = plot_of(reading, view.timeline, m)
    values: dict[str, Any] = {
        "plot": drawn,
        "chosen": chosen,
        "measurements": measurements,
        "base": f"/b/{bisection_id}",
    }
    if "hx-request" not in request.headers:
        return RedirectResponse(f"/b/{bisection_id}#measurements", 303)
    return site.pages.response(request, "plot.html", **values)


@router.get("/b/{id}/r/{release}")
def release_record(
    bisection_id: Id, release: str, request: Request, site: ThisSite, caller: Reader, variant: str = ""
) -> Response:
    """Show everything about one release: in the drawer, or as a page of its own."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    outlook = site.readings.outlook(reading)
    timeline = timeline_shown(site, reading, outlook, variant)
    step = next((step for step in timeline.steps if step.cell.release == release), None)
    runs = by_release(reading.observations, variant).get(release, [])
    if step is None and not runs:
        raise Refusal(Problem(404, "Not found", f"This bisection does not include {release[:64]}.", "not-found"))
    bisection = reading.bisection
    in_drawer = "hx-request" in request.headers
    return site.pages.response(
        request,
        "record.html" if in_drawer else "record_page.html",
        in_drawer=in_drawer,
        bisection=bisection,
        base=f"/b/{bisection.id}",
        title=title_of(bisection),
        release=release,
        cell=step.cell if step else None,
        runs=[(run, run.observation.report, meaning(run.observation.report, reading.judge_of(run))) for run in runs],
        numbers=numbers_in,
        notes=notes_url(bisection.package, release),
        variant=variant,
        query=f"?{urlencode({'variant': variant})}" if variant else "",
        command=reproduce_from_page(bisection.id, bisection.request, release, site.base_url(request), variant),
        explained=dict(site.dependencies.probes[bisection.probe].outcomes)
        if bisection.probe in site.dependencies.probes
        else {},
        around=neighbours(timeline, release),
    )


def timeline_shown(site: Site, reading: StoredBisection, outlook: Outlook | None, variant: str) -> Timeline:
    """Return the timeline of a variant, or of the snippet itself."""
    own = next((each.timeline for each in variants_of(site, reading) if each.name == variant), None)
    return own or site.views.of(reading, outlook).timeline


def neighbours(timeline: Timeline, release: str) -> tuple[str, str]:
    """Return the releases before and after one, "" at the ends."""
    order = ["", *(step.cell.release for step in timeline.steps), ""]
    at = order.index(release) if release in order else 0
    return (order[at - 1], order[at + 1]) if at else ("", "")


@router.post("/b/{id}/cancel")
def cancel_from_page(bisection_id: Id, site: ThisSite, caller: Submitter) -> Response:
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    api.check_owned(caller, bisection)
    if not is_finished(bisection):
        site.store.request_cancel(bisection_id)
    return RedirectResponse(f"/b/{bisection_id}", 303)


@router.post("/b/{id}/delete")
def delete_from_page(bisection_id: Id, site: ThisSite, caller: Submitter) -> Response:
    api.delete(bisection_id, site, caller)
    return RedirectResponse("/bisections", 303)
