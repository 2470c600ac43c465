"""Commits in doubt: the database keeps what it was given and its answer is lost, so the step is tried again.

The commits are real, and so is the store; only the answer to some of them is taken away.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from structlog.testing import capture_logs

from service.bootstrap import set_up_logging
from service.coordination import holding
from service.errors import StoreError
from service.storage.records import Claim
from service.storage.store import Store
from tests.coordination.test_coordinator import asked, run, taken
from tests.coordination.test_failures import IMPATIENT, QuickWorld, ended, serving
from tests.web.world import World


@contextmanager
def answers_lost(store: Store, which: Callable[[int], bool]) -> Iterator[None]:
    """Let the answers to some commits be lost, by their number."""
    number, whole = itertools.count(1), store._writing

    @contextmanager
    def writing() -> Iterator[object]:
        with whole() as connection:
            yield connection
        if which(next(number)):
            raise StoreError("the database went away while it answered")

    store._writing = writing  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        del store._writing


def every_other(number: int) -> bool:
    return number % 2 == 1


@pytest.mark.parametrize("fresh", [False, True])
def test_what_was_written_without_an_answer_is_not_written_again(tmp_path: Path, *, fresh: bool) -> None:
    world = QuickWorld(tmp_path)
    if fresh:
        run(world)
    before = world.runs.calls
    submitted = world.submission.submit(asked(fresh=fresh))
    with capture_logs(), answers_lost(world.store, every_other), serving(world):
        row = ended(world, submitted.id)
    with QuickWorld(tmp_path).store as store:
        told = store.events_after(submitted.id)
        linked = store.linked_observations(submitted.id)
    assert (row.status, row.attempts, row.error) == ("done", 0, None)
    kinds = Counter(event.kind for event in told)
    assert (kinds["verdict"], kinds["end"]) == (1, 1)
    seen = [event.payload["observation"] for event in told if event.kind == "observation"]
    assert sorted(seen) == sorted(one.observation.id for one in linked)
    done = [event.payload["runs_done"] for event in told if event.kind == "progress"]
    assert done == sorted(done), "steps are told in their order"
    assert len(linked) == world.runs.calls - before
    again = {one.observation.identity.release for one in linked if one.observation.repeat}
    assert bool(again) or not fresh


def test_a_claim_whose_taker_was_not_told_is_taken_by_it(tmp_path: Path) -> None:
    world = QuickWorld(tmp_path)
    submitted = world.submission.submit(asked())
    with answers_lost(world.store, every_other), pytest.raises(StoreError):
        world.coordinator._next()
    found = world.coordinator._next()
    assert found is not None
    assert (found[0].bisection_id, world.store.bisection(submitted.id).attempts) == (submitted.id, 1)
    later = world.submission.submit(asked(repeats=2))
    following = world.coordinator._next()
    assert following is not None
    assert (following[0].bisection_id, following[0].owner == found[0].owner) == (later.id, False)
    world.close()


def test_a_watch_that_was_not_made_is_made_when_its_submission_is_repeated(tmp_path: Path) -> None:
    world = World(tmp_path)

    def submit() -> str:
        return world.submission.submit(asked(watch=True), idempotency_key="one").id

    with answers_lost(world.store, lambda number: number == 1), pytest.raises(StoreError):
        submit()
    name = f"bisection-{submit()}"
    assert [watch.name for watch in world.store.watches()] == [name]
    world.store.remove_watch(name)
    assert (f"bisection-{submit()}", world.store.watches()) == (name, []), "what was removed does not come back"
    world.close()


# The clock


class SteppedWorld(World):
    """A world whose clock can be stepped."""

    ahead = timedelta()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.store._now = self.coordinator._holding._clock = lambda: datetime.now(UTC) + self.ahead


def test_nobody_takes_his_own_work_from_himself_when_the_clock_is_stepped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "SETTLING_SECONDS", 0.0)
    world = SteppedWorld(tmp_path)
    submitted = world.submission.submit(asked())
    claim = taken(world)
    with capture_logs() as logs, world.coordinator._holding.keep(claim) as held:
        for ahead in (timedelta(hours=1), timedelta(hours=-1)):
            world.ahead = ahead
            world.coordinator._holding._renewed = float("inf")  # as if it had been renewed before the step
            held.is_lost = False
            assert world.coordinator._next() is None
            assert world.store.standing([claim])[claim].is_held
    assert [log["event"] for log in logs if log["event"] == "clock.stepped"]
    assert world.store.bisection(submitted.id).attempts == 1
    world.close()


def test_others_get_a_moment_to_renew_when_the_clock_is_stepped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = SteppedWorld(tmp_path), SteppedWorld(tmp_path)
    first.submission.submit(asked())
    claim = taken(first)
    with capture_logs(), first.coordinator._holding.keep(claim):
        first.threads.stop.set()  # nobody renews but this test
        assert second.coordinator._next() is None
        first.ahead = second.ahead = timedelta(hours=1)
        assert second.coordinator._next() is None, "it would have taken what somebody works on"
        first.coordinator._holding.look()
        monkeypatch.setattr(holding, "SETTLING_SECONDS", 0.0)
        assert second.coordinator._next() is None, "it is renewed by now"
    first.ahead = second.ahead = timedelta(hours=2)
    with capture_logs():
        found = second.coordinator._next()
    assert found is not None, "who does not renew is dead"
    assert found[0].bisection_id == claim.bisection_id
    first.close()
    second.close()


def test_a_claim_is_no_further_attempt_of_the_one_that_holds_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    submitted = world.submission.submit(asked())
    for _ in range(2):
        assert world.store.claim_one(submitted.id, "serve@here", 60)
    assert world.store.bisection(submitted.id).attempts == 1
    claim = Claim(submitted.id, "serve@here")
    told = [("progress", {"runs_done": 0})]
    first = world.store.record(claim, (), told, after=0)
    again = world.store.record(claim, (), told, after=0)
    later = world.store.record(claim, (), told, after=again.last_event)
    assert [standing.last_event for standing in (first, again, later)] == [1, 1, 2]
    world.close()


# Words


class ImpatientWorld(QuickWorld):
    patience = IMPATIENT


def test_a_database_that_stays_away_is_told_in_words_and_without_a_stack(tmp_path: Path) -> None:
    world = ImpatientWorld(tmp_path)
    world.submission.submit(asked())
    coordinator, claim = world.coordinator, taken(world)
    with capture_logs() as logs, answers_lost(world.store, lambda _number: True):
        coordinator._work_off(claim, coordinator._workers.join("", nightly=False), Event())
    assert "bisection.failed" in [log["event"] for log in logs]
    assert [log for log in logs if "exc_info" in log] == []
    world.close()


def test_a_pool_that_cannot_reset_a_connection_says_so_without_a_stack(caplog: pytest.LogCaptureFixture) -> None:
    set_up_logging()
    log = logging.getLogger("sqlalchemy.pool.impl.QueuePool")
    try:
        raise StoreError("the connection is closed")
    except StoreError:
        log.exception("Exception during reset or similar")
    said = [(record.getMessage(), record.exc_info) for record in caplog.records]
    assert said == [("Exception during reset or similar: the connection is closed", None)]
