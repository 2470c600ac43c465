"""What is typed on the command line made into a request, and how its end is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from service.catalog.probes import load_probes
from service.cli.requests import build_request, parse_parameters, parse_variants
from service.cli.run import tell_ending
from service.coordination.conclusion import Ending, Finished
from service.coordination.intake import accepted
from service.errors import BadInput, UnknownName
from service.resources import resource_dir

PROBES = load_probes(resource_dir("probes"))


def nested(depth: int) -> dict[str, Any]:
    """Return a value in so many objects."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return dict(value)


def test_parameters_come_from_their_own_options_and_from_pairs() -> None:
    parameters = parse_parameters(["judge_by=output"], ["loss=0.5", "name=Adam"], pattern="^1.5$", tolerance=None)
    assert parameters == {"judge_by": "output", "pattern": "^1.5$", "expect": {"loss": 0.5, "name": "Adam"}}
    assert accepted(PROBES["script"], parameters)["tolerance"] == 1e-5


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"pattern": "("}, "regular expression"),
        ({"pattern": "x" * 2000}, "at most 1000 characters"),
        ({"pattern": 3}, "regular expression"),
        ({"judge_by": "color"}, "must be one of output."),
        ({"tolerance": -1}, "a finite number that is not negative"),
        ({"tolerance": True}, "a finite number"),
        ({"tolerance": 10**400}, "is an integer of 1329 bits and must be a finite number"),
        ({"tolerance": float("inf")}, "a finite number"),
        ({"tolerance": float("nan")}, "a finite number"),
        ({"judge_by": "x" * 100_000}, f"is '{'x' * 100}' and must be one of"),
        ({"expect": [1]}, "names and values"),
        ({"expect": {"loss": 10**400}}, "no integer beyond what a float holds"),
        ({"expect": {"loss": [0] * 101}}, "at most 100"),
        ({"expect": nested(9)}, "at most 8 deep"),
        ({"expect": nested(5000)}, "at most 8 deep"),
        ({"input_shape": [float("inf")]}, "no parameter"),
    ],
)
def test_a_parameter_of_the_wrong_kind_is_refused_with_what_it_must_be(given: dict[str, Any], says: str) -> None:
    with pytest.raises((BadInput, UnknownName), match=says):
        accepted(PROBES["script"], given)


SHAPES: list[Any] = [[float("inf")], [2.5], ["28"], 28, [0], [-1], [10**400], [100_001], [1] * 9, [True]]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_shape_is_a_list_of_whole_numbers(shape: Any) -> None:
    with pytest.raises(BadInput, match="list of at most 8 whole numbers from 1 to 100000"):
        accepted(PROBES["dropout"], {"input_shape": shape})


@pytest.mark.parametrize("pair", ["loss", "=3"])
def test_what_is_no_pair_is_refused_with_its_option(pair: str) -> None:
    with pytest.raises(BadInput, match=r"--expect .* write it as NAME=VALUE"):
        parse_parameters([], [pair])


def test_a_file_of_ones_own_is_a_variant_named_after_it(tmp_path: Path) -> None:
    own = tmp_path / "fixed.py"
    own.write_text("model = 1")
    assert parse_variants(["seed", str(own)]) == {"variants": ("seed",), "variant_snippets": {"fixed": "model = 1"}}


FAULT = {"title": "Snippet not usable", "detail": "it fails alike", "exit_code": 2, "traceback": "KeyError: 'b'"}
VERDICT: dict[str, Any] = {"status": "failed", "variants": [{"words": "With the variant seed nothing can be said."}]}


def ended(finished: Finished, *, as_json: bool = False) -> int:
    """Return the exit code that an end comes to."""
    with pytest.raises(typer.Exit) as left:
        tell_ending(finished, frozenset(), as_json=as_json)
    return left.value.exit_code


@pytest.mark.parametrize("status", ["cancelled", "interrupted", "taken-over"])
def test_a_run_that_was_broken_off_exits_with_130(status: Ending, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(Finished(status, None)) == 130
    assert "same command again to continue" in capsys.readouterr().err


def test_a_fault_of_the_snippet_is_told_with_its_traceback_and_not_as_a_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended(Finished("failed", VERDICT, FAULT)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[:2] == ["Snippet not usable: it fails alike", "    KeyError: 'b'"]
    assert "With the variant seed" in said.err


def test_programs_get_the_fault_beside_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(Finished("failed", VERDICT, FAULT), as_json=True) == 2
    assert json.loads(capsys.readouterr().out)["error"] == FAULT


@pytest.mark.parametrize(
    ("fields", "probe"),
    [
        ({}, "behaviour"),
        ({"probe": None}, "behaviour"),
        ({"probe": "dropout"}, "dropout"),
        ({"parameters": {"pattern": "loss"}}, "script"),
        ({"parameters": {"input_shape": [28, 28]}}, "behaviour"),
        ({"parameters": {"pattern": "loss"}, "probe": "behaviour"}, "behaviour"),
    ],
)
def test_who_names_no_probe_asks_everything_unless_a_parameter_says_what_to_judge_by(
    fields: dict[str, Any], probe: str
) -> None:
    assert build_request(snippet="pass", **fields).probe == probe
