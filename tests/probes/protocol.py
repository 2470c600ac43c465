"""A client of the harness protocol, as small as it can be."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.catalog.probes import Probe, load_probes
from service.execution.channel import BOOT
from service.resources import resource_dir

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
    files: Mapping[str, str] | None = None,
) -> Answered:
    """Ask one question: a probe, or a probe's source, about one snippet."""
    source = probe if isinstance(probe, str) else probe.probe_source
    harness = PROBES["dropout"].harness_source
    request = {"probe": source, "snippet": snippet, "parameters": dict(parameters or {}), "files": dict(files or {})}
    return converse(python, [{"harness": harness}, {"framework": framework}, request], environment)


FORKING = """
import json, os, sys
folder, framework, boot = sys.argv[1:]
module = __import__(framework)
getattr(getattr(module, "keras", None), "layers", None)
for name in sorted(os.listdir(folder)):
    child = os.fork()
    if not child:
        os.dup2(os.open(os.path.join(folder, name), os.O_RDONLY), 0)
        os.dup2(os.open(os.path.join(folder, name + ".answer"), os.O_WRONLY | os.O_CREAT), 1)
        exec(boot)
    os.waitpid(child, 0)
"""


def ask_each(
    python: str, probe: Probe, questions: Mapping[str, tuple[str, Mapping[str, object]]], framework: str
) -> dict[str, dict[str, Any]]:
    """Ask one probe about several snippets, each in a process of its own that has the framework imported already.

    Args:
        questions: snippet and parameters by name.

    Returns:
        The harness's result by name; {} where a process ended without one.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, (snippet, parameters) in enumerate(questions.values()):
            request = {"probe": probe.probe_source, "snippet": snippet, "parameters": dict(parameters)}
            lines = [{"harness": probe.harness_source}, {"framework": framework}, request]
            (Path(folder) / f"{number:03}").write_text("".join(json.dumps(line) + "\n" for line in lines), "ascii")
        command = [python, "-c", FORKING, folder, framework, BOOT]
        known = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        fixed = {"HOME": "/tmp", "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
        subprocess.run(command, env={**known, **fixed}, capture_output=True, check=True)
        answers = [Path(folder) / f"{number:03}.answer" for number in range(len(questions))]
        return {name: result_in(answer) for name, answer in zip(questions, answers, strict=True)}


def result_in(file: Path) -> dict[str, Any]:
    """Return the one result that a process left in a file."""
    events = [json.loads(line) for line in file.read_text("ascii").splitlines()] if file.exists() else []
    results: list[dict[str, Any]] = [event["result"] for event in events if event["event"] == "result"]
    return results[0] if results else {}
