"""A worker process for tests: python -m tests.execution.dask_worker SCHEDULER NAME GPUS [full].

Its runs say who ran them. Runs of the package x last as many seconds as their snippet says; all others are answered as
the releases of TensorFlow were. One that is full loses every run.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from dataclasses import replace

from service.bisection.outcomes import RunReport
from service.execution.dask_cluster import serve_worker
from service.execution.runner import RunRequest
from service.settings import Settings
from tests.web.world import dropout_report

RUN_SECONDS = 0.3


def run(request: RunRequest, cancelled: threading.Event) -> RunReport:
    made_up = request.target.package != "x"
    until = time.monotonic() + (RUN_SECONDS if made_up else float(request.snippet))
    while time.monotonic() < until:
        if cancelled.wait(0.05):
            return RunReport("lost", "cancelled")
    if made_up:
        return replace(dropout_report(request), device="cpu")
    return RunReport("answered", result={"kind": "measured", "measurements": {}}, device=str(os.getpid()))


def full(_request: RunRequest, _cancelled: threading.Event) -> RunReport:
    return RunReport("lost", "the disk is full", hopeless=True)


if __name__ == "__main__":
    address, name, gpus, *kind = sys.argv[1:]
    settings = Settings(scheduler=address, parallel=1, gpus=int(gpus))
    asyncio.run(serve_worker(settings, full if kind else run, name=name))
