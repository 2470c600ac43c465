"""A number of its own for each run, and what that keeps apart."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.execution.run_users import (
    CONTAINER_USERS,
    LOCAL_USERS,
    REMAPPED_USERS,
    RunUsers,
    UserRange,
    container_users,
    users_at_work,
)
from tests.execution.conftest import Stage, processes_with


def test_no_two_runs_at_once_have_the_same_number() -> None:
    users = RunUsers(UserRange(10, 8))
    assert sorted(users.take() for _ in range(8)) == list(range(10, 18))


def test_a_number_given_back_is_handed_out_again() -> None:
    users = RunUsers(UserRange(10, 1))
    first = users.take()
    users.give_back(first)
    assert users.take() == first


def test_a_number_that_another_process_has_is_not_handed_out() -> None:
    users = RunUsers(UserRange(10, 3), lambda: {10, 12})
    assert users.take() == 11


def test_users_at_work_are_seen() -> None:
    assert 0 in users_at_work()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, CONTAINER_USERS),
        (["name=seccomp,profile=default"], CONTAINER_USERS),
        (["name=seccomp,profile=default", "name=userns"], REMAPPED_USERS),
        (["name=rootless"], REMAPPED_USERS),
    ],
)
def test_an_engine_that_maps_users_is_given_numbers_that_it_has(options: list[str] | None, expected: UserRange) -> None:
    assert container_users({"SecurityOptions": options}) == expected


def test_the_ranges_are_apart_and_belong_to_nobody() -> None:
    assert LOCAL_USERS.first + LOCAL_USERS.count <= CONTAINER_USERS.first
    assert CONTAINER_USERS.first + CONTAINER_USERS.count < 2**31
    assert LOCAL_USERS.first > 1_879_048_192
    assert (LOCAL_USERS.first in LOCAL_USERS, CONTAINER_USERS.first in LOCAL_USERS) == (True, False)


IS_UNHARMED = """
import ctypes, fcntl, os
libc = ctypes.CDLL(None, use_errno=True)
# EPERM: the list of system calls has none, so there is nothing to take.
x = [libc.inotify_init() >= 0 or ctypes.get_errno() == 1, fcntl.fcntl(os.pipe()[1], 1032)]
"""


def test_a_run_that_takes_all_that_a_user_may_have_leaves_others_theirs(stage: Stage) -> None:
    """Handles of inotify (128 a user) and pages of pipes (64 MiB a user) are counted by the kernel per user."""
    if stage.lacks("are shared with other runs"):
        pytest.skip("this runner says that runs share a user here")
    stop, duration = threading.Event(), f"{700 + os.getpid() / 1e7:.7f}"
    with ThreadPoolExecutor(1) as pool:
        greedy = pool.submit(stage.run, "takes_what_users_share", timeout_seconds=60, cancelled=stop, DURATION=duration)
        try:
            _wait_until_taken(duration)
            found = _answer(stage)
        finally:
            stop.set()
        assert greedy.result().reason == "cancelled"
    assert found == [True, 65536]


def _wait_until_taken(duration: str) -> None:
    until = time.monotonic() + 30
    while len(processes_with(duration)) < 4:
        assert time.monotonic() < until
        time.sleep(0.05)  # nothing tells when a child has begun to wait


def _answer(stage: Stage) -> Any:
    result = stage.run(IS_UNHARMED).result or {}
    return result.get("measurements", {}).get("x")
