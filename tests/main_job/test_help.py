"""What the command line teaches."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.coordination.intake import BisectionRequest
from service.coordination.variants import VARIANTS

WIDE = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
OPTIONS = [
    *("package", "releases", "prereleases", "hardware", "probe", "input-shape", "resolution", "branches", "repeats"),
    *(
        "variant",
        "pattern",
        "bad-pattern",
        "regress",
        "expect",
        "tolerance",
        "judge-by",
        "set",
        "runner",
        "parallel",
        "timeout",
        "fresh",
    ),
    *("complete", "whole", "image-source", "json", "quiet", "with", "file", "python", "as-of", "name"),
]


def said(*words: str) -> str:
    ended = CliRunner().invoke(app, words, env=WIDE)
    assert ended.exit_code == 0, ended.output
    return ended.output


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_run_says_what_it_does(option: str) -> None:
    assert re.search(rf"--{option}\s+<[^>]+>\s+\S+", said("run", "--help"))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_explained_where_it_is_asked_for(name: str) -> None:
    assert f"{name}: " in said("run", "--help")


def test_help_ends_with_examples_that_can_be_typed() -> None:
    examples = said("run", "--help").split("Examples")[1]
    assert "tfbisect run examples/dropout_tutorial.py --releases 1.9..1.14" in examples


def test_all_that_a_request_can_say_can_be_typed() -> None:
    typed = {name.replace("-", "_") for name in OPTIONS} | {"snippet", "variants", "variant_snippets", "parameters"}
    typed |= {"project", "command", "arguments"}  # a folder, and what stands after --
    # A watch has a command of its own.
    fields = {field.alias or name for name, field in BisectionRequest.model_fields.items()}
    assert fields - typed == {"timeout_seconds", "watch", "why"}


def test_probes_lists_what_can_be_asked_and_says_everything_about_one() -> None:
    assert "training-accuracy" in said("probes")
    one = said("probes", "script")
    assert "exit code 0" in one
    assert "--set tolerance=" in one
    assert "1e-05" in one


def test_probes_are_listed_for_programs_too() -> None:
    rows = json.loads(said("probes", "--json"))
    assert {"name", "question", "outcomes", "expected", "parameters"} <= rows[0].keys()
