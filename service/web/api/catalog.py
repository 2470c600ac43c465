"""The REST API, version 1: releases, probes; and how the service is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from starlette.responses import JSONResponse

from service.catalog.histories import history_of
from service.errors import NoRunner, Unavailable
from service.reports.documents import API, probe_json, stamp
from service.web.api.bisections import says
from service.web.api.schemas import HealthBody, ProbeBody, ProbesBody, ReleasesBody
from service.web.site import ThisSite, reader

router = APIRouter()


@router.get(
    f"{API}/releases",
    tags=["catalog"],
    summary="List the releases of a package",
    dependencies=[Depends(reader)],
    response_model=ReleasesBody,
    responses=says(401, 403, 422, 503),
)
def list_releases(
    site: ThisSite,
    package: Annotated[
        str, Query(description="name on the package index", min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+$")
    ] = "tensorflow",
) -> JSONResponse:
    """List every release that has a wheel for Linux, oldest version first, with its upload date."""
    releases = site.dependencies.catalog.releases(package)
    items = [
        {
            "release": release.version,
            "uploaded_at": stamp(release.uploaded),
            "pythons": list(release.pythons),
            "bytes": release.bytes,
            "yanked": release.yanked,
            "gone": release.gone,
        }
        for release in releases
    ]
    mainline = history_of(package, releases, (release.version for release in releases)).mainline
    standing = site.dependencies.catalog.standing(package)
    return JSONResponse(
        {
            "package": package,
            "as_of": stamp(standing.as_of) if standing else None,
            "problem": standing.problem if standing else "",
            "mainline": list(mainline),
            "items": items,
        }
    )


@router.get(
    f"{API}/probes",
    tags=["catalog"],
    summary="List the probes",
    dependencies=[Depends(reader)],
    response_model=ProbesBody,
    responses=says(401, 403),
)
def list_probes(site: ThisSite) -> JSONResponse:
    """List what can be asked of a release, with the outcomes of each probe and its parameters."""
    return JSONResponse({"items": [probe_json(probe) for probe in site.dependencies.probes.values()]})


@router.get(
    f"{API}/probes/{{name}}",
    tags=["catalog"],
    summary="Read a probe",
    dependencies=[Depends(reader)],
    response_model=ProbeBody,
    responses=says(401, 403, 404, 422),
)
def read_probe(
    name: Annotated[str, Path(description="name of a probe", examples=["dropout"], max_length=64)],
    site: ThisSite,
) -> JSONResponse:  # as above
    """Read one probe."""
    return JSONResponse(probe_json(site.probe(name)))


@router.get("/healthz", tags=["service"], summary="Alive?", response_model=HealthBody)
async def healthz() -> JSONResponse:
    """Answer as long as the process does."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", tags=["service"], summary="Ready?", response_model=HealthBody, responses=says(503))
def readyz(site: ThisSite) -> JSONResponse:
    """Answer 200 when the database answers and takes writes, the engine answers and every thread is alive.

    Else 503 with what is missing.
    """
    site.store.ping()
    site.store.check_writes()
    if problem := site.surroundings.engine_problem():
        raise NoRunner(problem)
    if down := site.surroundings.threads_down():
        raise Unavailable(f"threads of this process have stopped: {'; '.join(down)}. See the log.")
    return JSONResponse({"status": "ok"})


@router.get(
    "/metrics",
    tags=["service"],
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={200: {"description": "text format", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(site: ThisSite) -> Response:
    """Return requests, submissions, open bisections and event streams in Prometheus' text format."""
    return Response(site.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
