"""A probe with several aspects over a real store; only the runs are made up."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from packaging.version import Version

from service.bisection.facts import Facts
from service.bisection.outcomes import Answer, Outcome, RunReport
from service.catalog.probes import Probe
from service.coordination.intake import BisectionRequest
from service.coordination.laboratory import Measurement
from service.coordination.progress import Silent
from service.errors import UnknownName
from service.execution.runner import RunRequest
from tests.web.world import TUTORIAL, MadeUpRuns, World, dropout_report

SOURCE = "# looks at several aspects"
SHORTENED = "training and evaluation are shortened to 3 epochs of 16 batches in every release"
WITHOUT_DROPOUT = "print(1)\n"


def judged(measurements: Mapping[str, Any]) -> Answer:
    return Outcome(measurements["ending"])


def shown(measurements: Mapping[str, Any]) -> dict[str, Facts]:
    found = {"ends": Facts((("exit code", measurements["ending"]),))}
    for name in ("prints", "trains"):
        if name in measurements:
            found[name] = Facts(tuple(measurements[name].items()))
    return found


class AspectHouse(World):
    @cached_property
    def probes(self) -> Mapping[str, Probe]:
        known = dict(super().probes)
        known["behaviour"] = replace(
            known["dropout"],
            name="behaviour",
            probe_source=SOURCE,
            digest="sha256:several",
            outcomes={"passes": "exit code 0"},
            expected=frozenset({"passes"}),
            parameters={},
            judge=judged,
            aspects=shown,
            runs_beside=False,
            check=lambda _source: None,
        )
        return MappingProxyType(known)


seeds: list[tuple[str, int]] = []


def report(request: RunRequest) -> RunReport | None:
    """Return what a release shows; from 1.12 on the loss is four times as large, and 1.13 prints another line."""
    if request.probe_source != SOURCE:
        return dropout_report(request)
    version, seed = Version(request.target.release), request.parameters["seed"]
    seeds.append((request.target.release, seed))
    loss = (2.0 if version >= Version("1.12") else 0.5) + 0.01 * (seed * 37 % 11)
    printed = {"line 1": f"begins in {'b' if version >= Version('1.13') else 'a'}", "line 2": f"random {seed}"}
    measurements = {
        "ending": "passes",
        "trains": {"fit epoch 1 loss": loss},
        "prints": printed,
        "notes": [7, SHORTENED],
    }
    return replace(dropout_report(request), result={"kind": "measured", "measurements": measurements})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    seeds.clear()
    opened = AspectHouse(tmp_path, MadeUpRuns(report=report))
    yield opened
    opened.close()


def verdict(world: World, snippet: str = TUTORIAL, **more: Any) -> Mapping[str, Any]:
    asked = BisectionRequest(snippet=snippet, releases="1.9..1.14", probe="behaviour", **more)
    finished = world.submission.run(asked, Silent(), ready=lambda: None)
    assert finished.verdict is not None, finished.error
    return finished.verdict


def places(changes: list[Mapping[str, Any]]) -> list[str]:
    return [change["after"] for change in changes if change["line"] == "mainline"]


def test_every_aspect_has_its_changes_and_the_one_that_violates_what_is_right_leads(world: World) -> None:
    said = verdict(world)
    aspects = {aspect["name"]: aspect for aspect in said["aspects"]}
    assert said["leading"] == "dropout"
    assert places(said["changes"]) == ["1.11.0", "1.13.1"]
    assert {name: places(aspect["changes"]) for name, aspect in aspects.items()} == {
        "dropout": ["1.11.0", "1.13.1"],
        "ends": [],
        "prints": ["1.13.1"],
        "trains": ["1.12.0"],
    }
    assert said["changes"][0]["kind"] == "introduced"
    assert said["probe"]["name"] == "behaviour"
    assert "--probe dropout" in said["changes"][0]["reproduce"]["before"]


def test_the_finding_is_said_in_words_with_the_values_on_both_sides(world: World) -> None:
    said = verdict(world)
    assert said["summary"].startswith("In 1.11.0: dropout: never-drops")
    assert "In 1.12.0: fit epoch 1 loss rises from 0.5" in said["summary"]
    assert "1 line of the output differs" in said["summary"]


def test_what_differs_is_shown_and_what_wavers_is_not_taken_for_a_difference(world: World) -> None:
    prints = next(aspect for aspect in verdict(world)["aspects"] if aspect["name"] == "prints")
    diff = prints["differences"][0]["diff"]
    assert "-begins in a" in diff
    assert "+begins in b" in diff
    assert "-random" not in diff
    assert (prints["unsteady"], prints["wavering"]) == (True, ["line 2"])


def test_training_that_was_shortened_is_said_with_the_way_to_the_whole(world: World) -> None:
    said = verdict(world)
    note = "Training and evaluation are shortened to 3 epochs of 16 batches in every release: --whole trains as long"
    assert said["notes"][-1].startswith(note)
    assert said["notes"][-1] in said["words"]


def test_the_whole_training_is_asked_of_the_probe_that_shortens_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    subject, dropout = world.intake.case(BisectionRequest(snippet=TUTORIAL, releases="1.9..1.14", whole=True)).tracks
    assert subject.parameters["whole"] is True
    assert "whole" not in dropout.parameters
    with pytest.raises(UnknownName, match="no parameter 'whole'"):
        world.intake.case(BisectionRequest(snippet=TUTORIAL, probe="dropout", releases="1.9..1.14", whole=True))
    world.close()


def test_every_first_look_has_two_seeds_that_are_no_part_of_the_question(world: World) -> None:
    verdict(world, WITHOUT_DROPOUT)
    assert {seed for release, seed in seeds if release == "1.9.0"} == {1, 2}
    executed = world.runs.calls
    again = verdict(world, WITHOUT_DROPOUT)
    assert (world.runs.calls, again["runs"]["reused"]) == (executed, executed)


def test_without_a_named_probe_that_fits_the_aspect_that_tells_most_leads(world: World) -> None:
    said = verdict(world, WITHOUT_DROPOUT)
    assert [aspect["name"] for aspect in said["aspects"]] == ["ends", "prints", "trains"]
    assert said["leading"] == "trains"
    assert [(change["kind"], change["after"], change["aspect"]) for change in said["changes"]] == [
        ("changed", "1.12.0", "trains")
    ]


def test_a_queued_bisection_is_worked_off_with_all_its_aspects(world: World) -> None:
    asked = BisectionRequest(snippet=TUTORIAL, releases="1.9..1.14", probe="behaviour")
    submitted = world.submission.submit(asked)
    world.work_off()
    stored = world.store.bisection(submitted.id)
    assert stored.verdict is not None
    assert stored.verdict["leading"] == "dropout"


def test_a_variant_is_compared_by_the_named_probe_that_knows_what_is_right(world: World) -> None:
    (variant,) = verdict(world, variants=("input-shape",))["variants"]
    assert (variant["name"], variant["effect"]) == ("input-shape", "cures")


def test_what_one_coordinator_measured_the_next_one_reads_by_the_same_rules(world: World) -> None:
    asked = BisectionRequest(snippet=TUTORIAL, releases="1.9..1.14", probe="behaviour")
    submitted = world.submission.submit(asked)
    stop = threading.Event()

    class Stopping(Silent):
        def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
            if done >= 12:
                stop.set()

    claim = world.claim()
    assert claim is not None
    assert world.coordinator.run(claim, Stopping(), stop=stop).status == "interrupted"
    world.work_off()
    stored = world.store.bisection(submitted.id)
    assert stored.verdict is not None
    assert stored.verdict["leading"] == "dropout"
    assert stored.verdict["runs"]["lost"] == 0


PHASE = """
import tensorflow as tf
class Gate(tf.keras.layers.Layer):
    def call(self, inputs, training=None):
        return inputs
"""


@pytest.mark.parametrize(
    ("snippet", "beside"),
    [
        (TUTORIAL, ["probe dropout"]),
        ("print(1)", []),
        (PHASE, ["probe learning-phase"]),
        ("from tensorflow.keras import backend as K\nprint(K.learning_phase())", ["probe learning-phase"]),
        (TUTORIAL + PHASE, ["probe dropout", "probe learning-phase"]),
    ],
)
def test_a_named_probe_is_an_aspect_of_the_scripts_that_it_concerns(
    world: World, snippet: str, beside: list[str]
) -> None:
    case = world.intake.case(BisectionRequest(snippet=snippet, releases="1.9..1.14", probe="behaviour"))
    assert [track.name for track in case.tracks if track.is_aspect] == beside


def test_a_variant_is_never_asked_of_a_probe_that_brings_its_own_model(world: World) -> None:
    request = BisectionRequest(snippet=PHASE, releases="1.9..1.14", probe="behaviour", variant_snippets={"mine": PHASE})
    variant = next(track for track in world.intake.case(request).tracks if track.name == "mine")
    assert variant.probe.name == "behaviour"
