"""The web service: REST, pages, events. It gets everything it needs and never starts a container."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service import __version__
from service.errors import TfbisectError
from service.projects.files import Bounds
from service.reports.dependencies import Dependencies, Surroundings
from service.web.api import bisections as api
from service.web.api import catalog as api_catalog
from service.web.api import projects as api_projects
from service.web.api import why as api_why
from service.web.api.openapi import describe, operation_id
from service.web.api.schemas import FIELDS
from service.web.guard import Guard
from service.web.metrics import Measured
from service.web.pages import form as form_pages
from service.web.pages import lists as list_pages
from service.web.pages import results as result_pages
from service.web.pages import watches as watch_pages
from service.web.problems import (
    Problem,
    Refusal,
    problem_of,
    problem_of_status,
    problem_of_validation,
)
from service.web.short_way import ShortWay
from service.web.site import Site, site_of

WITH_FILES = (api_projects.PATH, "/")
"""Paths whose requests may hold a project."""

log = structlog.get_logger()


def create_app(dependencies: Dependencies, surroundings: Surroundings | None = None) -> FastAPI:
    site = Site(dependencies, surroundings or Surroundings())
    hosts = [host.strip() for host in site.settings.allowed_hosts.split(",") if host.strip()]
    larger = dict.fromkeys(WITH_FILES, api_projects.largest_request(Bounds(*site.settings.project_bounds)))
    app = FastAPI(
        title="tfbisect",
        version=__version__,
        summary="Find the framework releases in which a model behaves differently.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=operation_id,
        middleware=[
            Middleware(Measured, metrics=site.metrics),
            Middleware(Guard, hosts=hosts, body_bytes=site.settings.body_bytes, larger=larger),
            Middleware(ShortWay, readings=site.readings, is_open=not site.settings.require_token),
        ],
    )
    app.state.site = site
    app.include_router(api.router)
    app.include_router(api_why.router)
    app.include_router(api_projects.router)
    app.include_router(api_catalog.router)
    for part in (form_pages, result_pages, list_pages, watch_pages):
        app.include_router(part.router)
    app.add_route("/static/{path:path}", site.assets.serve, include_in_schema=False)
    app.add_route("/favicon.ico", site.assets.serve_icon, include_in_schema=False)
    _add_error_handlers(app)
    describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """End the event streams when the service stops."""
    yield
    await app.state.site.broadcaster.close()


def _add_error_handlers(app: FastAPI) -> None:
    """Answer every error as a problem, for people as a page."""

    @app.exception_handler(TfbisectError)
    async def _expected(request: Request, error: TfbisectError) -> Response:
        return _answer(request, problem_of(error))

    @app.exception_handler(Refusal)
    async def _refused(request: Request, error: Refusal) -> Response:
        return _answer(request, error.problem)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return _answer(request, problem_of_validation(error.errors(), FIELDS))

    @app.exception_handler(HTTPException)
    async def _status(request: Request, error: HTTPException) -> Response:
        return _answer(request, problem_of_status(error.status_code, str(error.detail), error.headers))

    @app.exception_handler(ClientDisconnect)
    async def _left(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # the client is gone, and nothing went wrong here

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        log.error("web.crashed", path=request.url.path, exc_info=error)
        return _answer(request, Problem(500, "Something went wrong", "It is in the log of the service.", "internal"))


def _answer(request: Request, problem: Problem) -> Response:
    """Answer a program with problem details and a person with a page."""
    path = request.url.path
    wants_page = "text/html" in request.headers.get("accept", "")
    if wants_page and not path.startswith(("/api/", "/static/", "/healthz", "/readyz", "/metrics")):
        return _problem_page(request, problem)
    return problem.response()


def _problem_page(request: Request, problem: Problem) -> Response:
    response = site_of(request).pages.response(request, "problem.html", problem.status, problem=problem)
    response.headers.update(dict(problem.headers or {}))
    return response
