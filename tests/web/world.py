"""A house with everything real but the containers and the index: releases are listed here, runs are made up."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.version import Version

from service.bisection.outcomes import RunReport
from service.bootstrap import House
from service.catalog.environments import Environment, Environments
from service.catalog.recipes import Recipe
from service.catalog.targets import Target
from service.coordination.holding import LEASE_SECONDS
from service.execution.runner import RunRequest
from service.settings import Settings
from service.storage.claims import new_owner
from service.storage.records import Claim
from tests.stores import put_empty_store

# Release and upload date, as the index has them.
TENSORFLOW = """
1.4.0 2017-11-02  1.4.1 2017-12-08  1.5.0 2018-01-26  1.5.1 2018-03-22  1.6.0 2018-03-01  1.7.0 2018-03-29
1.7.1 2018-05-08  1.8.0 2018-04-28  1.9.0 2018-07-10  1.10.0 2018-08-08  1.10.1 2018-08-24  1.11.0 2018-09-27
1.12.0 2018-11-05  1.12.2 2019-04-22  1.12.3 2019-06-18  1.13.1 2019-02-26  1.13.2 2019-07-02  1.14.0 2019-06-19
1.15.0 2019-10-16  1.15.5 2021-01-06  2.0.0 2019-09-30  2.0.4 2021-01-06  2.1.0 2020-01-08  2.1.4 2021-01-26
2.2.0 2020-05-06  2.2.3 2021-06-23  2.3.0 2020-07-27  2.3.4 2021-08-13  2.4.0 2020-12-14  2.4.4 2021-11-05
2.5.0 2021-05-13  2.5.3 2022-01-31  2.6.0 2021-08-11  2.6.5 2022-05-23  2.7.0 2021-11-04  2.7.4 2022-09-02
2.8.0 2022-02-02  2.8.4 2022-11-17  2.9.0 2022-05-16  2.9.3 2022-11-17  2.10.0 2022-09-06  2.10.1 2022-11-16
2.11.0 2022-11-18  2.11.1 2023-03-15  2.12.0 2023-03-23  2.12.1 2023-07-06  2.13.0 2023-07-05  2.13.1 2023-09-29
2.14.0 2023-09-26  2.14.1 2023-11-14  2.15.0 2023-11-14  2.15.1 2024-03-09  2.16.1 2024-03-08  2.16.2 2024-06-28
2.17.0 2024-07-11  2.17.1 2024-10-24  2.18.0 2024-10-24  2.18.1 2025-03-12  2.19.0 2025-03-12  2.19.1 2025-08-12
2.20.0 2025-08-13  2.21.0 2026-03-06
"""
TUTORIAL = """\
import tensorflow as tf

mnist = tf.keras.datasets.mnist
(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0

model = tf.keras.models.Sequential([
    tf.keras.layers.Flatten(),
    tf.keras.layers.Dense(512, activation=tf.nn.relu),
    tf.keras.layers.Dropout(0.2),
    tf.keras.layers.Dense(10, activation=tf.nn.softmax),
])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=5)
model.evaluate(x_test, y_test)
"""
BROKEN_FROM, MENDED_IN = Version("1.11"), Version("1.13")


# No index is ever asked: what is not listed here is unreachable at once. Made-up answers need no more than two beside a
# change, so that these worlds stay small.
OURS: Mapping[str, Any] = {
    "catalog_max_age_seconds": 1e9,
    "parallel": 2,
    "index_url": "http://127.0.0.1:9/simple/",
    "confirmations": 2,
}


def catalog_rows() -> list[dict[str, Any]]:
    words = TENSORFLOW.split()
    return [
        {
            "version": version,
            "uploaded": f"{date}T12:00:00+00:00",
            "pythons": ["2.7", "3.6"] if Version(version) < Version("2.2") else ["3.8", "3.9", "3.10"],
            "bytes": 70_000_000 if version.startswith("1.") else 480_000_000,
            "requires_python": "",
            "yanked": False,
            "gone": False,
        }
        for version, date in zip(words[::2], words[1::2], strict=True)
    ]


@dataclass
class MadeUpEnvironments:
    """Resolves every release without an index."""

    def known(self, target: Target) -> Environment:
        recipe = Recipe(
            "3.6", f"{target.package}=={target.release}", "tensorflow", datetime(2019, 1, 1, tzinfo=UTC), ""
        )
        return Environment(target, recipe, f"{target.package}=={target.release}\n")

    resolve = known

    def known_failure(self, _target: Target) -> str:
        """Know of no release that could not be resolved."""
        return ""

    def known_of(self, targets: Iterable[Target]) -> dict[Target, Environment]:
        return {target: self.known(target) for target in targets}


@dataclass
class MadeUpRuns:
    """Answers like the real releases did (FACTS of 2026), at once or after a moment."""

    pause_seconds: float = 0.0
    output: str = ""
    calls: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    """Runs wait for it while it is not set."""
    report: Callable[[RunRequest], RunReport | None] = lambda _request: None

    def __post_init__(self) -> None:
        self.gate.set()

    def __call__(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        self.calls += 1
        while not self.gate.wait(0.02):
            if cancelled.is_set():
                return RunReport(ending="lost", reason="cancelled")
        time.sleep(self.pause_seconds)
        return self.report(request) or dropout_report(request, self.output)


def digest_of(thing: object) -> int:
    """Return a number that is the same in every process, as Python's `hash` of a text is not."""
    return int.from_bytes(hashlib.sha256(repr(thing).encode()).digest())


def dropout_report(request: RunRequest, output: str = "") -> RunReport:
    version = Version(request.target.release)
    broken = BROKEN_FROM <= version < MENDED_IN and "input_shape" not in request.snippet
    seed = digest_of(request.target.release) % 97
    measured = {"exit_code": 0} if shows_everything(request) else losses(broken=broken, seed=seed)
    return RunReport(
        ending="answered",
        result={"kind": "measured", "measurements": measured},
        exit_code=0,
        output=output or "WARNING: deprecated call\nEpoch 1/5\n",
        runner="docker",
        image=f"sha256:{digest_of(request.target):064x}",
        python="3.6.15" if version < Version("2.2") else "3.8.18",
        packages=packages(version),
        device="cpu",
        seconds={"prepare": 0.0, "start": 0.35, "import": 1.9, "probe": 0.44, "total": 2.71},
    )


def shows_everything(request: RunRequest) -> bool:
    """Say whether the probe `behaviour` is asked, of whose modules this is one."""
    return "tfbisect_watching" in request.probe_source


def losses(*, broken: bool, seed: int = 0) -> dict[str, Any]:
    """Return measurements as the dropout probe hands them over."""
    base = 2.3 + seed / 1000
    varied = [base + 0.031 * step for step in (0.0, 1.3, -0.8, 2.1)]
    return {
        "model": "Sequential",
        "samples": 32,
        "train_losses": [base] * 4 if broken else varied,
        "batch_losses": [base] * 4 if broken else varied,
        "evaluate_losses": [base] * 4,
        "zero_rate_losses": [base] * 3,
        "zero_rate_evaluate_losses": [base] * 2,
        "near_one_losses": [base + 4.1, base + 3.2],
    }


def packages(version: Version) -> Mapping[str, str]:
    newer = version >= Version("1.11")
    return {
        "tensorflow": str(version),
        "numpy": "1.16.4" if version >= Version("1.13") else "1.15.4" if newer else "1.14.5",
        "protobuf": "3.8.0" if version >= Version("1.13") else "3.6.1",
        "keras-applications": "1.0.8" if newer else "1.0.4",
        "keras-preprocessing": "1.1.0" if newer else "1.0.2",
        "six": "1.12.0",
        "wheel": "0.33.4",
        "absl-py": "0.7.1",
        "tensorboard": str(version),
    }


class World(House):
    """The real house, its containers and its index made up."""

    def __init__(self, folder: Path, runs: MadeUpRuns | None = None, **settings: Any) -> None:
        if "database_url" not in settings:
            put_empty_store(folder / "tfbisect.sqlite3")
        super().__init__(Settings(**{**OURS, "data_dir": folder, **settings}))
        self.runs = runs or MadeUpRuns()
        key = f"{self.catalog.index.url.rstrip('/')}/tensorflow"
        self.store.put_cached("releases", key, catalog_rows())
        for package in ("pandas", "polars"):
            row = {"version": "1.5.3", "uploaded": "2023-01-18T12:00:00+00:00", "pythons": ["3.8"], "bytes": 12_000_000}
            self.store.put_cached("releases", f"{self.catalog.index.url.rstrip('/')}/{package}", [row])

    @cached_property
    def environments(self) -> Environments:
        return MadeUpEnvironments()  # type: ignore[return-value]

    def execute(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        return self.runs(request, cancelled)

    @cached_property
    def executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(2)

    def work_off(self) -> None:
        """Run everything that is queued, in this thread."""
        while (claim := self.claim()) is not None:
            self.coordinator.run(claim)

    def claim(self) -> Claim | None:
        """Take up what waits longest."""
        owner = new_owner("serve")
        chosen = self.store.claim(owner, LEASE_SECONDS)
        return None if chosen is None else Claim(chosen, owner)

    def engine_problem(self) -> str | None:
        return None
