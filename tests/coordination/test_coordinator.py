"""The loop over a real store; only the runs are made up."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, event, select
from structlog.testing import capture_logs

from service.bisection.outcomes import RULE_FAILED, Answer, Outcome, RunReport, Untestable
from service.catalog.targets import Target
from service.coordination.conclusion import Finished
from service.coordination.holding import LOOK_SECONDS
from service.coordination.intake import BisectionRequest
from service.coordination.laboratory import Measurement, Question
from service.coordination.progress import Silent
from service.errors import NoRunner
from service.execution.runner import RunRequest
from service.storage.engine import transaction
from service.storage.records import Claim
from service.storage.tables import links, observations
from tests.web.world import TUTORIAL, MadeUpRuns, World, dropout_report


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    opened = World(tmp_path)
    yield opened
    opened.close()


def asked(**more: Any) -> BisectionRequest:
    return BisectionRequest(**{"snippet": TUTORIAL, "releases": "1.9..1.14", "probe": "dropout", **more})


def run(world: World, **more: Any) -> Finished:
    return world.submission.run(asked(**more), Silent(), ready=lambda: None)


def taken(world: World) -> Claim:
    claim = world.claim()
    assert claim is not None
    return claim


def answering(**fields: Any) -> MadeUpRuns:
    return MadeUpRuns(report=lambda _: RunReport(runner="docker", **fields))


def test_a_bisection_runs_what_the_planner_asks_and_no_more(world: World) -> None:
    finished = run(world)
    assert finished.status == "done"
    assert finished.verdict is not None
    assert finished.verdict["runs"] == {"executed": 13, "reused": 0, "lost": 0}
    assert world.runs.calls == 13


def test_asking_again_runs_nothing(world: World) -> None:
    run(world)
    again = run(world)
    assert world.runs.calls == 13
    assert again.verdict is not None
    assert again.verdict["runs"] == {"executed": 0, "reused": 13, "lost": 0}


def test_fresh_runs_everything_again_and_keeps_what_was_there(world: World) -> None:
    run(world)
    run(world, fresh=True)
    assert world.runs.calls == 26


def test_submitting_what_is_known_is_answered_at_once(world: World) -> None:
    assert world.submission.submit(asked()).status == "queued"
    world.work_off()
    assert world.submission.submit(asked()).status == "done"


def test_stored_answers_are_read_many_at_a_time(world: World) -> None:
    world.submission.submit(asked(resolution=1))
    world.work_off()
    reads: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "FROM observations" in statement:
            reads.append(statement)

    event.listen(world.store._engine, "before_cursor_execute", note)
    recalled = world.coordinator.recalled(world.intake.case(asked(resolution=1)))
    assert recalled is not None
    assert recalled[0].reused == 13
    # The mainline, then the newest patch of each branch and what the changes need, not one by one.
    assert len(reads) <= 4


def test_a_later_answer_is_of_no_use_without_the_first(world: World) -> None:
    world.submission.submit(asked())
    world.work_off()
    with transaction(world.store._engine, writes=True) as connection:
        twice = select(observations.c.key).where(observations.c.repeat == 1).limit(1).scalar_subquery()
        first = select(observations.c.id).where(observations.c.key == twice, observations.c.repeat == 0)
        chosen = connection.scalar(first)
        connection.execute(delete(links).where(links.c.observation_id == chosen))
        connection.execute(delete(observations).where(observations.c.id == chosen))
    assert world.submission.submit(asked()).status == "queued"


def test_no_runner_is_said_before_anything_is_stored(world: World) -> None:
    def none() -> None:
        raise NoRunner("nothing here")

    with pytest.raises(NoRunner):
        world.submission.run(asked(), Silent(), ready=none)
    assert world.store.open_counts() == {"queued": 0, "running": 0}


def test_a_cancelled_bisection_keeps_what_it_knows(world: World) -> None:
    submitted = world.submission.submit(asked())

    class Impatient(Silent):
        def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
            if done == 3:
                world.store.request_cancel(submitted.id)

    finished = world.coordinator.run(taken(world), Impatient())
    assert finished.status == "cancelled"
    assert finished.verdict is not None
    assert finished.verdict["releases"]["measured"] >= 3
    assert not finished.verdict["coverage"]["complete"]
    assert world.store.bisection(submitted.id).status == "cancelled"


def test_an_interrupt_at_the_terminal_stops_the_runs_and_keeps_what_was_measured(world: World) -> None:
    class Interrupting(Silent):
        def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
            raise KeyboardInterrupt

    finished = world.submission.run(asked(), Interrupting(), ready=lambda: None)
    assert finished.status == "cancelled"
    assert finished.verdict is not None
    assert world.store.bisection(finished.verdict["id"]).status == "cancelled"


def test_a_coordinator_that_stops_hands_over_and_nothing_is_run_twice(world: World) -> None:
    submitted = world.submission.submit(asked())
    stop = threading.Event()

    class Stopping(Silent):
        def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
            if done == 4:
                stop.set()

    assert world.coordinator.run(taken(world), Stopping(), stop).status == "interrupted"
    assert world.store.bisection(submitted.id).status == "queued"
    world.work_off()
    seen = Counter(
        (linked.observation.key, linked.observation.repeat) for linked in world.store.linked_observations(submitted.id)
    )
    assert set(seen.values()) == {1}
    verdict = world.store.bisection(submitted.id).verdict
    assert verdict is not None
    assert len(verdict["changes"]) == 2


def test_a_lost_run_is_tried_again_and_never_becomes_an_outcome(tmp_path: Path) -> None:
    lost: Counter[str] = Counter()

    def report(request: RunRequest) -> RunReport:
        lost[request.target.release] += 1
        if lost[request.target.release] == 1:
            return RunReport("lost", "the engine went away", runner="docker")
        return dropout_report(request)

    world = World(tmp_path, MadeUpRuns(report=report))
    finished = run(world)
    world.close()
    assert finished.verdict is not None
    assert [change["after"] for change in finished.verdict["changes"]] == ["1.11.0", "1.13.1"]
    assert finished.verdict["runs"]["lost"] == 9


def test_a_result_that_breaks_a_rule_is_stored_logged_and_not_run_again(world: World) -> None:
    case = world.intake.case(asked())

    def broken(_measurements: Any) -> Answer:
        return Outcome(f"{1 // 0}")

    question = Question(case, replace(case.tracks[0], probe=replace(case.probe, judge=broken)), "1.9.0", 0)
    with capture_logs() as logged:
        measured = world.laboratory.measure(question, threading.Event())
        again = world.laboratory.measure(question, threading.Event())
    assert measured.answer == again.answer == Untestable(RULE_FAILED)
    assert (world.runs.calls, again.reused) == (1, True)
    assert [each["event"] for each in logged] == ["judge.failed"] * 2
    assert "ZeroDivisionError" in logged[0]["fault"]


@pytest.mark.parametrize("losses", [[10**400, 1.0], [10**4000], [{}]], ids=["huge", "unshown", "odd"])
def test_a_result_of_hostile_numbers_ends_a_bisection_instead_of_being_run_for_ever(
    tmp_path: Path, losses: list[Any]
) -> None:
    result = {"kind": "measured", "measurements": {"train_losses": losses, "batch_losses": losses}}
    world = World(tmp_path, answering(ending="answered", result=result))
    finished = run(world)
    world.close()
    assert finished.status == "failed"
    assert finished.error is not None
    assert "the losses are missing, or not finite" in finished.error["detail"]


@pytest.mark.parametrize(
    ("fields", "exit_code", "says"),
    [
        ({"ending": "lost", "reason": "the engine went away"}, 3, "the engine went away"),
        ({"ending": "unprepared", "reason": "no wheel"}, 3, "no wheel"),
        ({"ending": "timed-out", "reason": "over 180 s"}, 3, "over 180 s"),
        ({"ending": "answered", "result": {"kind": "refused", "message": "no model in it"}}, 2, "no model in it"),
        (
            {"ending": "answered", "result": {"kind": "raised", "exception": "NameError", "message": "x is unknown"}},
            2,
            "fails alike in all 9 releases",
        ),
    ],
)
def test_no_verdict_is_said_with_its_reason(tmp_path: Path, fields: dict[str, Any], exit_code: int, says: str) -> None:
    world = World(tmp_path, answering(**fields))
    finished = run(world)
    world.close()
    assert finished.status == "failed"
    assert finished.error is not None
    assert finished.error["exit_code"] == exit_code
    assert says in finished.error["detail"]


OWN_MISTAKE = {
    "kind": "refused",
    "exception": "NameError",
    "message": "NameError: name 'layer' is not defined",
    "line": 4,
    "traceback": "NameError: name 'layer' is not defined",
}


def test_a_mistake_of_the_snippets_own_stops_after_three_releases_and_shows_its_traceback(tmp_path: Path) -> None:
    world = World(tmp_path, answering(ending="answered", result=OWN_MISTAKE))
    finished = run(world, variants=("input-shape",))
    assert world.runs.calls <= 5, "three releases, and what the second worker began meanwhile"
    assert finished.verdict is not None
    stored = world.store.bisection(finished.verdict["id"])
    world.close()
    assert finished.error is not None
    assert (finished.error["line"], finished.error["exit_code"]) == (4, 2)
    assert finished.error["traceback"] == OWN_MISTAKE["traceback"]
    assert stored.error == finished.error


def test_a_mistake_in_some_releases_only_is_how_they_behave(tmp_path: Path) -> None:
    def report(request: RunRequest) -> RunReport | None:
        broken = request.target.release.startswith("1.14")
        return RunReport("answered", result=OWN_MISTAKE, runner="docker") if broken else None

    world = World(tmp_path, MadeUpRuns(report=report))
    finished = run(world)
    world.close()
    assert finished.status == "done"
    assert finished.verdict is not None
    assert finished.verdict["changes"][-1]["new"] == "raises:NameError"


def test_the_same_question_asked_twice_at_once_is_run_once(tmp_path: Path) -> None:
    world = World(tmp_path, MadeUpRuns(pause_seconds=0.02))
    first, second = (world.submission.submit(asked()).id for _ in range(2))
    threads = [threading.Thread(target=world.coordinator.run, args=(taken(world),)) for _ in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.runs.calls == 13
    assert world.store.bisection(second).verdict is not None
    world.close()


def test_every_answer_is_an_event_and_the_last_one_is_the_end(world: World) -> None:
    submitted = world.submission.submit(asked())
    world.work_off()
    kinds = Counter(event.kind for event in world.store.events_after(submitted.id))
    assert kinds["observation"] == 13
    assert kinds["verdict"] == kinds["end"] == 1
    assert world.store.events_after(submitted.id)[-1].kind == "end"


def test_a_variant_that_never_misbehaves_is_offered_as_the_cure(world: World) -> None:
    finished = run(world, variants=("input-shape",))
    assert finished.verdict is not None
    [variant] = finished.verdict["variants"]
    assert (variant["name"], variant["effect"]) == ("input-shape", "cures")
    assert "input_shape" in variant["words"]
    assert variant["verdict"]["changes"] == []
    assert finished.verdict["runs"]["executed"] == world.runs.calls


def test_a_variant_that_changes_nothing_says_so(world: World) -> None:
    finished = run(world, variant_snippets={"renamed": TUTORIAL.replace("x_train", "images")})
    assert finished.verdict is not None
    assert finished.verdict["variants"][0]["effect"] == "same"


def test_filling_in_says_whether_it_changed_the_verdict(world: World) -> None:
    finished = run(world, complete=True)
    assert finished.verdict is not None
    assert finished.verdict["releases"]["inferred"] == 0
    assert finished.verdict["filling_changed"] == []


class WarmedWorld(World):
    """A world that notes what it was asked to have ready."""

    def __init__(self, folder: Path, runs: MadeUpRuns) -> None:
        super().__init__(folder, runs)
        self.warmed: list[str] = []

    def warm(self, target: Target, framework: str, process: int) -> None:
        self.warmed.append(f"{target.release} {framework} in process {process}")


def test_an_idle_worker_has_what_runs_ready_for_its_confirmation(tmp_path: Path) -> None:
    world = WarmedWorld(tmp_path, MadeUpRuns(pause_seconds=2 * LOOK_SECONDS))
    request = BisectionRequest(snippet=TUTORIAL, probe="dropout", releases="1.9.0")
    world.submission.run(request, Silent(), ready=lambda: None)
    assert world.warmed == ["1.9.0 tensorflow in process 1"]
    world.submission.run(request, Silent(), ready=lambda: None)
    assert world.warmed == ["1.9.0 tensorflow in process 1"], "what the store answers needs no container"
    world.close()
