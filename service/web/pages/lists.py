"""The pages that list: bisections, releases, probes, the API; and the comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from service.catalog.probes import Probe
from service.errors import BadInput
from service.reports.comparing import compare_verdicts
from service.reports.documents import parameter_json
from service.reports.links import notes_url
from service.reports.readings import ULID
from service.reports.tones import tones_of
from service.reports.views import title_of
from service.storage.records import Page, Search
from service.web.api.reference import calls
from service.web.site import Reader, Site, ThisSite, reader

router = APIRouter(include_in_schema=False)


@router.get("/bisections")
def listing(
    request: Request,
    site: ThisSite,
    caller: Reader,
    q: Annotated[str, Query(max_length=200)] = "",
    status: str = "",
    probe: Annotated[str, Query(max_length=64)] = "",
    outcome: Annotated[str, Query(max_length=128)] = "",
    changed_in: Annotated[str, Query(max_length=64)] = "",
    cursor: Annotated[str | None, Query(pattern=f"^{ULID.pattern}$")] = None,
) -> Response:
    """List bisections, searched by text, outcome, change release."""
    wanted = {"q": q, "status": status, "probe": probe, "outcome": outcome, "changed_in": changed_in}
    wanted = {name: value.replace("\x00", "").strip() for name, value in wanted.items()}
    search = Search(
        status=wanted["status"] or None,
        probe=wanted["probe"] or None,
        text=wanted["q"],
        outcomes=(wanted["outcome"],) if wanted["outcome"] else (),
        changed_in=wanted["changed_in"] or None,
    )
    problem = ""
    try:
        page = site.store.bisections(search, limit=25, cursor=cursor, viewer=caller.viewer)
    except BadInput as error:
        page, problem = Page((), None), error.message
    return site.pages.response(
        request,
        "list.html",
        rows=site.rows(page.rows),
        next=page.next,
        wanted=wanted,
        problem=problem,
        is_narrowed=any(wanted.values()),
        probes=site.dependencies.probes,
        outcomes=sorted({label for each in site.dependencies.probes.values() for label in each.outcomes}),
    )


@router.get("/compare")
def comparison(
    request: Request,
    site: ThisSite,
    caller: Reader,
    left: Annotated[str, Query(max_length=300)] = "",
    right: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    names = [side.strip().rstrip("/").rpartition("/")[2] for side in (left, right)]
    values: dict[str, Any] = {"left": names[0], "right": names[1], "sides": None}
    if all(names):
        readings = [site.readings.reading(name, caller.viewer) for name in names]
        views = [site.views.of(reading, site.readings.outlook(reading)) for reading in readings]
        values |= {
            "sides": views,
            "compared": compare_verdicts(views[0].verdict, views[1].verdict),
            "title_of": title_of,
        }
    return site.pages.response(request, "compare.html", **values)


@router.get("/releases", dependencies=[Depends(reader)])
def releases_page(
    request: Request,
    site: ThisSite,
    package: Annotated[str, Query(max_length=128, pattern=r"^[A-Za-z0-9._-]+$")] = "tensorflow",
) -> Response:
    listed = site.dependencies.catalog.releases(package)
    standing = site.dependencies.catalog.standing(package)
    values: dict[str, Any] = {"package": package, "releases": listed, "standing": standing, "notes_url": notes_url}
    return site.pages.response(request, "releases.html", **values)


@router.get("/releases/{package}/{release}")
def release_page(
    package: str, release: str, request: Request, site: ThisSite, caller: Reader, cursor: str | None = None
) -> Response:
    """Show what changes in a release, by every stored bisection."""
    package, release = package[:128].replace("\x00", ""), release[:64].replace("\x00", "")
    found = site.store.changes_in(package, release, limit=50, cursor=cursor, viewer=caller.viewer)
    known = {entry.version: entry for entry in site.views.releases.of(package)}
    return site.pages.response(
        request,
        "release.html",
        package=package,
        release=release,
        entry=known.get(release),
        changes=found.rows,
        next=found.next,
        notes=notes_url(package, release) if release in known else None,
        tones=tones_by_probe(site),
    )


def tones_by_probe(site: Site) -> Callable[[str, str], str]:
    """Return a function from an outcome of a probe to its tone."""

    def tone(probe_name: str, outcome: str) -> str:
        probe = asked_of(site.dependencies.probes, probe_name, outcome)
        known = (probe.outcomes, probe.expected) if probe else ((), ())
        return tones_of([outcome], *known)[outcome]

    return tone


def asked_of(probes: Mapping[str, Probe], name: str, outcome: str) -> Probe | None:
    """Return the probe that an outcome is from: the one of this name, or a named probe that was asked beside it."""
    probe = probes.get(name)
    if probe is None or probe.aspects is None or outcome in probe.outcomes:
        return probe
    return next((each for each in probes.values() if each.runs_beside and outcome in each.outcomes), probe)


@router.get("/probes", dependencies=[Depends(reader)])
def probes_page(request: Request, site: ThisSite) -> Response:
    return site.pages.response(
        request, "probes.html", probes=site.dependencies.probes.values(), tone=tones_by_probe(site)
    )


@router.get("/probes/{name}")
def probe_page(name: str, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Show one probe and its bisections."""
    probe = site.probe(name)
    page = site.store.bisections(Search(probe=name), limit=15, viewer=caller.viewer)
    rows = site.rows(page.rows)
    parameters = {key: parameter_json(each) for key, each in probe.parameters.items()}
    return site.pages.response(
        request, "probe.html", probe=probe, rows=rows, parameters=parameters, tone=tones_by_probe(site)
    )


@router.get("/docs", dependencies=[Depends(reader)])
def docs(request: Request, site: ThisSite) -> Response:
    """Show the REST API."""
    return site.pages.response(
        request, "docs.html", calls=calls(request.app.openapi()), base_url=site.base_url(request)
    )
