"""The form's fields for the parameters of each probe, from its probe.toml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.catalog.probes import Parameter, Probe

OWN_FIELDS = frozenset({"input_shape", "whole"})
"""Parameters that are fields of the request itself."""
PLACEHOLDERS: Mapping[str, str] = {"values": "loss = 0.3", "shape": "28,28"}
HINTS: Mapping[str, str] = {"values": "One per line."}


@dataclass(frozen=True)
class ParameterField:
    """One parameter as the form shows it."""

    name: str
    """Of the form's field: probe and parameter."""
    parameter_name: str
    parameter: Parameter

    @property
    def label(self) -> str:
        return self.parameter_name.replace("_", " ").capitalize()

    @property
    def hint(self) -> str:
        said = self.parameter.help
        return f"{said[:1].upper()}{said[1:]}. {HINTS.get(self.parameter.type, '')}".strip()

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Return the options with their labels; none for a text field."""
        if self.parameter.type == "flag":
            return [("", f"by default: {'yes' if self.parameter.default else 'no'}"), ("1", "yes"), ("0", "no")]
        return [(choice, choice or "by default") for choice in self.parameter.choices]

    @property
    def placeholder(self) -> str:
        """Return the placeholder: the default, or an example."""
        return as_typed(self.parameter.default) or PLACEHOLDERS.get(self.parameter.type, "")


def fields_by_probe(probes: Mapping[str, Probe]) -> dict[str, list[ParameterField]]:
    """Return the fields of each probe that has some."""
    found = {probe.name: list(_fields(probe)) for probe in probes.values()}
    return {name: fields for name, fields in found.items() if fields}


def _fields(probe: Probe) -> Iterator[ParameterField]:
    for name, parameter in probe.parameters.items():
        if name not in OWN_FIELDS:
            yield ParameterField(field_name(probe.name, name), name, parameter)


def field_name(probe: str, parameter: str) -> str:
    return f"parameters.{probe}.{parameter}"


def typed(probe: Probe | None, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the submitted parameters of a probe; unreadable ones stay text, which intake refuses."""
    if probe is None:
        return {}
    texts = {field.parameter_name: (field.parameter, fields.get(field.name, "")) for field in _fields(probe)}
    return {name: read_fields(parameter, text) for name, (parameter, text) in texts.items() if text.strip()}


def read_fields(parameter: Parameter, text: str) -> Any:
    """Return the input as the parameter's type."""
    match parameter.type:
        case "integer" | "number":
            return _number(text.strip())
        case "flag":
            return text == "1"
        case "shape":
            return [_number(part.strip()) for part in text.strip(" ()[]").split(",") if part.strip()]
        case "values":
            return _values(text)
        case _:
            return text


def as_typed(value: Any) -> str:
    """Return a parameter as input text."""
    match value:
        case None | "":
            return ""
        case bool():
            return "1" if value else "0"
        case dict():
            return "\n".join(f"{name} = {json.dumps(item)}" for name, item in value.items())
        case list():
            return ",".join(map(str, value))
        case float():
            return next(
                text for text in (f"{value:.10f}".rstrip("0").rstrip("."), repr(value)) if _number(text) == value
            )
        case _:
            return str(value)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _values(text: str) -> dict[str, Any] | str:
    """Return values by name, one per line; the text where a line has no name."""
    lines = [line for line in text.splitlines() if line.strip()]
    pairs = [line.partition("=") for line in lines]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        return text
    return {name.strip(): _value(value.strip()) for name, _, value in pairs}


def _value(text: str) -> Any:
    """Return a JSON value, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
