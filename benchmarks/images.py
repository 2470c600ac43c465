"""Building an image, beside `docker build` with plain pip: python -m benchmarks.images [--rounds 3] [RELEASE …].

Ours with a warm cache and no image; the classic way, a Dockerfile with `RUN pip install`, on the same ground with the
same versions. One after the other, in turns. Ours imports the release as well, which leaves its byte code for
read-only containers; pip only installs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service.bootstrap import House
from service.catalog.environments import Environment
from service.execution.images import reference_of
from service.execution.runner import Target

RESULTS = Path(__file__).parent / "results"
TARGET_RATIO = 3.0
PLAIN_IMAGE = "tfbisect-benchmark/plain"
DOCKERFILE = """\
FROM {ground}
ENV PIP_CERT=/tmp/certificates.pem SSL_CERT_FILE=/tmp/certificates.pem {index}
COPY certificates.pem requirements.txt /tmp/
RUN python -m ensurepip && python -m pip install --no-cache-dir -r /tmp/requirements.txt
"""
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def ours_seconds(house: House, environment: Environment) -> float:
    """Return the seconds of our build with a warm cache and no image."""
    if not house.images.engine.remove(reference_of(environment)):
        raise SystemExit(f"{reference_of(environment)} is in use; measure another release, or when it is free.")
    began = time.monotonic()
    image = house.images.ensure(environment)
    seconds = time.monotonic() - began
    if image.build_seconds is None:
        raise SystemExit(f"{image.reference} was built by somebody else meanwhile; measure again.")
    return seconds


def plain_seconds(house: House, environment: Environment) -> float:
    """Return the seconds of `docker build` with pip."""
    settings = house.settings
    certificates = settings.ca_bundle or Path(os.environ.get("SSL_CERT_FILE", SYSTEM_CERTIFICATES))
    ground = house.images.grounds.ensure(environment.python).references[0]
    index = f"PIP_INDEX_URL={settings.index_url}" if settings.index_url else ""
    with tempfile.TemporaryDirectory() as folder:
        pins = "".join(f"{name}=={version}\n" for name, version in environment.packages.items())
        (Path(folder) / "Dockerfile").write_text(DOCKERFILE.format(ground=ground, index=index))
        (Path(folder) / "requirements.txt").write_text(pins)
        (Path(folder) / "certificates.pem").write_bytes(certificates.read_bytes())
        command = ["docker", "build", "--no-cache", "--tag", PLAIN_IMAGE, folder]
        began = time.monotonic()
        # The classic builder for both: it is the one that ours speaks to.
        done = subprocess.run(
            command, env={**os.environ, "DOCKER_BUILDKIT": "0"}, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"docker build with pip failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    subprocess.run(["docker", "rmi", PLAIN_IMAGE], check=True, capture_output=True)
    return seconds


def measure(house: House, release: str, rounds: int) -> dict[str, Any]:
    """Build a release in both ways, in turns."""
    environment = house.environments.resolve(Target("tensorflow", release))
    was_there = house.images.built(environment) is not None
    house.images.ensure(environment)  # warms the cache and makes the ground
    seconds: dict[str, list[float]] = {"pip": [], "ours": []}
    for _ in range(rounds):
        seconds["pip"].append(round(plain_seconds(house, environment), 2))
        seconds["ours"].append(round(ours_seconds(house, environment), 2))
    if not was_there:
        house.images.engine.remove(reference_of(environment))
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    ratio = round(medians["pip"] / medians["ours"], 2)
    return {"release": release, "seconds": seconds, "median_seconds": medians, "ratio": ratio}


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what was measured as a table."""
    lines = [
        f"# Building an image ({os.cpu_count()} cores)",
        "",
        f"Median seconds; at least {TARGET_RATIO:g} times faster is wanted.",
        "",
        "| tensorflow | `docker build` with `pip install` | `tfbisect images build`, warm cache | ratio | holds |",
        "|---|---:|---:|---:|---|",
    ]
    for row in rows:
        pip, ours = row["median_seconds"]["pip"], row["median_seconds"]["ours"]
        holds = "yes" if row["ratio"] >= TARGET_RATIO else "NO"
        lines.append(f"| {row['release']} | {pip:.1f} | {ours:.1f} | {row['ratio']:.2f} | {holds} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, write, and say whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    # Of the time of the dropout bug, but not of the main job: its images stay where they are.
    parser.add_argument("releases", nargs="*", default=["1.8.0"])
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    house = House()
    try:
        rows = [measure(house, release, chosen.rounds) for release in chosen.releases]
    finally:
        house.close()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "images.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "images.md").write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows))
    return 0 if all(row["ratio"] >= TARGET_RATIO for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
