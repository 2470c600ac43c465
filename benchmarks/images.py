"""Building an image, side by side with `docker build` and plain pip: python -m benchmarks.images [--release 1.12.0].

Ours with a warm cache against the classic way on the same base and the same pinned packages, one after the other.
Writes images.json to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from service.bootstrap import House
from service.execution.images import reference_of
from service.execution.runner import Target

PLAIN = """\
FROM {ground}
COPY certificates.pem requirements.txt /tmp/
ENV PIP_CERT=/tmp/certificates.pem SSL_CERT_FILE=/tmp/certificates.pem
RUN python -m ensurepip && python -m pip install --no-cache-dir -r /tmp/requirements.txt
RUN python -c "import tensorflow"
"""
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def ours_seconds(house: House, target: Target) -> float:
    """Return the time of our build with a warm cache and no image."""
    environment = house.environments.resolve(target)
    house.images.ensure(environment)
    house.images.engine.remove(reference_of(environment))
    began = time.monotonic()
    house.images.ensure(environment)
    return time.monotonic() - began


def plain_seconds(house: House, target: Target) -> float:
    """Return the time of `docker build` with pip, on the same base with the same versions."""
    environment = house.environments.resolve(target)
    certificates = house.settings.ca_bundle or Path(os.environ.get("SSL_CERT_FILE", SYSTEM_CERTIFICATES))
    with tempfile.TemporaryDirectory() as folder:
        pins = "\n".join(f"{name}=={version}" for name, version in environment.packages.items())
        ground = house.images.grounds.ensure(environment.python).references[0]
        (Path(folder) / "Dockerfile").write_text(PLAIN.format(ground=ground))
        (Path(folder) / "requirements.txt").write_text(pins + "\n")
        (Path(folder) / "certificates.pem").write_bytes(certificates.read_bytes())
        began = time.monotonic()
        command = ["docker", "build", "--no-cache", "--quiet", "--tag", "tfbisect-benchmark/plain", folder]
        subprocess.run(command, check=True, env={**os.environ, "DOCKER_BUILDKIT": "0"}, capture_output=True)
        seconds = time.monotonic() - began
    subprocess.run(["docker", "rmi", "tfbisect-benchmark/plain"], check=True, capture_output=True)
    return seconds


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", default="1.12.0")
    target = Target("tensorflow", parser.parse_args().release)
    house = House()
    try:
        ours, plain = ours_seconds(house, target), plain_seconds(house, target)
    finally:
        house.close()
    found = {"release": target.release, "ours": ours, "plain pip": plain, "ratio": plain / ours}
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "images.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
