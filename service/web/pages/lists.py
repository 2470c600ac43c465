"""The pages that list: bisections, releases, probes, the API; and the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, field_validator
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.bisection.words import counted
from service.catalog.probes import Probe
from service.errors import BadInput
from service.json_text import digest_of
from service.reports.comparing import asked_differently, compare_verdicts, snippet_difference
from service.reports.documents import parameter_json
from service.reports.links import notes_url
from service.reports.naming import called
from service.reports.readings import ULID, StoredBisection
from service.reports.tones import tones_of
from service.reports.views import title_of
from service.storage.records import Bisection, Page, Search
from service.web.api.bisections import check_owned
from service.web.api.reference import calls
from service.web.pages.form_fields import PACKAGES
from service.web.pages.highlighting import json_lines
from service.web.site import Reader, Site, Submitter, ThisSite, reader

router = APIRouter(include_in_schema=False)

MOST_DELETED = 100
NOT_ASKED = frozenset({"name", "fresh", "watch"})
"""Fields of a request that do not shape its answer."""


class Wanted(BaseModel):
    """What the list is narrowed by, as its form sends it; empty fields do not narrow."""

    q: str = Field("", max_length=200)
    status: str = Field("", max_length=20)
    probe: str = Field("", max_length=64)
    package: str = Field("", max_length=128)
    outcome: str = Field("", max_length=128)
    changed_in: str = Field("", max_length=64)
    finding: Literal["", "changed", "unchanged", "none"] = ""
    since: str = Field("", max_length=10)
    until: str = Field("", max_length=10)
    order: Literal["", "oldest"] = ""

    @field_validator("*", mode="before")
    @classmethod
    def _clean(cls, value: Any) -> Any:
        """Leave out what PostgreSQL takes no text with."""
        return value.replace("\x00", "").strip() if isinstance(value, str) else value

    def search(self) -> Search:
        """Return it as the store takes it.

        Raises:
            BadInput: a day that is none.
        """
        last = day(self.until, "until")
        return Search(
            status=self.status or None,
            probe=self.probe or None,
            package=self.package or None,
            text=self.q,
            outcomes=(self.outcome,) if self.outcome else (),
            changed_in=self.changed_in or None,
            finding=self.finding or None,
            since=day(self.since, "since"),
            until=last + timedelta(days=1) if last else None,
            oldest_first=self.order == "oldest",
        )


def day(text: str, field: str) -> datetime | None:
    """Return the beginning of a day, UTC; None where none is named.

    Raises:
        BadInput: it is no day.
    """
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise BadInput(f"{text[:20]!r} is not a day; write it as 2026-01-31.", field=field) from None


@router.get("/bisections")
def listing(
    request: Request,
    site: ThisSite,
    caller: Reader,
    wanted: Annotated[Wanted, Query()],
    cursor: Annotated[str | None, Query(pattern=f"^{ULID.pattern}$")] = None,
) -> Response:
    """List bisections, searched by text, package, finding and date."""
    problem = ""
    try:
        page = site.store.bisections(wanted.search(), limit=25, cursor=cursor, viewer=caller.viewer)
    except BadInput as error:
        page, problem = Page((), None), error.message
    fields = wanted.model_dump()
    return site.pages.response(
        request,
        "list.html",
        rows=collapsed(site.rows(page.rows)),
        pickable=True,
        next=page.next,
        wanted=fields,
        problem=problem,
        is_narrowed=any(fields.values()),
        probes=site.dependencies.probes,
        packages=PACKAGES,
        outcomes=sorted({label for each in site.dependencies.probes.values() for label in each.outcomes}),
    )


def collapsed(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a list in which equal questions stand once, the first of them with the others as `again`."""
    kept: dict[str, dict[str, Any]] = {}
    for row in rows:
        question = question_digest(row["bisection"])
        if question in kept:
            kept[question]["again"].append(row)
        else:
            kept[question] = {**row, "again": []}
    return list(kept.values())


def question_digest(bisection: Bisection) -> str:
    """Return what makes two bisections the same question: source and request, however it was called and kept."""
    asked = {name: value for name, value in bisection.request.items() if name not in NOT_ASKED}
    return digest_of([bisection.snippet_digest, asked, bisection.public, bisection.owner, bisection.status])


@router.post("/bisections/delete")
async def delete_several(request: Request, site: ThisSite, caller: Submitter) -> Response:
    """Delete the selected bisections, all of them or none."""
    async with request.form(max_fields=MOST_DELETED) as typed:
        names = [str(name)[:64] for name in typed.getlist("id")]

    def deleted() -> Response:
        for bisection in [site.readings.bisection(name, caller.viewer) for name in names]:
            check_owned(caller, bisection)
        for name in names:
            site.store.delete_bisection(name)
        return RedirectResponse("/bisections", 303)

    return await run_in_threadpool(deleted)


@router.get("/compare")
def comparison(
    request: Request,
    site: ThisSite,
    caller: Reader,
    left: Annotated[str, Query(max_length=300)] = "",
    right: Annotated[str, Query(max_length=300)] = "",
    chosen: Annotated[list[str], Query(alias="id", max_length=100)] = [],  # noqa: B006  # FastAPI copies it
) -> Response:
    """Compare two bisections, by their ids or as selected in a list."""
    sides = [*chosen, "", ""][:2] if chosen else [left, right]
    names = [side.strip().rstrip("/").rpartition("/")[2][:64] for side in sides]
    values: dict[str, Any] = {"left": names[0], "right": names[1], "sides": None, "problem": ""}
    if chosen and len(chosen) != 2:
        values["problem"] = f"{counted(len(chosen), 'bisection')} selected; two are compared."
    elif all(names):
        values |= compared_values(site, [site.readings.reading(name, caller.viewer) for name in names])
    recent = () if values["sides"] else site.rows(site.store.bisections(limit=25, viewer=caller.viewer).rows)
    return site.pages.response(request, "compare.html", **values, recent=recent)


def compared_values(site: Site, readings: Sequence[StoredBisection]) -> dict[str, Any]:
    """Return what the page of a comparison shows."""
    views = [site.views.of(reading, site.readings.outlook(reading)) for reading in readings]
    sources = [site.store.snippet(reading.bisection.snippet_digest) for reading in readings]
    return {
        "sides": views,
        "names": [called(view.bisection.request, source) for view, source in zip(views, sources, strict=True)],
        "compared": compare_verdicts(views[0].verdict, views[1].verdict),
        "difference": snippet_difference(*sources),
        "asked": asked_differently(views[0].question, views[1].question),
        "title_of": title_of,
    }


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
        request,
        "docs.html",
        calls=calls(request.app.openapi()),
        base_url=site.base_url(request),
        highlighted=json_lines,
    )
