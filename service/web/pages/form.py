"""The pages of the form, and signing in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from service.catalog.notebooks import as_script
from service.errors import TfbisectError
from service.projects.files import Bounds
from service.web.access import COOKIE
from service.web.api.bisections import hand_in
from service.web.pages import form_fields as forms
from service.web.pages.examples import example_text
from service.web.problems import Refusal
from service.web.site import Reader, Submitter, ThisSite

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request, site: ThisSite, caller: Reader, like: str = "", example: str = "") -> Response:
    """Show the form and the latest bisections."""
    return await run_in_threadpool(forms.form_page, site, request, caller, like=like, example=example)


@router.post("/")
async def submit_form(request: Request, site: ThisSite, caller: Submitter) -> Response:
    """Submit the form; after a mistake show it again with the input and the errors."""
    bounds = Bounds(*site.settings.project_bounds)
    async with request.form(max_fields=64, max_files=bounds.most_files + 1) as typed:
        fields = await forms.fields_of(typed)
        upload = await forms.upload_of(typed)
        sent = await forms.files_of(typed, bounds)
        example = str(typed.get("example", ""))

    def handed_in() -> Response:
        try:
            if example:
                forms.with_example(site, fields, example)
            forms.with_upload(fields, upload)
            forms.with_files(site, fields, sent, bounds)
            bisection_id = hand_in(site, caller, forms.submission_of(fields, site.dependencies.probes))
        except (TfbisectError, Refusal, ValueError) as error:
            return forms.form_page(site, request, caller, fields=fields, problem=forms.problem_in(error))
        return RedirectResponse(f"/b/{bisection_id}", 303)

    return await run_in_threadpool(handed_in)


@router.post("/estimate")
async def estimate_form(request: Request, site: ThisSite, caller: Reader) -> Response:
    """Show the estimated cost beside the form."""
    site.access.count_estimate(caller)
    async with request.form(max_fields=64, max_files=2) as typed:
        fields = await forms.fields_of(typed)
    return await run_in_threadpool(forms.estimate_fragment, site, request, fields)


@router.post("/script")
async def notebook_script(request: Request, site: ThisSite, caller: Reader) -> Response:
    """Return a notebook as the script that it becomes, for the editor."""
    site.access.count_estimate(caller)
    return PlainTextResponse(as_script((await request.body()).decode("utf-8", "replace")))


@router.get("/examples/{name}")
def example(name: str, site: ThisSite) -> Response:
    text = example_text(site.surroundings.examples, name)
    return Response(text, media_type="text/plain; charset=utf-8")


@router.get("/strip")
def strip_of_package(
    request: Request, site: ThisSite, caller: Reader, package: Annotated[str, Query(max_length=128)] = "tensorflow"
) -> Response:
    """Return the strip of another package's minors, for the form."""
    site.access.count_estimate(caller)
    return site.pages.response(request, "strip.html", picks=forms.picks(site, package.replace("\x00", "")))


@router.get("/sign-in")
def sign_in_page(request: Request, site: ThisSite) -> Response:
    return site.pages.response(request, "sign_in.html", problem=None)


@router.post("/sign-in")
async def sign_in(request: Request, site: ThisSite) -> Response:
    """Store a valid token in a cookie that no script can read."""
    secret = str((await request.form(max_fields=4)).get("token", "")).strip()[:200]
    token = await run_in_threadpool(site.store.token_of, secret) if secret else None
    if token is None:
        return site.pages.response(request, "sign_in.html", 401, problem="This token is unknown, revoked or expired.")
    response = RedirectResponse("/", 303)
    response.set_cookie(
        COOKIE, secret, httponly=True, samesite="lax", secure=request.url.scheme == "https", max_age=30 * 86400
    )
    return response


@router.post("/sign-out")
async def sign_out() -> Response:
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response
