"""Threads that last as long as their process."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from service import threads as lasting
from service.errors import StoreError
from service.threads import Threads

DEADLINE_SECONDS = 30
"""Only a test that fails waits this long."""


def test_a_thread_that_fails_is_named_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "FIRST_PAUSE_SECONDS", 0.2)
    starts: list[int] = []
    again = threading.Event()
    threads = Threads()

    def work(stop: threading.Event) -> None:
        starts.append(1)
        if len(starts) == 1:
            raise ZeroDivisionError("a mistake")
        again.set()
        stop.wait()

    with capture_logs() as logs:
        threads.keep("coordinator", work)
        while not threads.down():
            assert not again.wait(0.001), "it was never said to be down"
        assert threads.down() == ["coordinator: ZeroDivisionError: a mistake; starts again in 0.2 s"]
        assert again.wait(DEADLINE_SECONDS)
    assert threads.down() == []
    assert [log["event"] for log in logs] == ["thread.failed"]
    threads.close()


def test_a_thread_that_waits_in_vain_for_a_database_says_so_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "FIRST_PAUSE_SECONDS", 0.001)
    again, threads = threading.Event(), Threads()
    failures = iter([StoreError("the database does not answer")])

    def work(stop: threading.Event) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure
        again.set()
        stop.wait()

    with capture_logs() as logs:
        threads.keep("coordinator", work)
        assert again.wait(DEADLINE_SECONDS)
        threads.close()
    assert [(log["reason"], "exc_info" in log) for log in logs] == [("the database does not answer", False)]


def test_a_thread_that_returns_early_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "FIRST_PAUSE_SECONDS", 0.001)
    third = threading.Event()
    starts: list[int] = []
    threads = Threads()

    def work(stop: threading.Event) -> None:
        starts.append(1)
        if len(starts) == 3:
            third.set()
            stop.wait()

    threads.keep("claims", work)
    threads.keep("claims", work)
    assert third.wait(DEADLINE_SECONDS)
    threads.close()
    assert len(starts) == 3, "kept twice, it is one thread all the same"


def test_a_thread_of_somebody_elses_is_watched_too() -> None:
    threads = Threads()
    alive = [True]
    threads.watch("nightly", lambda: alive[0])
    assert threads.down() == []
    alive[0] = False
    assert threads.down() == ["nightly: ended"]
    threads.close()
    assert threads.down() == [], "a process that ends is not unwell"
