"""The OpenAPI description, completed: examples for every call, problems, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from service.web.api.examples import example_of
from service.web.api.schemas import ProblemBody

TAGS = [
    {"name": "bisections", "description": "Submit, follow, read, compare, cancel, delete."},
    {"name": "projects", "description": "Send files that a bisection needs."},
    {"name": "catalog", "description": "What can be bisected, and what can be asked."},
    {"name": "service", "description": "How the service is."},
]


OPERATIONS = {
    "submit": "submit_bisection",
    "read": "read_bisection",
    "follow": "follow_bisection",
    "cancel": "cancel_bisection",
    "delete": "delete_bisection",
    "compare_two": "compare_bisections",
    "estimate": "estimate_bisection",
    "read_why": "read_causes",
    "ask_why": "find_causes",
    "send": "send_project",
    "healthz": "is_alive",
    "readyz": "is_ready",
    "metrics": "read_metrics",
}
"""Function -> what generated clients call it, where its own name says too little outside its module."""


def operation_id(route: APIRoute) -> str:
    """Return the name of a call in generated clients: a verb and what it acts on."""
    return OPERATIONS.get(route.name, route.name)


def describe(app: FastAPI) -> None:
    """Let an application describe itself, once, when first asked."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI documents


def _described(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes, tags=TAGS, license_info=_LICENSE
    )
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemBody"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": _TOKEN}}
    for path in schema["paths"].values():
        for operation in path.values():
            operation["security"] = [{}, {"token": []}]
            _add_examples(schema, operation)
    return schema


def _add_examples(schema: Mapping[str, Any], operation: dict[str, Any]) -> None:
    """Give every JSON answer and every body of a call an example."""
    described = [operation.get("requestBody", {}), *operation["responses"].values()]
    for content in (each.get("content", {}).get("application/json") for each in described):
        if content and "example" not in content and "schema" in content:
            content["example"] = example_of(schema, content["schema"])


_LICENSE = {"name": "MIT", "identifier": "MIT"}
_TOKEN = "Only where the service asks for one; made with `tfbisect tokens create`."  # noqa: S105  # words, no secret
