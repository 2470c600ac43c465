"""The REST API, version 1: causes of changes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from service.errors import NotFound
from service.reports.causes import changes_like, with_likes
from service.reports.documents import API, Document
from service.storage.records import Bisection
from service.web.access import Caller
from service.web.api.bisections import Id, json_response, says
from service.web.site import Reader, Site, Submitter, ThisSite

router = APIRouter(prefix=API)


class WhyBody(BaseModel):
    """How far the causes of a bisection's changes are known."""

    id: str
    status: str = Field(description="done; running: they are sought, ask again; none: nobody has asked for them")
    said: str = Field(description="the same in words")
    changes: list[dict[str, Any]] = Field(description="the verdict's changes; `cause` says what each comes from")


class WhyRequest(BaseModel):
    """Asks for causes."""

    model_config = ConfigDict(extra="forbid")

    budget: int | None = Field(
        None, ge=1, le=1000, description="hypotheses at most for each change; by default as the service is set up"
    )


@router.get(
    "/bisections/{id}/why",
    tags=["bisections"],
    summary="Read the causes of its changes",
    response_model=WhyBody,
    responses={202: {"description": "they are being sought", "model": WhyBody}, **says(401, 403, 404, 422, 503)},
)
def read_why(bisection_id: Id, site: ThisSite, caller: Reader) -> Response:
    """Read what is known of the cause of each change, stage by stage, while it is sought too."""
    return answer(site, caller, site.readings.bisection(bisection_id, caller.viewer))


@router.post(
    "/bisections/{id}/why",
    tags=["bisections"],
    status_code=202,
    summary="Ask for the causes of its changes",
    response_model=WhyBody,
    responses={202: {"description": "they are being sought", "model": WhyBody}, **says(401, 403, 404, 422, 429, 503)},
)
def ask_why(bisection_id: Id, site: ThisSite, caller: Submitter, body: WhyRequest | None = None) -> Response:
    """Look for the cause of each change, or further than before, when nothing more important runs.

    Hypotheses that were run before, for whomever, are not run again.
    """
    bisection = site.readings.bisection(bisection_id, caller.viewer)
    if bisection.verdict is None:
        raise NotFound(f"bisection {bisection.id} has no verdict yet: it is {bisection.status}.")
    if bisection.verdict.get("changes"):
        site.access.count_submission(caller)
        budget = (body or WhyRequest()).budget or site.settings.causes_budget
        site.store.request_explanation(bisection.id, budget)
    return answer(site, caller, bisection)


def answer(site: Site, caller: Caller, bisection: Bisection) -> Response:
    """Return what is known; 202 while more is sought."""
    running = site.store.is_explanation_requested(bisection.id)
    likes = changes_like(site.store, bisection.id, caller.viewer)
    changes = list(with_likes(bisection.verdict or {}, likes).get("changes", ()))
    known = [change["cause"] for change in changes if "stages" in (change.get("cause") or {})]
    status = "running" if running else "done" if known or not changes else "none"
    words = {
        "running": "the causes are being sought",
        "done": "what was looked for is told with each change",
        "none": "nobody has asked for the causes; POST to this address does",
    }
    said = [stage["said"] for cause in known for stage in cause["stages"]]
    told = {"id": bisection.id, "status": status, "said": said[-1] if running and said else words[status]}
    return json_response(Document.of({**told, "changes": changes}), 202 if running else 200)
