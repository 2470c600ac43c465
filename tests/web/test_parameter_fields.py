"""What is typed into a probe's own fields, and how it is shown again."""

from __future__ import annotations

from typing import Any

import pytest

from service.catalog.probes import Parameter
from service.web.pages.parameter_fields import ParameterField, as_typed, read_fields


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        ("text", "a b", "a b"),
        ("pattern", r"\d+ ", r"\d+ "),
        ("integer", " 3 ", 3),
        ("integer", "3.5", 3.5),
        ("number", "1e-3", 0.001),
        ("number", "few", "few"),
        ("flag", "1", True),
        ("flag", "0", False),
        ("shape", "(28, 28)", [28, 28]),
        ("shape", "28,x", [28, "x"]),
        ("values", "loss = 0.3\n\nshape=[1, 2]\nname = sgd", {"loss": 0.3, "shape": [1, 2], "name": "sgd"}),
        ("values", "text = a = b", {"text": "a = b"}),
        ("values", "0.3", "0.3"),
    ],
)
def test_a_parameter_is_read_as_its_type_or_left_for_the_door_to_refuse(kind: Any, typed: str, value: object) -> None:
    assert read_fields(Parameter(kind, None, "help"), typed) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "a b"),
        ("integer", 3),
        ("number", 1e-05),
        ("number", 1e-30),
        ("number", 2.5),
        ("flag", False),
        ("shape", [28, 28]),
        ("values", {"loss": 0.3, "name": "0.3", "on": True}),
    ],
)
def test_a_parameter_that_is_shown_again_is_read_as_the_same(kind: Any, value: Any) -> None:
    assert read_fields(Parameter(kind, None, "help"), as_typed(value)) == value


def test_a_field_says_what_it_does_and_what_is_taken_when_it_is_left_empty() -> None:
    field = ParameterField("parameters.p.judge_by", "judge_by", Parameter("number", 0.00001, "how close"))
    assert (field.label, field.hint, field.placeholder) == ("Judge by", "How close.", "0.00001")
    assert field.choices == []


def test_a_flag_is_chosen_with_its_default_named() -> None:
    field = ParameterField("parameters.p.deep", "deep", Parameter("flag", True, "go deep"))
    assert [value for value, _ in field.choices] == ["", "1", "0"]
    assert "yes" in field.choices[0][1]
