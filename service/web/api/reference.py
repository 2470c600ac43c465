"""The REST reference, made from the OpenAPI description: `python -m service.web.api.reference > docs/api.md`."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from service import __version__
from service.web.api import bisections as api
from service.web.api import catalog as api_catalog
from service.web.api import projects as api_projects
from service.web.api import why as api_why
from service.web.api.examples import example_of, resolved
from service.web.api.openapi import describe, operation_id

JSON = "application/json"
MULTIPART = "multipart/form-data"
EXAMPLE_HOST = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class CallParameter:
    """One parameter of a call, or one field of its body."""

    name: str
    place: str
    type: str
    words: str
    required: bool


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    summary: str
    description: str
    parameters: Sequence[CallParameter]
    body: Any
    """An example of the body, or None."""
    answers: Sequence[tuple[str, str]]
    form: str
    """The field of a multipart body that takes files, or ""."""
    example: str
    """An answer as an example, JSON, or ""."""

    @property
    def anchor(self) -> str:
        """Return the name of its place on a page."""
        return re.sub(r"\W+", "-", f"{self.method} {self.path}".lower()).strip("-")

    @property
    def can_be_tried(self) -> bool:
        """Say whether the page offers to send it: not what deletes, takes files, or never ends."""
        return self.method in ("GET", "POST") and not self.form and not self.path.endswith("/events")

    @property
    def tried_parameters(self) -> list[CallParameter]:
        """Return the parameters that stand in the address."""
        return [each for each in self.parameters if each.place in ("path", "query")]

    @property
    def body_text(self) -> str:
        """Return the example of the body, as it can be sent."""
        return json.dumps(self.body, indent=2)

    def curl(self, base_url: str) -> str:
        words = ["curl", "-sS"]
        if self.method != "GET":
            words += ["-X", self.method]
        if self.form:
            words += ["-F", f"{self.form}=@project.zip"]
        if self.body is not None:
            words += ["-H", f"content-type: {JSON}", "-d", json.dumps(self.body)]
        if self.path.endswith("/events"):
            words.append("-N")
        return shlex.join([*words, base_url + self._filled()])

    def _filled(self) -> str:
        """Return the path with example values, and the query that it needs."""
        path = self.path
        query = []
        for parameter in self.parameters:
            if parameter.place == "path":
                path = path.replace(f"{{{parameter.name}}}", _place_of(parameter.name))
            elif parameter.place == "query" and parameter.required:
                query.append(f"{parameter.name}={_place_of(parameter.name)}")
        return path + ("?" + "&".join(query) if query else "")


def calls(schema: Mapping[str, Any]) -> list[Call]:
    return [
        _call(schema, path, method, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
    ]


def _call(schema: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Call:
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
    form = operation.get("requestBody", {}).get("content", {}).get(MULTIPART, {}).get("schema", {})
    parameters = [_parameter(schema, each) for each in operation.get("parameters", ())]
    for described in filter(None, (body, form)):
        parameters += _fields(schema, described)
    answers = [(status, str(answer.get("description", ""))) for status, answer in operation["responses"].items()]
    return Call(
        method=method.upper(),
        path=path,
        summary=str(operation.get("summary", "")),
        description=" ".join(str(operation.get("description", "")).split()),
        parameters=parameters,
        body=None if body is None else example_of(schema, body),
        answers=sorted(answers),
        form=next(iter(form.get("properties", {})), ""),
        example=_answer_example(schema, operation),
    )


def _parameter(schema: Mapping[str, Any], each: Mapping[str, Any]) -> CallParameter:
    words = str(each.get("description", ""))
    return CallParameter(each["name"], each["in"], _type(schema, each["schema"]), words, bool(each.get("required")))


def _fields(schema: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[CallParameter]:
    described = resolved(schema, body)
    required = described.get("required", ())
    for name, field in described.get("properties", {}).items():
        words = str(field.get("description", ""))
        if field.get("default") not in (None, "", [], {}, False):
            words = f"{words}; default {field['default']}".strip("; ")
        yield CallParameter(name, "body", _type(schema, field), words, name in required)


def _type(schema: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    """Return the type of a field in few words."""
    field = resolved(schema, field)
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " | ".join(_type(schema, each) for each in field["anyOf"] if each.get("type") != "null")
    if field.get("type") == "array":
        return f"list of {_type(schema, field.get('items', {}))}"
    return str(field.get("type", "any"))


def _answer_example(schema: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    """Return an example of the good answer, or ""."""
    for status in ("200", "201", "202"):
        content = operation["responses"].get(status, {}).get("content", {}).get(JSON)
        if content is not None:
            return json.dumps(example_of(schema, content.get("schema", {})), indent=2, ensure_ascii=False)
    return ""


def _place_of(name: str) -> str:
    """Return the example value of a parameter."""
    return {"release": "1.11.0", "name": "dropout", "left": "$LEFT", "right": "$RIGHT"}.get(name, f"${name.upper()}")


def as_markdown(schema: Mapping[str, Any]) -> str:
    """Return the whole reference as Markdown."""
    listed = calls(schema)
    parts = [
        "# REST API",
        _INTRODUCTION,
        "\n".join(f"- [`{call.method} {call.path}`](#{call.anchor}): {call.summary}" for call in listed),
    ]
    parts += [_section(call) for call in listed]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = (
    "Made from the service's own OpenAPI description (`/openapi.json`) by `python -m service.web.api.reference`; "
    "a test compares the two. JSON in and out; errors are `application/problem+json` (RFC 9457) with the path of each "
    "field at fault. Where the service asks for a token, send `Authorization: Bearer tfb_…`."
)


def _section(call: Call) -> str:
    parts = [f'<a id="{call.anchor}"></a>\n## {call.summary}', f"`{call.method} {call.path}`", call.description]
    if call.parameters:
        rows = ["| parameter | in | type | |", "| --- | --- | --- | --- |"]
        rows += [_row(each) for each in call.parameters]
        parts.append("\n".join(rows))
    parts.append(f"```sh\n{call.curl(EXAMPLE_HOST)}\n```")
    parts.append("\n".join(f"- {status}: {words}" for status, words in call.answers))
    if call.example:
        parts.append(f"```json\n{call.example}\n```")
    return "\n\n".join(parts)


def _row(each: CallParameter) -> str:
    """Return one parameter as a row of a Markdown table."""
    needed = " (required)" if each.required else ""
    return f"| `{each.name}`{needed} | {each.place} | {each.type.replace('|', 'or')} | {each.words} |"


def description() -> dict[str, Any]:
    """Return the description of the API, without a store or a catalog behind it."""
    app = FastAPI(title="tfbisect", version=__version__, generate_unique_id_function=operation_id)
    app.include_router(api.router)
    app.include_router(api_why.router)
    app.include_router(api_projects.router)
    app.include_router(api_catalog.router)
    describe(app)
    return app.openapi()


if __name__ == "__main__":
    print(as_markdown(description()), end="")  # printing is its job
