"""The REST API, version 1: bisections."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse

from service.bisection.words import counted
from service.errors import BadInput, NotFound
from service.reports.comparing import compare_verdicts
from service.reports.documents import API, Document, full_observation_json, summary_json
from service.reports.readings import verdict_of
from service.storage.records import FINISHED, Bisection, Search
from service.web.access import Caller
from service.web.api.examples import ULID as EXAMPLE_ID
from service.web.api.schemas import (
    BisectionBody,
    ComparisonBody,
    EstimateBody,
    ListQuery,
    ObservationBody,
    PageBody,
    SubmissionBody,
)
from service.web.problems import Problem, Refusal, too_many
from service.web.site import Reader, Site, Submitter, ThisSite

router = APIRouter(prefix=API)

Id = Annotated[str, Path(alias="id", description="id of a bisection, a ULID", examples=[EXAMPLE_ID], max_length=64)]
ReleaseName = Annotated[str, Path(description="a release", examples=["1.11.0"], max_length=64)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="a word of your own; the same request sent again with it makes no second bisection",
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        examples=["ci-run-4711"],
    ),
]


def says(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of errors that a call answers with."""
    words = {
        401: "a token is needed, or it is not good any more",
        403: "the token does not reach that far",
        404: "not there, or not for you",
        409: "it is over already",
        413: "too large",
        415: "not sent as JSON",
        422: "something in the request cannot be used; `errors` says which field",
        429: "too many; `Retry-After` says when to come back",
        503: "something around the service is missing",
    }
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {status: {"description": words[status], "content": content} for status in statuses}


@router.post(
    "/bisections",
    tags=["bisections"],
    status_code=202,
    summary="Submit a bisection",
    response_model=BisectionBody,
    responses={
        200: {"description": "every observation it needs was stored: here is the verdict", "model": BisectionBody},
        202: {"description": "queued; follow `links.events`", "model": BisectionBody},
        **says(401, 403, 413, 422, 429, 503),
    },
)
def submit(
    body: SubmissionBody, request: Request, site: ThisSite, caller: Submitter, idempotency_key: IdempotencyKey = None
) -> Response:
    """Bisect a snippet over the releases of a package.

    The same question is never run twice: where all the runs it needs are stored, the answer is 200 with the verdict;
    else it is 202, and `Location` says where to look.
    """
    bisection_id = hand_in(site, caller, body, idempotency_key)
    bisection = site.store.bisection(bisection_id)
    document = site.readings.document(bisection_id, caller.viewer)
    status = 200 if bisection.status in FINISHED else 202
    location = f"{site.base_url(request)}{API}/bisections/{bisection_id}"
    return json_response(document, status, {"location": location})


def hand_in(site: Site, caller: Caller, body: SubmissionBody, idempotency_key: str | None = None) -> str:
    """Submit for a caller within their limits; return the bisection's id.

    Raises:
        Refusal: 429.
        BadInput: nothing was started.
    """
    if body.visibility == "private" and caller.owner is None:
        raise BadInput("a private bisection needs a token; send one, or make the bisection public.", field="visibility")
    site.access.count_submission(caller)
    if site.store.open_counts().get("queued", 0) >= site.settings.queued_at_most:
        raise too_many(f"The queue is full: {counted(site.settings.queued_at_most, 'bisection')} at most.", 60)
    submitted = site.dependencies.submission.submit(
        body.request(), public=body.visibility == "public", owner=caller.owner, idempotency_key=idempotency_key
    )
    site.metrics.submissions.labels("at once" if submitted.status in FINISHED else "queued").inc()
    return submitted.id


@router.get(
    "/bisections",
    tags=["bisections"],
    summary="List bisections",
    response_model=PageBody,
    responses=says(401, 403, 422, 503),
)
def list_bisections(site: ThisSite, caller: Reader, wanted: Annotated[ListQuery, Query()]) -> JSONResponse:
    """List what the caller may see, newest first, page by page, narrowed by what is given."""
    limit, cursor = wanted.limit, wanted.cursor
    search = Search(
        status=wanted.status,
        probe=wanted.probe,
        package=wanted.package,
        text=wanted.q,
        outcomes=(wanted.outcome,) if wanted.outcome else (),
        changed_in=wanted.changed_in or None,
    )
    try:
        page = site.store.bisections(search, limit=limit, cursor=cursor, viewer=caller.viewer)
    except BadInput as error:
        raise BadInput(error.message, field="q") from error  # the store has another name for it
    items = [{**summary_json(row), "summary": (row.verdict or {}).get("summary")} for row in page.rows]
    return JSONResponse({"items": items, "next": page.next})


@router.get(
    "/bisections/{id}",
    tags=["bisections"],
    summary="Read a bisection",
    response_model=BisectionBody,
    responses={304: {"description": "`If-None-Match` named it: nothing new"}, **says(401, 403, 404, 422, 503)},
)
async def read(bisection_id: Id, request: Request, site: ThisSite, caller: Reader) -> Response:
    """Read a bisection: its state, progress, observations and verdict. A finished one carries an `ETag`."""
    named = request.headers.get("if-none-match")
    document = await site.readings.at_hand(bisection_id, caller.viewer, named)
    if document is None:
        document = await run_in_threadpool(site.readings.document, bisection_id, caller.viewer)
    return tagged(document, request)


@router.get(
    "/bisections/{id}/releases/{release}",
    tags=["bisections"],
    summary="Read all about one release",
    response_model=list[ObservationBody],
    responses=says(401, 403, 404, 422, 503),
)
def read_release(bisection_id: Id, release: ReleaseName, site: ThisSite, caller: Reader) -> Response:
    """Read every run of one release in full: measurements, output, packages, image, timings."""
    reading = site.readings.reading(bisection_id, caller.viewer)
    runs = [run for run in reading.observations if run.observation.identity.release == release]
    if not runs:
        raise NotFound(f"{release} did not run in this bisection; it was inferred, or not run.")
    return json_response(Document.of([full_observation_json(run, reading.judge_of(run)) for run in runs]))


@router.get(
    "/bisections/{id}/events",
    tags=["bisections"],
    summary="Follow a bisection",
    response_class=StreamingResponse,
    responses={
        200: {"description": "server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        204: {"description": "it is over, and `Last-Event-ID` was the last event"},
        **says(401, 403, 404, 422, 429, 503),
    },
)
async def follow(
    bisection_id: Id,
    site: ThisSite,
    caller: Reader,
    last_event_id: Annotated[
        str | None, Header(description="number of the last event that was seen; a browser sends it by itself")
    ] = None,
    after: Annotated[int, Query(ge=0, le=2**31, description="the same, for a client that cannot set the header")] = 0,
) -> Response:
    """Follow a bisection by server-sent events: `observation`, `progress`, `verdict`, `end`; data is JSON.

    All events from the first are sent, or those after `Last-Event-ID`; the stream closes after `end`.
    """
    bisection = await run_in_threadpool(site.readings.bisection, bisection_id, caller.viewer)
    if last_event_id and last_event_id.isascii() and last_event_id.isdigit():
        after = min(int(last_event_id[:10]), 2**31)
    if bisection.status in FINISHED and after >= bisection.last_event > 0:
        return Response(status_code=204)
    site.access.check_streams(caller)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events_of(site, caller, bisection_id, after), 200, headers, "text/event-stream")


async def events_of(site: Site, caller: Caller, bisection_id: str, after: int) -> Any:
    """Yield the events of a bisection while counting the stream."""
    with site.access.counted_stream(caller):
        async for chunk in site.broadcaster.stream(bisection_id, after):
            yield chunk


@router.post(
    "/bisections/{id}/cancel",
    tags=["bisections"],
    status_code=202,
    summary="Cancel a bisection",
    response_model=BisectionBody,
    responses=says(401, 403, 404, 409, 422, 503),
)
def cancel(bisection_id: Id, site: ThisSite, caller: Submitter) -> Response:
    """Stop a bisection; what was measured is kept, and the verdict so far with it."""
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    check_owned(caller, bisection)
    if bisection.status in ("done", "failed"):
        raise Refusal(
            Problem(
                409, "Already finished", f"The bisection is {bisection.status}; there is nothing to cancel.", "over"
            )
        )
    site.store.request_cancel(bisection_id)
    return json_response(site.readings.document(bisection_id, caller.viewer), 202)


@router.delete(
    "/bisections/{id}",
    tags=["bisections"],
    status_code=204,
    summary="Delete a bisection",
    responses=says(401, 403, 404, 422, 503),
)
def delete(bisection_id: Id, site: ThisSite, caller: Submitter) -> Response:
    """Delete a bisection with its snippet and every observation that no other bisection rests on."""
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    check_owned(caller, bisection)
    site.store.delete_bisection(bisection_id)
    return Response(status_code=204)


def check_owned(caller: Caller, bisection: Bisection) -> None:
    """Refuse a caller who may read a bisection but not cancel it.

    Raises:
        Refusal: 403.
    """
    if not caller.may_end(bisection.owner):
        raise Refusal(
            Problem(
                403,
                "Forbidden",
                "The bisection belongs to another token. Use that token, or one with the scope admin.",
                "forbidden",
            )
        )


@router.get(
    "/compare",
    tags=["bisections"],
    summary="Compare two bisections",
    response_model=ComparisonBody,
    responses=says(401, 403, 404, 422, 503),
)
def compare_two(
    site: ThisSite,
    caller: Reader,
    left: Annotated[str, Query(description="id of a bisection", max_length=64, examples=[EXAMPLE_ID])],
    right: Annotated[str, Query(description="id of another one", max_length=64, examples=[EXAMPLE_ID])],
) -> Response:
    """Compare two bisections: release by release, and the changes that one, the other or both found."""
    ours, theirs = (site.readings.reading(name, caller.viewer) for name in (left, right))
    sides = {"left": summary_json(ours.bisection), "right": summary_json(theirs.bisection)}
    verdicts = [verdict_of(reading, site.readings.outlook(reading)) for reading in (ours, theirs)]
    return json_response(Document.of({**sides, **compare_verdicts(*verdicts)}))


@router.post(
    "/estimate",
    tags=["bisections"],
    summary="Estimate a bisection",
    response_model=EstimateBody,
    responses=says(401, 403, 413, 422, 429, 503),
)
def estimate(body: SubmissionBody, site: ThisSite, caller: Reader) -> JSONResponse:
    """Say what a bisection would cost, without starting anything."""
    site.access.count_estimate(caller)
    return JSONResponse(site.estimator.estimate(body.request()).as_json())


def json_response(document: Document, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(document.plain().content, status, headers, media_type="application/json")


def tagged(document: Document, request: Request, content_type: str = "application/json") -> Response:
    """Answer with a document and its ETag, or with 304 if the client has it already."""
    status, headers, body = document.answer(request.headers, content_type)
    return Response(body, status, headers)
