"""The pages: form, results, lists."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from service.errors import TfbisectError
from service.storage.records import Search
from service.web import api, forms
from service.web.access import COOKIE
from service.web.api import tagged
from service.web.badges import badge, badge_words, card
from service.web.comparing import compare
from service.web.documents import by_release, is_finished, meaning
from service.web.highlighting import highlighted
from service.web.links import notes_url, reproduce_command, submit_command
from service.web.plots import numbers_in
from service.web.problems import Problem, Refusal
from service.web.readings import Reading, verdict_of
from service.web.reports import markdown, table
from service.web.site import Reader, Site, Submitter, ThisSite
from service.web.views import headline, plot_of, title_of

router = APIRouter(include_in_schema=False)

Id = Annotated[str, Path(alias="id", max_length=64)]


@router.get("/")
async def home(request: Request, site: ThisSite, caller: Reader, like: str = "") -> Response:
    """Show the form and what was bisected last."""
    return await run_in_threadpool(forms.form_page, site, request, caller, like=like)


@router.post("/")
async def submit(request: Request, site: ThisSite, caller: Submitter) -> Response:
    """Take the form; on a mistake show it again with what was typed and what to mend."""
    typed = await request.form(max_fields=64, max_files=2)
    fields = await forms.fields_of(typed)

    def handed_in() -> Response:
        try:
            bisection_id = api.hand_in(site, caller, forms.submission_of(fields))
        except (TfbisectError, Refusal, ValueError) as error:
            return forms.form_page(site, request, caller, fields=fields, problem=forms.problem_in(error))
        return RedirectResponse(f"/b/{bisection_id}", 303)

    return await run_in_threadpool(handed_in)


@router.post("/estimate")
async def estimate(request: Request, site: ThisSite, caller: Reader) -> Response:  # noqa: ARG001  # who may not read gets none
    """Say beside the form what pressing the button would cost."""
    fields = await forms.fields_of(await request.form(max_fields=64, max_files=2))
    return await run_in_threadpool(forms.estimate_fragment, site, request, fields)


@router.get("/examples/{name}")
def example(name: str, site: ThisSite) -> Response:
    """Return an example snippet."""
    text = forms.example_text(site.dependencies.examples, name)
    return Response(text, media_type="text/plain; charset=utf-8")


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
    cursor: Annotated[str | None, Query(pattern=f"^{api.ULID.pattern}$")] = None,
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
    page = site.store.bisections(search, limit=25, cursor=cursor, viewer=caller.viewer)
    return site.pages.response(
        request,
        "list.html",
        rows=[row_of(site, bisection) for bisection in page.rows],
        next=page.next,
        wanted=wanted,
        is_narrowed=any(wanted.values()),
        probes=site.dependencies.probes,
        outcomes=sorted({label for each in site.dependencies.probes.values() for label in each.outcomes}),
    )


def row_of(site: Site, bisection: Any) -> dict[str, Any]:
    """Return a bisection as lists show it."""
    verdict = bisection.verdict or {}
    return {
        "bisection": bisection,
        "title": title_of(bisection),
        "summary": headline(bisection, verdict),
        "timeline": site.views.timeline(bisection, verdict),
    }


@router.get("/b/{id}.md")
def report(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Return the report that goes into an issue."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    view = site.views.of(reading, site.readings.outlook(reading))
    source = site.store.snippet(reading.bisection.snippet_digest)
    text = markdown(reading, view.verdict, view.timeline, source, view.summary, site.base_url(request))
    return Response(text, media_type="text/markdown; charset=utf-8")


@router.get("/b/{id}.svg")
def badge_picture(bisection_id: Id, site: ThisSite, caller: Reader) -> Response:
    """Return the badge."""
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    words, colour = badge_words(bisection.status, bisection.verdict or {})
    return _picture(badge(bisection.package, words, colour), finished=is_finished(bisection))


@router.get("/b/{id}/card.svg")
def card_picture(bisection_id: Id, site: ThisSite, caller: Reader) -> Response:
    """Return the picture that a shared link is shown with."""
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    verdict = bisection.verdict or {}
    timeline = site.views.timeline(bisection, verdict)
    below = f"{title_of(bisection)} · {bisection.probe}"
    return _picture(card(headline(bisection, verdict), below, timeline), finished=is_finished(bisection))


def _picture(svg: str, *, finished: bool) -> Response:
    """Answer with a picture; one of a running bisection is asked for again soon."""
    headers = {"cache-control": "public, max-age=3600" if finished else "no-cache"}
    return Response(svg, 200, headers, media_type="image/svg+xml")


@router.get("/b/{id}.json")
def download_json(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Return what the API answers, as a file."""
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
def download_snippet(bisection_id: Id, site: ThisSite, caller: Reader) -> Response:
    """Return the snippet."""
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    return Response(site.store.snippet(bisection.snippet_digest), media_type="text/plain; charset=utf-8")


@router.get("/b/{id}")
def result(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Show a bisection, live while it runs."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    view = site.views.of(reading, site.readings.outlook(reading))
    bisection, base_url = reading.bisection, site.base_url(request)
    similar = site.store.similar_bisections(bisection.id, limit=6, viewer=caller.viewer) if view.changes else ()
    return site.pages.response(
        request,
        "bisection.html",
        **live_values(site, reading, view),
        source=highlighted(site.store.snippet(bisection.snippet_digest)),
        similar=[row_of(site, other) for other in similar],
        base_url=base_url,
        curl=submit_command(bisection.request, bisection.id, base_url),
        may_end=caller.may_end(bisection.owner),
    )


@router.get("/b/{id}/live")
def live(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Return the part of the page that changes while a bisection runs."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    view = site.views.of(reading, site.readings.outlook(reading))
    values = live_values(site, reading, view)
    return site.pages.response(request, "live.html", **values, may_end=caller.may_end(reading.bisection.owner))


def live_values(site: Site, reading: Reading, view: Any) -> dict[str, Any]:
    """Return what the live part shows."""
    probe = site.dependencies.probes.get(reading.bisection.probe)
    plot, chosen, measurements = plot_of(reading, view.timeline, ())
    return {
        "view": view,
        "bisection": reading.bisection,
        "base": f"/b/{reading.bisection.id}",
        "title": title_of(reading.bisection),
        "probe": probe,
        "explained": dict(probe.outcomes) if probe else {},
        "plot": plot,
        "chosen": chosen,
        "measurements": measurements,
        "rows": runs_of(reading),
        "variants": variants_of(site, reading),
    }


def runs_of(reading: Reading) -> list[dict[str, Any]]:
    """Return every run for the table."""
    return [
        {
            "linked": linked,
            "report": linked.observation.report,
            "release": linked.observation.identity.release,
            "answer": meaning(linked.observation.report, reading.judge),
        }
        for linked in reading.observations
    ]


def variants_of(site: Site, reading: Reading) -> list[tuple[str, Any]]:
    """Return each variant with its own timeline."""
    said = (reading.bisection.verdict or {}).get("variants", {})
    entries = said.items() if isinstance(said, dict) else [(entry.get("name", "variant"), entry) for entry in said]
    return [(name, site.views.timeline(reading.bisection, entry.get("verdict", entry))) for name, entry in entries]


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
    values = {"plot": drawn, "chosen": chosen, "measurements": measurements, "base": f"/b/{bisection_id}"}
    if "hx-request" not in request.headers:
        return RedirectResponse(f"/b/{bisection_id}#measurements", 303)
    return site.pages.response(request, "plot.html", **values)


@router.get("/b/{id}/r/{release}")
def release_record(
    bisection_id: Id, release: str, request: Request, site: ThisSite, caller: Reader, variant: str = ""
) -> Response:
    """Show all that is known of one release: in the drawer, or as a page of its own."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    outlook = site.readings.outlook(reading)
    view = site.views.of(reading, outlook)
    step = next((step for step in view.timeline.steps if step.cell.release == release), None)
    runs = by_release(reading.observations, variant).get(release, [])
    if step is None and not runs:
        raise Refusal(Problem(404, "Not found", f"This bisection is not about {release[:64]}.", "not-found"))
    bisection = reading.bisection
    in_drawer = "hx-request" in request.headers
    return site.pages.response(
        request,
        "record.html" if in_drawer else "record_page.html",
        bisection=bisection,
        base=f"/b/{bisection.id}",
        title=title_of(bisection),
        release=release,
        cell=step.cell if step else None,
        runs=[(run, run.observation.report, meaning(run.observation.report, reading.judge)) for run in runs],
        numbers=numbers_in,
        notes=notes_url(bisection.package, release),
        command=reproduce_command(bisection.id, bisection.request, release, site.base_url(request)),
        explained=dict(site.dependencies.probes[bisection.probe].outcomes)
        if bisection.probe in site.dependencies.probes
        else {},
        tones=dict(view.timeline.legend),
        around=neighbours(view.timeline, release),
    )


def neighbours(timeline: Any, release: str) -> tuple[str, str]:
    """Return the releases before and after one, "" at the ends."""
    order = ["", *(step.cell.release for step in timeline.steps), ""]
    at = order.index(release) if release in order else 0
    return (order[at - 1], order[at + 1]) if at else ("", "")


@router.post("/b/{id}/cancel")
def cancel(bisection_id: Id, site: ThisSite, caller: Submitter) -> Response:
    """Cancel from the page."""
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    api.check_owned(caller, bisection)
    if not is_finished(bisection):
        site.store.request_cancel(bisection_id)
    return RedirectResponse(f"/b/{bisection_id}", 303)


@router.post("/b/{id}/delete")
def delete(bisection_id: Id, site: ThisSite, caller: Submitter) -> Response:
    """Delete from the page."""
    api.delete(bisection_id, site, caller)
    return RedirectResponse("/bisections", 303)


@router.get("/compare")
def comparison(
    request: Request,
    site: ThisSite,
    caller: Reader,
    left: Annotated[str, Query(max_length=300)] = "",
    right: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    """Show two bisections side by side."""
    names = [side.strip().rstrip("/").rpartition("/")[2] for side in (left, right)]
    values: dict[str, Any] = {"left": names[0], "right": names[1], "sides": None}
    if all(names):
        readings = [site.readings.reading(name, caller.viewer) for name in names]
        views = [site.views.of(reading, site.readings.outlook(reading)) for reading in readings]
        verdicts = [verdict_of(reading, None) or view.verdict for reading, view in zip(readings, views, strict=True)]
        values |= {"sides": views, "compared": compare(*verdicts), "title_of": title_of}
    return site.pages.response(request, "compare.html", **values)


@router.get("/releases")
def releases(
    request: Request,
    site: ThisSite,
    caller: Reader,  # noqa: ARG001  # who may not read gets no list
    package: Annotated[str, Query(max_length=128, pattern=r"^[A-Za-z0-9._-]+$")] = "tensorflow",
) -> Response:
    """Show the releases of a package."""
    listed = site.dependencies.catalog.releases(package)
    return site.pages.response(request, "releases.html", package=package, releases=listed, notes_url=notes_url)


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


def tones_by_probe(site: Site) -> Any:
    """Return a function that says which tone an outcome of a probe wears."""
    from service.web.tones import tones_of

    def tone(probe_name: str, outcome: str) -> str:
        probe = site.dependencies.probes.get(probe_name)
        known = (probe.outcomes, probe.expected) if probe else ((), ())
        return tones_of([outcome], *known)[outcome]

    return tone


@router.get("/probes")
def probes(request: Request, site: ThisSite, caller: Reader) -> Response:  # noqa: ARG001  # as above
    """Show the probes."""
    return site.pages.response(
        request, "probes.html", probes=site.dependencies.probes.values(), tone=tones_by_probe(site)
    )


@router.get("/probes/{name}")
def probe_page(name: str, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Show one probe and what was found with it."""
    probe = site.probe(name)
    page = site.store.bisections(Search(probe=name), limit=15, viewer=caller.viewer)
    rows = [row_of(site, bisection) for bisection in page.rows]
    parameters = {key: api_catalog_plain(value) for key, value in probe.parameters.items()}
    return site.pages.response(
        request, "probe.html", probe=probe, rows=rows, parameters=parameters, tone=tones_by_probe(site)
    )


def api_catalog_plain(value: Any) -> Any:
    """Return a parameter's schema as a mapping."""
    from service.web.api_catalog import plain

    return plain(value)


@router.get("/docs")
def docs(request: Request, site: ThisSite, caller: Reader) -> Response:  # noqa: ARG001  # as above
    """Show the REST API."""
    from service.web.reference import calls

    return site.pages.response(
        request, "docs.html", calls=calls(request.app.openapi()), base_url=site.base_url(request)
    )


@router.get("/sign-in")
def sign_in_page(request: Request, site: ThisSite) -> Response:
    """Ask for a token."""
    return site.pages.response(request, "sign_in.html", problem=None)


@router.post("/sign-in")
async def sign_in(request: Request, site: ThisSite) -> Response:
    """Keep a good token in a cookie that no script can read."""
    secret = str((await request.form(max_fields=4)).get("token", "")).strip()[:200]
    token = await run_in_threadpool(site.store.token_of, secret) if secret else None
    if token is None:
        return site.pages.response(
            request, "sign_in.html", 401, problem="This token is not known here, was revoked or has expired."
        )
    response = RedirectResponse("/", 303)
    response.set_cookie(
        COOKIE, secret, httponly=True, samesite="lax", secure=request.url.scheme == "https", max_age=30 * 86400
    )
    return response


@router.post("/sign-out")
async def sign_out() -> Response:
    """Forget the token."""
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response


def problem_page(site: Site, request: Request, problem: Problem) -> Response:
    """Show an error to a person."""
    response = site.pages.response(request, "problem.html", problem.status, problem=problem)
    response.headers.update(dict(problem.headers or {}))
    return response


__all__ = ["JSONResponse", "Literal", "router"]
