"""Runs of hypotheses: stored by content, never made twice, and read with care; runs are made up, the store is real."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.bisection.outcomes import RunReport
from service.causes.candidates import executed_in, inherited_in, modules_in
from service.causes.places import ChangePlace, places_of
from service.causes.trials import RunsFail, Trial, Trials
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.execution.runner import RunRequest
from service.storage.records import ADMIN
from tests.web.world import TUTORIAL, World, dropout_report, losses


@dataclass
class Worker:
    """Answers as the worker does; some definitions restore what the older release does."""

    culprit: str = ""
    dies_after: int = 1000
    breaks: dict[str, Any] = field(default_factory=dict)
    asked: list[RunRequest] = field(default_factory=list)

    def __call__(self, request: RunRequest, _cancelled: threading.Event) -> RunReport:
        if len(self.asked) >= self.dies_after:
            raise KeyboardInterrupt
        self.asked.append(request)
        held = {swap["id"] for swap in request.parameters["why"].get("swaps", ())}
        is_old = request.target.release == "1.10.1"
        measured = {**losses(broken=not is_old and self.culprit not in held), **self.breaks}
        answer = {"kind": "measured", "measurements": measured}
        told = {"answer": answer, "why": {"done": {}, "failed": []}}
        return RunReport("answered", result={"kind": "measured", "measurements": told})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    opened = World(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def place(world: World) -> ChangePlace:
    request = BisectionRequest(snippet=TUTORIAL, probe="dropout", releases="1.10.1,1.11.0")
    world.submission.run(request, Silent(), ready=lambda: None)
    (found,) = places_of(world.store, world.intake, world.store.bisection_named("last", viewer=ADMIN))
    world.store.put_explanation(found.key, found.identity, {})
    return found


def trials(world: World, place: ChangePlace, worker: Worker) -> Trials:
    return Trials(world.store, worker, lambda _name: None, place, timeout_seconds=60)


def trial(*names: str, fresh: int = 0) -> Trial:
    swaps = [{"id": name} for name in names]
    return Trial("after", tuple(sorted(names)), {"swaps": swaps}, fresh=fresh)


def test_what_restores_is_told_from_what_does_not(world: World, place: ChangePlace) -> None:
    tried = trials(world, place, Worker(culprit="b"))
    assert [tried.shows(each).like for each in (trial(), trial("a"), trial("a", "b"))] == ["after", "after", "before"]


def test_a_search_that_is_killed_makes_no_run_again(world: World, place: ChangePlace) -> None:
    wanted = [trial(), trial("a"), trial("a", "b"), trial("b"), trial("b", fresh=1)]
    first = Worker(culprit="b", dies_after=3)
    with pytest.raises(KeyboardInterrupt):
        [trials(world, place, first).shows(each) for each in wanted]
    second = Worker(culprit="b")
    again = trials(world, place, second)
    assert [again.shows(each).like for each in wanted] == ["after", "after", "before", "before", "before"]
    assert (len(first.asked), len(second.asked), again.executed, again.used) == (3, 2, 2, 5)
    third = Worker(culprit="b")
    for each in wanted:
        trials(world, place, third).shows(each)
    assert third.asked == []


def test_what_confirms_comes_from_another_container_with_another_hash_seed(world: World, place: ChangePlace) -> None:
    worker = Worker()
    tried = trials(world, place, worker)
    for each in (trial(), trial("a"), trial("a", fresh=1)):
        tried.shows(each)
    names = [(request.bisection_id, request.process) for request in worker.asked]
    assert names[0] == names[1] != names[2]
    assert [process for _, process in names] == [0, 0, 1]


def test_the_same_label_for_another_reason_is_not_the_same_behaviour(world: World, place: ChangePlace) -> None:
    # Only train_on_batch stays still here, where in 1.11.0 fit did as well.
    moving = Worker(breaks={"train_losses": [2.3, 2.4, 2.2, 2.5]})
    assert trials(world, place, moving).shows(trial()).like == "neither"


def test_a_run_that_is_lost_again_and_again_ends_the_search_and_is_not_kept(world: World, place: ChangePlace) -> None:
    def lost(_request: RunRequest, _cancelled: threading.Event) -> RunReport:
        return RunReport("lost", "the engine went away")

    tried = Trials(world.store, lost, lambda _name: None, place, timeout_seconds=60)
    with pytest.raises(RunsFail, match="the engine went away"):
        tried.shows(trial())
    assert trials(world, place, Worker()).shows(trial()).like == "after"


HOSTILE: list[Any] = [
    None,
    [],
    {"answer": "drops"},
    {"answer": {"kind": "measured", "measurements": 3}, "why": [1]},
    {"answer": {"kind": ["x"]}, "why": {"executed": {"f": 3, "g": ["a"]}, "failed": {"a": 1}, "modules": [1, "a b"]}},
    {"answer": {"kind": "raised", "exception": 3, "traceback": ["x"]}, "why": {"failed": [["a"], 3, [1, 2]]}},
]


@pytest.mark.parametrize("measured", HOSTILE)
def test_what_a_snippet_forges_in_the_workers_place_names_nothing(
    world: World, place: ChangePlace, measured: object
) -> None:
    def forged(request: RunRequest, _cancelled: threading.Event) -> RunReport:
        return RunReport("answered", result={"kind": "measured", "measurements": measured}, image=request.run_id)

    shows = Trials(world.store, forged, lambda _name: None, place, timeout_seconds=60).shows(trial("a"))
    assert shows.like in ("cannot", "neither")
    assert isinstance(shows.traceback, str)
    for told in shows.told:
        assert all(isinstance(lines, frozenset) for lines in executed_in(told).values())
        assert modules_in(told) == ()
    assert inherited_in(shows.told) == frozenset()


def test_an_answer_without_a_worker_is_none(world: World, place: ChangePlace) -> None:
    plain = Trials(
        world.store, lambda request, _stop: dropout_report(request), lambda _name: None, place, timeout_seconds=60
    )
    assert plain.shows(trial()).like == "cannot"
