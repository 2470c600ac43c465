"""Lets a worker that Dask's own tools start make runs: dask worker ADDRESS --preload service.cli.dask_preload.

dask-jobqueue and dask-kubernetes start workers with that command. `--resources "run=2"` says how many runs at once.
"""

from __future__ import annotations

from typing import Any

from service.bootstrap import WorkerHouse, set_up_logging
from service.execution.dask_cluster import offer_runs
from service.settings import Settings

HOUSES: dict[str, WorkerHouse] = {}
"""The house of each worker of this process."""


def dask_setup(worker: Any) -> None:
    """Open a house for a worker; a machine that cannot run anything says so now."""
    set_up_logging()
    opened = HOUSES[worker.id] = WorkerHouse(Settings())
    offer_runs(worker, opened.runner.run, opened.runner.end)


def dask_teardown(worker: Any) -> None:
    """Stop and remove what the worker started."""
    opened = HOUSES.pop(worker.id, None)
    if opened is not None:
        opened.close()
