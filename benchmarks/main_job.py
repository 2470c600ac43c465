"""The main job with its images present, beside bare `docker run` of the same releases.

Bare: one `docker run` per run that the bisection makes, with the same harness and probe on its standard input and no
hardening, one after the other. Their sum divided by the parallelism is what a bisection would cost if everything above
the containers were free.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from service.bootstrap import House
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.execution.channel import BOOT
from service.settings import Settings

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "dropout_tutorial.py"
RELEASES = "1.9..1.14"
TARGET_RATIO = 1.3


def bare_run(image: str, words: bytes) -> float:
    """Return the seconds of one bare `docker run`."""
    began = time.monotonic()
    command = ["docker", "run", "--rm", "-i", "-e", "HOME=/tmp", image, "python", "-u", "-c", BOOT]
    subprocess.run(command, input=words, check=True, capture_output=True)
    return time.monotonic() - began


def words_for(house: House, source: str) -> bytes:
    """Return the three lines that a container gets."""
    case = house.intake.case(BisectionRequest(snippet=source, releases=RELEASES))
    lines: list[dict[str, Any]] = [
        {"harness": case.probe.harness_source},
        {"framework": case.framework},
        {"probe": case.probe.probe_source, "snippet": source, "parameters": dict(case.tracks[0].parameters)},
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def measure(house: House, source: str) -> dict[str, Any]:
    """Run the main job and the bare containers, and set them side by side."""
    request = BisectionRequest(snippet=source, releases=RELEASES)
    house.submission.run(request, Silent(), ready=lambda: house.runner)
    began = time.monotonic()
    finished = house.submission.run(request.model_copy(update={"fresh": True}), Silent(), ready=lambda: house.runner)
    bisection_seconds = time.monotonic() - began
    began = time.monotonic()
    house.submission.run(request, Silent(), ready=lambda: house.runner)
    stored_seconds = time.monotonic() - began
    images = (
        [linked.observation.report.image for linked in house.store.linked_observations(str(finished.verdict["id"]))]
        if finished.verdict
        else []
    )
    words = words_for(house, source)
    bare = [bare_run(image, words) for image in images]
    limit = sum(bare) / house.settings.workers
    return {
        "runs": len(images),
        "parallel": house.settings.workers,
        "bisection_seconds": round(bisection_seconds, 2),
        "bare_sum_seconds": round(sum(bare), 2),
        "stored_seconds": round(stored_seconds, 3),
        "ratio": round(bisection_seconds / limit, 2),
        "target": TARGET_RATIO,
    }


def main() -> int:
    """Measure, write, and say whether the target was met."""
    with tempfile.TemporaryDirectory() as folder:
        house = House(Settings(data_dir=Path(folder), runner="docker"))
        try:
            found = measure(house, EXAMPLE.read_text(encoding="utf-8"))
        finally:
            house.close()
    text = (
        "## Main job\n\n"
        "| runs | at once | bisection | bare `docker run`, summed | ratio to sum / at once | from the store |\n"
        "|---|---|---|---|---|---|\n"
        f"| {found['runs']} | {found['parallel']} | {found['bisection_seconds']} s "
        f"| {found['bare_sum_seconds']} s "
        f"| {found['ratio']} (target {found['target']}) | {found['stored_seconds']} s |\n"
    )
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "main_job.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (HERE / "results" / "main_job.md").write_text(text, encoding="utf-8")
    print(text)
    return int(found["ratio"] > TARGET_RATIO)


if __name__ == "__main__":
    sys.exit(main())
