"""What fails around the loop, or in it: waited for, tried again, bounded, told; and nothing is left running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.bisection.outcomes import RunReport
from service.catalog.environments import Environment
from service.catalog.targets import Target
from service.coordination import holding, turns
from service.coordination.intake import BisectionRequest, Case
from service.coordination.laboratory import Measurement, Question
from service.coordination.patience import ATTEMPTS_AT_MOST, Outage, Patience, pause_before_next
from service.coordination.progress import Silent
from service.errors import EngineLost, IndexUnreachable
from service.execution.runner import RunRequest
from service.storage.claims import Purpose, new_owner
from service.storage.records import Bisection, Claim
from tests.coordination.test_coordinator import asked, run, taken
from tests.web.world import TUTORIAL, MadeUpEnvironments, MadeUpRuns, World, dropout_report

QUICK = Patience(seconds=20, first_pause_seconds=0.01, longest_pause_seconds=0.05)
IMPATIENT = Patience(seconds=0, first_pause_seconds=0.01, longest_pause_seconds=0.01)
DEADLINE_SECONDS = 30
"""Only a test that fails waits this long."""


class QuickWorld(World):
    """A world whose engine can be away, and that does not wait long for anything."""

    patience = QUICK
    problem: str | None = None

    def engine_problem(self) -> str | None:
        return self.problem


@contextmanager
def serving(world: World) -> Iterator[None]:
    """Work the queue off as `tfbisect serve` does."""
    world.threads.keep("coordinator", world.coordinator.serve)
    try:
        yield
    finally:
        world.close()


def ended(world: World, bisection_id: str) -> Bisection:
    """Wait for the end of a bisection."""
    until(lambda: world.store.events_after(bisection_id)[-1:] != [] and is_over(world, bisection_id))
    return world.store.bisection(bisection_id)


def is_over(world: World, bisection_id: str) -> bool:
    return world.store.bisection(bisection_id).status in {"done", "failed", "cancelled"}


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    looks = threading.Event()
    for _ in range(int(DEADLINE_SECONDS / 0.02)):
        if holds():
            return
        looks.wait(0.02)  # there is no event for what another thread stores
    raise AssertionError("it never came to hold")


# Leases


def test_two_claims_of_one_process_are_two_holders(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.submission.submit(asked())
    claim = taken(world)
    purposes: tuple[Purpose, ...] = ("serve", "nightly", "command")
    for purpose in purposes:
        owner = new_owner(purpose)
        assert owner != claim.owner
        assert not world.store.claim_one(claim.bisection_id, owner, 60)
        assert world.store.claim(owner, 60) is None
    world.close()


def test_a_claim_is_renewed_while_one_answer_takes_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "RENEW_SECONDS", 0.02)
    renewed: list[int] = []
    world = World(tmp_path)
    renew = world.store.renew

    def noted(claims: list[Claim], lease_seconds: float) -> None:
        renew(claims, lease_seconds)
        renewed.append(1)

    monkeypatch.setattr(world.store, "renew", noted)
    world.runs.gate.clear()
    world.submission.submit(asked())
    claim = taken(world)
    case = world.intake.case(asked())
    stop = threading.Event()
    # The nightly measures new patch releases so, before any loop turns.
    measuring = threading.Thread(
        target=world.coordinator.measure,
        args=(claim, [Question(case, case.tracks[0], "1.12.3", 0)], stop),
        kwargs={"submitter": ""},
    )
    measuring.start()
    until(lambda: len(renewed) > 3)
    assert world.runs.calls == 1, "the same answer is still waited for"
    world.runs.gate.set()
    measuring.join()
    assert len(world.store.linked_observations(claim.bisection_id)) == 1
    world.close()


def test_a_cancel_ends_the_run_that_the_nightly_has_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "RENEW_SECONDS", 0.02)
    world = World(tmp_path)
    world.runs.gate.clear()
    world.submission.submit(asked())
    claim = taken(world)
    case = world.intake.case(asked())
    measuring = threading.Thread(
        target=world.coordinator.measure,
        args=(claim, [Question(case, case.tracks[0], "1.12.3", 0)], threading.Event()),
        kwargs={"submitter": ""},
    )
    measuring.start()
    until(lambda: world.runs.calls == 1)
    world.store.request_cancel(claim.bisection_id)
    measuring.join(DEADLINE_SECONDS)
    assert not measuring.is_alive()
    assert world.store.linked_observations(claim.bisection_id) == []
    world.runs.gate.set()
    world.close()


def test_a_coordinator_that_lost_its_claim_writes_nothing_more_and_stops_its_runs(tmp_path: Path) -> None:
    world = World(tmp_path)
    submitted = world.submission.submit(asked())
    claim = taken(world)

    class Robbed(Silent):
        def running(self, track: str, release: str) -> None:
            if world.store.requeue(claim):
                assert world.store.claim("another", 60) == submitted.id

    assert world.coordinator.run(claim, Robbed()).status == "taken-over"
    assert world.store.linked_observations(submitted.id) == []
    assert world.store.events_after(submitted.id) == []
    assert world.store.standing([Claim(submitted.id, "another")])[Claim(submitted.id, "another")].is_held
    world.close()


# Attempts


@pytest.mark.parametrize(("attempts", "again"), [(1, True), (ATTEMPTS_AT_MOST - 1, True), (ATTEMPTS_AT_MOST, False)])
def test_attempts_are_bounded(attempts: int, *, again: bool) -> None:
    assert (pause_before_next(attempts, QUICK) is not None) == again


def test_a_bisection_that_always_breaks_is_given_up_with_the_reason(tmp_path: Path) -> None:
    def broken(request: RunRequest) -> RunReport:
        raise ZeroDivisionError("a mistake of ours")

    world = QuickWorld(tmp_path, MadeUpRuns(report=broken))
    submitted = world.submission.submit(asked())
    with capture_logs(), serving(world):
        row = ended(world, submitted.id)
    assert row.status == "failed"
    assert row.error is not None
    assert "given up after 5 attempts" in row.error["detail"]
    assert "ZeroDivisionError: a mistake of ours" in row.error["detail"]
    # A worker whose run breaks at once takes the next question before the attempt ends: six are asked at first.
    assert world.runs.calls <= ATTEMPTS_AT_MOST * 6


def test_a_bisection_that_breaks_once_is_tried_again_and_the_others_go_on(tmp_path: Path) -> None:
    failures = iter([True])

    def broken(request: RunRequest) -> RunReport:
        if next(failures, False):
            raise ZeroDivisionError("once")
        return dropout_report(request)

    world = QuickWorld(tmp_path, MadeUpRuns(report=broken))
    one, other = (world.submission.submit(asked(repeats=number)).id for number in (1, 2))
    with capture_logs(), serving(world):
        assert [ended(world, each).status for each in (one, other)] == ["done", "done"]


def test_a_bisection_that_takes_its_coordinators_down_is_given_up(tmp_path: Path) -> None:
    world = QuickWorld(tmp_path)
    submitted = world.submission.submit(asked())
    for number in range(ATTEMPTS_AT_MOST):  # each of them is killed
        assert world.store.claim_one(submitted.id, f"killed {number}", -1)
    finished = world.coordinator.run(taken(world))
    assert (finished.status, world.runs.calls) == ("failed", 0)
    assert finished.error is not None
    assert "killed, or out of memory" in finished.error["detail"]
    world.close()


def test_at_a_terminal_what_breaks_is_told_and_not_left_open(tmp_path: Path) -> None:
    def broken(request: RunRequest) -> RunReport:
        raise ZeroDivisionError("a mistake of ours")

    world = QuickWorld(tmp_path, MadeUpRuns(report=broken))
    with pytest.raises(ZeroDivisionError):
        run(world)
    (row,) = world.store.bisections().rows
    assert row.status == "failed"
    world.close()


def test_an_observation_that_is_deleted_before_it_is_linked_is_measured_again(tmp_path: Path) -> None:
    world = QuickWorld(tmp_path)
    first = world.submission.submit(asked()).id
    world.work_off()
    calls = world.runs.calls
    deleted = iter([first])

    class Meanwhile(Silent):
        def started(self, case: Case) -> None:
            # The answers of this release are waited for; their bisection, and they with it, goes before they are used.
            measure = world.laboratory.measure

            def measured(question: Question, cancelled: threading.Event) -> Measurement:
                found = measure(question, cancelled)
                if (bisection_id := next(deleted, None)) is not None:
                    world.store.delete_bisection(bisection_id)
                return found

            monkey.setattr(world.laboratory, "measure", measured)

    again = world.submission.submit(BisectionRequest(snippet=TUTORIAL, probe="dropout", releases="1.8..1.15")).id
    with capture_logs(), pytest.MonkeyPatch.context() as monkey:
        finished = world.coordinator.run(taken(world), Meanwhile())
    assert finished.status == "done"
    assert world.runs.calls > calls
    assert world.store.linked_observations(again)
    world.close()


# Ways out


@pytest.mark.parametrize("error", [RuntimeError("the listener broke"), KeyboardInterrupt()])
def test_what_runs_is_stopped_on_every_way_out(tmp_path: Path, error: BaseException) -> None:
    stopped: list[str] = []
    begun = threading.Event()

    class Waiting(QuickWorld):
        def execute(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
            if request.target.release == "1.9.0":
                assert begun.wait(DEADLINE_SECONDS)  # the other one
                return dropout_report(request)
            begun.set()
            assert cancelled.wait(DEADLINE_SECONDS)
            stopped.append(request.target.release)
            return RunReport("lost", "cancelled")

    class Breaking(Silent):
        def measured(self, measurement: Measurement, done: int, planned_at_least: int) -> None:
            raise error

    world = Waiting(tmp_path)
    world.submission.submit(asked())
    with nullcontext() if isinstance(error, KeyboardInterrupt) else pytest.raises(RuntimeError, match="broke"):
        world.coordinator.run(taken(world), Breaking())
    assert stopped
    world.close()


# What is away


def test_an_engine_that_is_away_for_a_while_is_waited_for_and_costs_no_more_runs_than_were_under_way(
    tmp_path: Path,
) -> None:
    looks = iter(range(40))

    class Away(QuickWorld):
        problem: str | None = "no container engine answers"

        def engine_problem(self) -> str | None:
            if next(looks, None) is None:
                self.problem = None
            return self.problem

    world = Away(tmp_path)
    world.runs.report = lambda _: RunReport("lost", "gone", runner="docker") if world.problem else None
    with capture_logs() as logs:
        finished = run(world)
    assert finished.status == "done"
    assert finished.verdict is not None
    assert finished.verdict["runs"]["lost"] == 0
    assert next(looks, None) is None
    assert world.runs.calls <= finished.verdict["runs"]["executed"] + world.settings.parallel
    assert any(log["event"] == "waiting" for log in logs)
    told = [event.payload.get("problem") for event in world.store.events_after(finished.verdict["id"])]
    assert told[-1] is None, "what is over is not said any more"
    world.close()


def test_who_watches_is_told_what_is_waited_for(tmp_path: Path) -> None:
    world = QuickWorld(tmp_path)
    world.problem = "no container engine answers"
    world.runs.report = lambda _: RunReport("lost", "gone") if world.problem else None
    submitted = world.submission.submit(asked())
    with capture_logs(), serving(world):
        until(lambda: (world.store.bisection(submitted.id).progress or {}).get("problem") == world.problem)
        world.problem = None
        assert ended(world, submitted.id).status == "done"


def test_an_engine_that_stays_away_ends_the_bisection_with_the_reason(tmp_path: Path) -> None:
    class Impatient(QuickWorld):
        patience = IMPATIENT
        problem = "no container engine answers"

    world = Impatient(tmp_path, MadeUpRuns(report=lambda _: RunReport("lost", "no container engine answers")))
    with capture_logs():
        finished = run(world)
    assert finished.status == "failed"
    assert finished.error is not None
    assert "no container engine answers" in finished.error["detail"]
    world.close()


def test_a_runner_that_cannot_be_chosen_now_is_waited_for(tmp_path: Path) -> None:
    tries = iter(range(3))

    class NoneYet(QuickWorld):
        def execute(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
            if next(tries, None) is not None:
                raise EngineLost("the engine could not describe itself")
            return super().execute(request, cancelled)

    world = NoneYet(tmp_path)
    finished = run(world)
    assert finished.status == "done"
    world.close()


def test_an_index_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    left = iter(range(20))

    class Unreachable(MadeUpEnvironments):
        def resolve(self, target: Target) -> Environment:
            if next(left, None) is not None:
                raise IndexUnreachable("the package index does not answer")
            return super().known(target)

    class Remote(QuickWorld):
        environments = Unreachable()  # type: ignore[assignment]

    world = Remote(tmp_path)
    with capture_logs():
        finished = run(world)
    assert finished.verdict is not None
    assert finished.verdict["runs"]["lost"] == 0
    world.close()


def test_all_who_wait_for_one_outage_share_one_patience() -> None:
    now = [0.0]
    outage = Outage(Patience(seconds=10, first_pause_seconds=0.001, longest_pause_seconds=0.001), clock=lambda: now[0])
    never = threading.Event()
    with capture_logs():
        assert outage.wait("gone", never)
        assert outage.problem == "gone"
        now[0] = 11.0
        assert not outage.wait("gone", never), "whoever comes now does not wait another ten seconds"
        outage.over()
        assert outage.problem is None
        assert outage.wait("gone again", never)
        cancelled = threading.Event()
        cancelled.set()
        assert not outage.wait("gone again", cancelled)


@pytest.mark.parametrize(("failures", "least", "most"), [(1, 0.25, 0.5), (3, 1, 2), (40, 7.5, 15)])
def test_pauses_grow_to_a_bound_and_are_never_quite_the_same(failures: int, least: float, most: float) -> None:
    pauses = {Patience().pause_seconds(failures) for _ in range(20)}
    assert len(pauses) > 1
    assert all(least <= pause <= most for pause in pauses)


# Several bisections


def test_a_long_bisection_does_not_hold_up_the_one_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "WAITED_SECONDS", 0)
    short_is_over = threading.Event()
    both_begun = threading.Barrier(3)
    first = threading.Semaphore(2)

    class Watched(QuickWorld):
        def execute(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
            if "short" not in request.snippet:
                if first.acquire(blocking=False):
                    both_begun.wait(DEADLINE_SECONDS)  # until the short one is queued
                else:
                    assert short_is_over.wait(DEADLINE_SECONDS), "the short one never got a worker"
            return dropout_report(request)

    world = Watched(tmp_path)
    long = world.submission.submit(asked(resolution=1)).id
    with serving(world):
        until(lambda: world.store.bisection(long).status == "running")
        short = world.submission.submit(
            BisectionRequest(snippet=TUTORIAL + "# short\n", probe="dropout", releases="1.9.0")
        ).id
        # The long one has both workers; the short one has said that it wants one.
        until(lambda: [seat.running or seat.wanted for seat in world.coordinator._workers._seats] == [2, 1])
        both_begun.wait(DEADLINE_SECONDS)
        assert ended(world, short).status == "done"
        assert world.store.bisection(long).status == "running"
        short_is_over.set()
        at_its_end = ended(world, long)
    assert (at_its_end.status, at_its_end.attempts) == ("done", 0)


def test_forty_submissions_are_worked_off_and_no_more_runs_go_on_than_there_are_workers(tmp_path: Path) -> None:
    going, most = [0], [0]
    lock = threading.Lock()

    class Counting(QuickWorld):
        def execute(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
            with lock:
                going[0] += 1
                most[0] = max(most[0], going[0])
            try:
                return dropout_report(request)
            finally:
                with lock:
                    going[0] -= 1

    world = Counting(tmp_path)
    ids = [
        world.submission.submit(
            BisectionRequest(snippet=f"{TUTORIAL}# {number}\n", probe="dropout", releases="1.9.0,1.11.0")
        ).id
        for number in range(40)
    ]
    with serving(world):
        assert {ended(world, each).status for each in ids} == {"done"}
    assert most[0] <= 2
