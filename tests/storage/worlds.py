"""Things that tests of the store put into it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from service.bisection.outcomes import RunReport
from service.storage.records import ObservationIdentity
from service.storage.store import Store
from service.storage.watch_records import NewDelivery, NewWatch, NewWatchRun

SNIPPET = """import tensorflow as tf
model = tf.keras.Sequential([tf.keras.layers.Dense(4), tf.keras.layers.Dropout(0.2)])
"""
REQUEST: dict[str, Any] = {"package": "tensorflow", "probe": "dropout", "releases": "1.9..1.14"}
IDENTITY = ObservationIdentity("tensorflow", "1.12.0", "cpu", "sha256:e", "sha256:p", "sha256:s", {"input_shape": [28]})
REPORT = RunReport(
    "answered",
    result={"kind": "measured", "measurements": {"losses": [0.5, 0.25]}},
    exit_code=0,
    output="hello\n",
    runner="docker",
    image="sha256:i",
    python="3.6",
    packages={"tensorflow": "1.12.0", "numpy": "1.15.4"},
    device="cpu",
    seconds={"total": 2.5},
    missing_protections=("no network namespace",),
)


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def identity(release: str, **other: Any) -> ObservationIdentity:
    return replace(IDENTITY, release=release, **other)


def verdict(*changes: tuple[str, str, str], package: str = "tensorflow") -> dict[str, Any]:
    """A verdict with changes (kind, line, after)."""
    return {
        "schema": "tfbisect/verdict/1",
        "package": package,
        "segments": [{"line": "mainline", "outcome": "drops"}, {"line": "mainline", "outcome": "never-drops"}],
        "changes": [
            {"kind": kind, "line": line, "before": "1.0", "after": after, "old": "drops", "new": "never-drops"}
            for kind, line, after in changes
        ],
    }


def live_a_night(store: Store, bisection_id: str) -> str:
    """Keep a watch, a night of it that changed, and a message that failed once; return the watch's id."""
    watch = store.add_watch(NewWatch("team", {"probe": "dropout"}, SNIPPET, ({"package": "tensorflow"},)))
    made = store.open_pass()
    found = NewWatchRun(
        watch.id,
        made.id,
        "tensorflow",
        "changed",
        {"releases": {"1.11.0": {"yanked": False}}},
        bisection_id,
        verdict(("introduced", "mainline", "1.11.0")),
        {"appeared": [{"after": "1.11.0"}]},
        "introduced in 1.11.0; it said: a\0b\ud800",
    )
    store.add_watch_run(found, [NewDelivery("webhook", "https://ci.test/hook", {"event": "verdict.changed"})])
    store.finish_pass(made.id, {"rows": 1})
    delivery = store.claim_delivery(60)
    assert delivery is not None
    store.note_attempt(delivery, status_code=503, error="answered 503", retry_after_seconds=60)
    return watch.id
