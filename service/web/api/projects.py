"""The REST API, version 1: projects."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse

from service.errors import ProjectError
from service.projects.archives import chosen, gather_archive, is_archive
from service.projects.files import Bounds, Project, project_of
from service.projects.folders import Gathered
from service.reports.documents import API
from service.web.api.bisections import says
from service.web.api.schemas import ProjectBody
from service.web.site import Site, Submitter, ThisSite

PATH = f"{API}/projects"
FIELDS = 16
PART_BYTES = 1024
"""What a file adds to a request beside its content: names and boundaries."""
MULTIPART = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "one zip or tar archive, or files; a file's name is its path in the project",
                        }
                    },
                    "required": ["files"],
                }
            }
        },
    }
}

router = APIRouter(prefix=API)


def largest_request(bounds: Bounds) -> int:
    """Return how many bytes a request with a project may have."""
    return bounds.most_bytes + bounds.most_files * PART_BYTES


@router.post(
    "/projects",
    tags=["projects"],
    status_code=201,
    summary="Send a project",
    response_model=ProjectBody,
    responses=says(401, 403, 413, 422, 429, 503),
    openapi_extra=MULTIPART,
)
async def send(request: Request, site: ThisSite, caller: Submitter) -> JSONResponse:
    """Keep the files that a bisection needs, and return the digest that names them in its request.

    What a `.gitignore` among them covers is left out, and so are secrets; `left_out` names those. A project that no
    bisection uses is deleted after a day.
    """
    site.access.count_submission(caller)
    bounds = Bounds(*site.settings.project_bounds)
    async with request.form(max_fields=FIELDS, max_files=bounds.most_files) as form:
        sent = await uploads_in(form, "files", bounds)
    project, secrets = await run_in_threadpool(kept, site, sent, bounds)
    return JSONResponse({"digest": project.digest, "files": project.listing(), "left_out": list(secrets)}, 201)


async def uploads_in(form: FormData, name: str, bounds: Bounds) -> list[tuple[str, bytes]]:
    """Return the files of a form by their names, in its order."""
    uploads = [value for value in form.getlist(name) if isinstance(value, UploadFile) and value.filename]
    bounds.check(len(uploads), sum(upload.size or 0 for upload in uploads))
    return [(upload.filename or "", await upload.read()) for upload in uploads]


def kept(site: Site, sent: Sequence[tuple[str, bytes]], bounds: Bounds) -> tuple[Project, Sequence[str]]:
    """Store a project from one archive or several files; return it, and the secrets that were left out.

    Raises:
        ProjectError: it cannot be taken; nothing was stored.
    """
    gathered = _gathered(sent, bounds)
    if not gathered.files:
        raise ProjectError("there are no files to keep; send one archive, or files, in the multipart field `files`.")
    project = project_of(gathered.files, bounds)
    site.store.put_project(project.digest, project.packed)
    return project, gathered.secrets


def _gathered(sent: Sequence[tuple[str, bytes]], bounds: Bounds) -> Gathered:
    if len(sent) == 1 and is_archive(sent[0][1]):
        return gather_archive(sent[0][1], bounds)
    return chosen(sent)
