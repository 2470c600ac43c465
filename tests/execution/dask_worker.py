"""A worker process for tests; its runs say who ran them: python -m tests.execution.dask_worker SCHEDULER NAME GPUS."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

from service.bisection.outcomes import RunReport
from service.execution.executors import serve_worker
from service.execution.runner import RunRequest
from service.settings import Settings


def run(request: RunRequest, cancelled: threading.Event) -> RunReport:
    until = time.monotonic() + float(request.snippet)
    while time.monotonic() < until:
        if cancelled.wait(0.05):
            return RunReport("lost", "cancelled")
    return RunReport("answered", result={"kind": "measured", "measurements": {}}, device=str(os.getpid()))


if __name__ == "__main__":
    address, name, gpus = sys.argv[1:]
    asyncio.run(serve_worker(address, run, Settings(parallel=1, gpus=int(gpus)), name=name))
