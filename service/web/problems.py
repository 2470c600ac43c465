"""Errors as problem details (RFC 9457), with the paths of the fields at fault; people get a page instead."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from service.errors import TfbisectError
from service.spelling import did_you_mean

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class FieldFault:
    """What is wrong with one field."""

    field: str
    """Path such as `releases` or `input_shape.1`."""
    detail: str
    line: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it with a JSON pointer beside the path."""
        where = {"field": self.field, "pointer": "/" + self.field.replace(".", "/"), "detail": self.detail}
        return where if self.line is None else {**where, "line": self.line}


@dataclass(frozen=True)
class Problem:
    """An error that a client meets."""

    status: int
    title: str
    detail: str = ""
    kind: str = ""
    """The end of the type URI; stable for clients."""
    faults: tuple[FieldFault, ...] = ()
    headers: Mapping[str, str] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the problem as RFC 9457 writes it."""
        kind = f"urn:tfbisect:problem:{self.kind}" if self.kind else "about:blank"
        said: dict[str, Any] = {"type": kind, "title": self.title, "status": self.status}
        if self.detail:
            said["detail"] = self.detail
        if self.faults:
            said["errors"] = [fault.as_json() for fault in self.faults]
        return said

    def response(self) -> Response:
        """Return the answer for a program."""
        # ASCII: a lone surrogate in the input must not break the answer about it.
        body = json.dumps(self.as_json(), ensure_ascii=True).encode()
        return Response(body, self.status, media_type=MEDIA_TYPE, headers=dict(self.headers or {}))


class Refusal(Exception):
    """Raised inside the web service to answer with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem


def problem_of(error: TfbisectError) -> Problem:
    """Return the problem for an error of the service."""
    faults = (FieldFault(error.field, error.message, error.line),) if error.field else ()
    headers = {"retry-after": "10"} if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return Problem(error.http_status, error.title, error.message, _kebab(type(error).__name__), faults, headers)


def problem_of_validation(errors: Sequence[Mapping[str, Any]], known: Collection[str] = ()) -> Problem:
    """Return the problem for a request that does not fit its schema, without repeating the input.

    Args:
        errors: as pydantic has them.
        known: the names of the request's fields.
    """
    faults = tuple(FieldFault(_path(error["loc"]), in_plain_words(error, known)) for error in errors[:20])
    if faults and any(error["type"] == "json_invalid" for error in errors):
        return Problem(422, "Not JSON", "The body is not JSON; send one JSON object.", "not-json", faults)
    named = ", ".join(dict.fromkeys(fault.field for fault in faults))
    return Problem(422, "Bad input", f"Fix these fields and send the request again: {named}.", "bad-input", faults)


def problem_of_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Problem:
    """Return the problem for a bare HTTP status."""
    title = HTTPStatus(status).phrase
    return Problem(status, title, "" if detail == title else detail, _kebab(title.replace(" ", "")), headers=headers)


def too_many(what: str, retry_seconds: float) -> Refusal:
    seconds = max(1, round(retry_seconds))
    detail = f"{what} Try again in {seconds} s."
    return Refusal(Problem(429, "Too many", detail, "too-many", headers={"retry-after": str(seconds)}))


PLAIN: Mapping[str, str] = {
    "missing": "This is required.",
    "int_type": "This must be a whole number.",
    "int_parsing": "This must be a whole number.",
    "int_from_float": "This must be a whole number.",
    "float_type": "This must be a number.",
    "float_parsing": "This must be a number.",
    "finite_number": "This must be a finite number.",
    "string_type": "This must be text.",
    "bool_type": "This must be true or false.",
    "bool_parsing": "This must be true or false.",
    "list_type": "This must be a list.",
    "tuple_type": "This must be a list.",
    "dict_type": "This must be an object of names and values.",
    "model_attributes_type": "This must be an object of names and values.",
    "literal_error": "This must be one of {expected}.",
    "greater_than": "This must be greater than {gt}.",
    "greater_than_equal": "This must be at least {ge}.",
    "less_than": "This must be less than {lt}.",
    "less_than_equal": "This must be at most {le}.",
    "string_too_long": "This may have at most {max_length} characters.",
    "string_too_short": "This must have at least {min_length} characters.",
    "too_long": "This is too long: at most {max_length} are taken.",
    "too_short": "This is too short: at least {min_length} are needed.",
    "string_pattern_mismatch": "This does not have the form {pattern}.",
    "date_from_datetime_parsing": "This must be a day such as 2024-05-31.",
    "date_parsing": "This must be a day such as 2024-05-31.",
    "date_type": "This must be a day such as 2024-05-31.",
}
"""What is wrong with a field, by pydantic's name for it; all others keep pydantic's own words."""


def in_plain_words(error: Mapping[str, Any], known: Collection[str] = ()) -> str:
    """Say what is wrong with one field, for people who do not know the library that found it."""
    if error["type"] == "extra_forbidden":
        return f"There is no field of this name{did_you_mean(str(error['loc'][-1]), known) or '.'}"
    said = PLAIN.get(str(error["type"]))
    return str(error["msg"]) if said is None else said.format_map(error.get("ctx") or {})


def _path(location: Sequence[Any]) -> str:
    """Return the path of a field as the client wrote it, without the part of the request that contains it."""
    parts = [str(part) for part in location]
    if len(parts) > 1 and parts[0] in ("body", "query", "path", "header", "cookie"):
        parts = parts[1:]
    return ".".join(parts)


def _kebab(name: str) -> str:
    """Return `range-error` for `RangeError`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
