"""What a bisection costs the planner and the store: each step asks once, and is one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from service.bisection import planner
from service.coordination import progress
from service.coordination.progress import Silent
from tests.coordination.test_coordinator import asked
from tests.web.world import World


class Counted:
    """Counts calls of the planner and transactions that write."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plans = 0
        self.writes = 0

        def plan(*arguments: Any) -> Any:
            self.plans += 1
            return planner.plan(*arguments)

        def begun(connection: Any) -> None:
            self.writes += bool(connection.get_execution_options().get("tfbisect_writes"))

        monkeypatch.setattr(progress, "plan", plan)
        event.listen(world.store._engine, "begin", begun)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    opened = World(tmp_path)
    yield opened
    opened.close()


def test_a_bisection_plans_once_a_step_and_writes_once_a_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = world.submission.submit(asked())
    counted = Counted(world, monkeypatch)
    world.work_off()
    assert world.store.bisection(submitted.id).status == "done"
    runs = world.runs.calls
    assert runs >= 13
    # One plan for each answer, and the first one; answers that come together need one between them.
    assert counted.plans <= runs + 1
    # Claim, first step, end and rendered answer; for each answer the observation, and the step that rests on it.
    assert counted.writes <= 2 * runs + 6


def test_what_is_stored_is_answered_in_three_transactions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.submission.run(asked(), Silent(), ready=lambda: None)
    counted = Counted(world, monkeypatch)
    again = world.submission.run(asked(), Silent(), ready=lambda: None)
    assert again.verdict is not None
    assert again.verdict["runs"]["reused"] == world.runs.calls
    assert counted.plans <= 8
    # Made, linked with what it rests on, ended; and its rendered answer.
    assert counted.writes <= 4
