"""Which system calls the probe of Dropout makes in releases of TensorFlow, by strace: what a profile must allow.

    python -m benchmarks.system_calls 1.4.0 1.12.0 2.21.0

Runs in the local runner, without bubblewrap, so that what is seen is the framework's own. Prints the calls that the
shipped profile does not allow, release by release, and writes results/system_calls.json.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from service.bootstrap import House
from service.catalog.interpreters import find_interpreter
from service.catalog.targets import Target
from service.execution.limits import Limits, limits_of
from service.execution.local_runner import LocalRunner
from service.execution.runner import RunRequest
from service.execution.sandbox import Sandbox
from service.execution.seccomp import allowed_calls
from service.settings import Settings

RESULTS = Path(__file__).parent / "results" / "system_calls.json"
TUTORIAL = Path(__file__).parent.parent / "examples" / "dropout_tutorial.py"
CALL = re.compile(r"^(?:\d+ +)?([a-z_][a-z0-9_]*)\(", re.MULTILINE)


@dataclass(frozen=True)
class Traced(Sandbox):
    """Runs everything under strace."""

    trace: str = ""

    def wrap(
        self, command: Sequence[str], readable: Sequence[Path], limits: Limits, *, seconds: float, user: int
    ) -> list[str]:
        """Return the command under strace."""
        return ["/usr/bin/strace", "-f", "-qq", "-o", self.trace, *super().wrap(
            command, readable, limits, seconds=seconds, user=user
        )]  # fmt: skip


def calls_of(house: House, release: str, trace: Path) -> set[str]:
    """Return the system calls that one run makes."""
    probe = house.probes["dropout"]
    runner = LocalRunner(
        house.environments,
        limits_of(house.settings),
        house.settings.data_dir,
        find_interpreter,
        sandbox=Traced(trace=str(trace)),
    )
    request = RunRequest(
        "trace",
        Target("tensorflow", release),
        probe.harness_source,
        probe.probe_source,
        "tensorflow",
        TUTORIAL.read_text(encoding="utf-8"),
        {},
        600,
    )
    report = runner.run(request, threading.Event())
    runner.close()
    if report.ending != "answered":
        raise RuntimeError(f"{release}: the run ended as {report.ending}: {report.reason}; its calls would mean little")
    return set(CALL.findall(trace.read_text(errors="replace")))


def main(releases: Sequence[str]) -> None:
    """Trace each release, and say what the profile lacks."""
    found: dict[str, list[str]] = {}
    with closing(House(Settings())) as house, tempfile.TemporaryDirectory() as folder:
        for release in releases:
            found[release] = sorted(calls_of(house, release, Path(folder) / release))
            missing = sorted(set(found[release]) - allowed_calls())
            print(f"{release}: {len(found[release])} calls; not allowed: {', '.join(missing) or 'none'}", flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
