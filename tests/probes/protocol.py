"""A client of the harness protocol, as small as it can be."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.catalog.probes import Probe, load_probes
from service.resources import resource_dir

BOOT = 'import sys,json;exec(compile(json.loads(sys.stdin.readline())["harness"],"harness.py","exec"))'
PROBES = load_probes(resource_dir("probes"))


@dataclass(frozen=True)
class Answered:
    """All that came out of one process."""

    events: list[dict[str, Any]]
    exit_code: int
    printed: str

    @property
    def result(self) -> dict[str, Any]:
        results = [event["result"] for event in self.events if event["event"] == "result"]
        assert len(results) == 1, self
        found: dict[str, Any] = results[0]
        return found

    @property
    def measurements(self) -> dict[str, Any]:
        assert self.result["kind"] == "measured", self.result
        found: dict[str, Any] = self.result["measurements"]
        return found


def converse(python: str, lines: list[object], environment: Mapping[str, str] | None = None) -> Answered:
    """Send lines to a fresh process and return what it answered."""
    known = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    fixed = {"HOME": "/tmp", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [python, "-u", "-c", BOOT],
        input="".join(json.dumps(line) + "\n" for line in lines).encode("ascii"),
        capture_output=True,
        env={**known, **fixed, **(environment or {})},
        timeout=240,
        check=False,
    )
    events = [json.loads(line) for line in done.stdout.decode("ascii").splitlines()]
    return Answered(events, done.returncode, done.stderr.decode("utf-8", "replace"))


def ask(
    python: str,
    probe: Probe | str,
    snippet: str = "",
    *,
    framework: str = "",
    parameters: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Answered:
    """Ask one question: a probe, or a probe's source, about one snippet."""
    source = probe if isinstance(probe, str) else probe.probe_source
    harness = PROBES["dropout"].harness_source
    request = {"probe": source, "snippet": snippet, "parameters": dict(parameters or {})}
    return converse(python, [{"harness": harness}, {"framework": framework}, request], environment)
