"""What several processes do at once, and what a killed one leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from service.storage.observations import observation_key
from service.storage.store import Store
from tests.storage.worlds import REQUEST, SNIPPET, Clock, identity

CLAIM_ALL = """
import sys
from service.storage.store import Store
store = Store.open(sys.argv[1])
while claimed := store.claim(sys.argv[2], 600):
    print(claimed)
"""
APPEND_AND_COUNT = """
import sys
from service.storage.records import Claim
from service.storage.store import Store
from tests.storage.worlds import IDENTITY, REPORT
store = Store.open(sys.argv[1])
for number in range(100):
    store.record(Claim(sys.argv[2], "holder"), happened=[("progress", {"writer": sys.argv[3]})])
    store.append_observation(IDENTITY, number, REPORT)
"""
WORK_FOR_EVER = """
import itertools, sys
from service.storage.records import Claim
from service.storage.store import Store
from tests.storage.worlds import REPORT, identity
store = Store.open(sys.argv[1])
claim = Claim(store.claim("doomed", 60), "doomed")
for number in itertools.count(1):
    kept = store.append_observation(identity(str(number)), 0, REPORT)
    store.record(claim, [(kept.id, "", False)], [("observation", {"number": number})])
    print(number, flush=True)
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)


def test_processes_never_claim_one_bisection_twice(store: Store, url: str) -> None:
    ids = [store.create_bisection(REQUEST, SNIPPET).bisection.id for _ in range(40)]
    claimers = [start(CLAIM_ALL, url, f"claimer {number}") for number in range(4)]
    claimed = [line for claimer in claimers for line in claimer.communicate()[0].split()]
    assert sorted(claimed) == ids


def test_processes_number_events_without_gaps_and_keep_one_observation_each(store: Store, url: str) -> None:
    one = store.create_bisection(REQUEST, SNIPPET).bisection.id
    store.claim_one(one, "holder", 600)
    writers = [start(APPEND_AND_COUNT, url, one, str(number)) for number in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    for writer in writers:
        writer.communicate()
    assert [event.seq for event in store.events_after(one)] == list(range(1, 301))
    key = observation_key(identity("1.12.0"))
    assert [kept.repeat for kept in store.observations([key])[key]] == list(range(100))


@pytest.mark.parametrize("after", [1, 7, 30])
def test_a_killed_coordinator_loses_nothing_that_it_had_stored(url: str, after: int) -> None:
    clock = Clock()
    with Store.open(url, clock=clock) as store:
        one = store.create_bisection(REQUEST, SNIPPET).bisection.id
    worker = start(WORK_FOR_EVER, url)
    assert worker.stdout is not None
    said = [worker.stdout.readline() for _ in range(after)]
    worker.send_signal(signal.SIGKILL)
    said += worker.communicate()[0].splitlines(keepends=True)
    assert worker.returncode == -signal.SIGKILL
    complete = [line.strip() for line in said if line.endswith("\n")]
    with Store.open(url) as store:
        kept = {used.observation.identity.release for used in store.linked_observations(one)}
        events = [(event.seq, event.payload["number"]) for event in store.events_after(one)]
        assert set(complete) <= kept
        assert events == [(number, number) for number in range(1, len(events) + 1)]
        assert int(complete[-1]) <= len(events)


def test_a_killed_coordinators_bisection_is_taken_up_again(url: str, clock: Clock) -> None:
    with Store.open(url, clock=clock) as store:
        one = store.create_bisection(REQUEST, SNIPPET).bisection.id
        worker = start(WORK_FOR_EVER, url)
        assert worker.stdout is not None
        worker.stdout.readline()
        worker.kill()
        worker.communicate()
        clock.now = store.bisection(one).started_at or clock.now  # the worker went by the machine's clock
        assert store.claim("next", 60) is None
        clock.pass_seconds(3600)
        assert store.claim("next", 60) == one
