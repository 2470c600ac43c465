"""Asks many questions in one container: the release is imported once, each question has a child of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from service.catalog.probes import Probe
from service.execution.channel import BOOT

TMPFS = "/tmp:exec,mode=1777,size=256m"


class Release:
    """A container in which a release waits for questions."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._asked = 0
        self.imported: Mapping[str, Any] = {}
        """What it said once its framework was imported."""

    def ask(self, probe: Probe, snippet: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the harness's result for one question; how the process ended where it gave none."""
        self._asked += 1
        word = f"question {self._asked}"
        given = {"id": word, "probe": probe.probe_source, "snippet": snippet, "parameters": dict(parameters)}
        send(self._process.stdin, given)
        over = self._hear("over")
        self._hear("again")
        lines = [json.loads(line) for line in over["said"].splitlines() if line.strip()]
        if lines:
            for name in ("probe_seconds", "probe_cpu_seconds"):
                lines[-1]["result"][name] = lines[-1].get(name)
            found: dict[str, Any] = lines[-1]["result"]
            return found
        return {"kind": "ended", "code": over["code"], "signal": over["signal"]}

    def _hear(self, event: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found: dict[str, Any] = json.loads(line)
            if found.get("event") == event:
                return found
            if found.get("event") == "result":
                raise RuntimeError(f"the release cannot be imported: {found['result']}")
        raise RuntimeError(f"the container ended before it said {event!r}")

    def ready(self) -> None:
        """Wait for the import."""
        self.imported = self._hear("ready")


def send(target: IO[str] | None, message: Mapping[str, Any]) -> None:
    assert target is not None
    target.write(json.dumps(message) + "\n")
    target.flush()


@contextmanager
def waiting(image: str, probe: Probe, framework: str = "tensorflow", hash_seed: int = 0) -> Iterator[Release]:
    """Start a container of an image and wait until its framework is imported."""
    quiet = ["--env", "TF_CPP_MIN_LOG_LEVEL=2", "--env", f"PYTHONHASHSEED={hash_seed}", "--env", "HOME=/tmp"]
    walls = ["--network", "none", "--read-only", "--tmpfs", TMPFS, "--memory", "3g", "--cpus", "1", "--user", "65534"]
    command = ["docker", "run", "--rm", "--interactive", *walls, *quiet, image, "python", "-u", "-c", BOOT]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        send(process.stdin, {"harness": probe.harness_source})
        send(process.stdin, {"framework": framework, "id": "import", "folders": ["/tmp", "/dev/shm"]})
        release = Release(process)
        release.ready()
        assert release.imported["forks"]
        yield release
    finally:
        with suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def images() -> dict[str, str]:
    """Return the images of TensorFlow releases that are here: release -> image."""
    listed = subprocess.run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "tfbisect/tensorflow"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {line.rpartition(":")[2].partition("-")[0]: line for line in listed.stdout.split() if "-cpu-" in line}
    return dict(sorted(found.items(), key=lambda each: tuple(int(part) for part in each[0].split("."))))


def seeds(count: int) -> Sequence[int]:
    """Return the seeds of so many runs of one release."""
    return range(1, count + 1)
