"""What an estimate costs the service: somebody may ask for one with each key that is pressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from service.bisection import planner
from service.coordination.intake import BisectionRequest
from service.reports import foresight
from service.reports.foresight import look_ahead, simulated
from tests.web.conftest import Served
from tests.web.world import TUTORIAL, World

WORST: dict[str, Any] = {
    "snippet": TUTORIAL,
    "probe": "dropout",
    "releases": "1.4..",
    "branches": "all",
    "complete": True,
}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Take up each call of the planner, the only part of an estimate that costs."""
    calls: list[int] = []
    real = planner.plan

    def counting(*args: Any) -> Any:
        calls.append(1)
        return real(*args)

    monkeypatch.setattr(foresight, "plan", counting)
    foresight._forecast.cache_clear()
    return calls


def test_many_answers_of_each_release_cost_no_more_than_two(tmp_path: Any, planned: list[int]) -> None:
    world = World(tmp_path)
    outlook = look_ahead(world.intake, BisectionRequest(**WORST, repeats=20), {}, simulate=True)
    assert outlook.runs_with_changes == 20 * len(outlook.tree.all())
    assert len(planned) < 200
    world.close()


def test_two_answers_played_through_tell_of_any_number(tmp_path: Any) -> None:
    world = World(tmp_path)
    for branches in ("none", "tips", "all"):
        asked: dict[str, Any] = {**WORST, "releases": "1.9..1.14", "branches": branches, "repeats": 5}
        case = world.intake.case(BisectionRequest(**asked))
        outlook = look_ahead(world.intake, BisectionRequest(**asked), {}, simulate=True)
        assert outlook.runs_with_changes == len(simulated(case.tree, case.policy, changes=True))
    world.close()


def test_the_same_question_is_played_through_once_whatever_the_snippet(service: Served, planned: list[int]) -> None:
    def ask(snippet: str) -> dict[str, Any]:
        return dict(service.client.post("/api/v1/estimate", json={**WORST, "snippet": snippet}).json())

    first = ask(TUTORIAL)
    planned.clear()
    assert ask(TUTORIAL + "# typed on\n") == first
    assert len(planned) == 1  # the first step of the plan, which says whether anything is to be run


@pytest.mark.parametrize("path", ["/estimate", "/api/v1/estimate"])
def test_estimates_are_limited(service_with: Callable[..., Served], path: str) -> None:
    service = service_with(estimates_per_minute=2)
    form = {"data": {"snippet": TUTORIAL}} if path == "/estimate" else {"json": {"snippet": TUTORIAL}}
    answers = [service.client.post(path, **form) for _ in range(3)]  # type: ignore[arg-type]  # one of two keywords
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert service.client.post("/api/v1/bisections", json={"snippet": TUTORIAL}).status_code == 202
