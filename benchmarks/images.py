"""Building an image, beside `docker build` with plain pip: python -m benchmarks.images [--rounds 1] [RELEASE …].

Ours with a warm cache and no image; the classic way, a Dockerfile with `RUN pip install tensorflow==RELEASE`, on the
same ground, its dependencies in the versions that ours has. Ours imports the release as well, which leaves its byte
code for read-only containers; pip only installs. From 2.1 on ours takes the slim wheel of the same release,
tensorflow-cpu, by its recipe; what pip takes with that wheel is told too.

All of ours are built first, and what was built goes when a round is over: ext4 without a journal makes new files
several times slower for minutes after many were deleted, as the builder deletes those of its containers.
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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.bootstrap import House
from service.catalog.environments import Environment
from service.catalog.targets import Target
from service.images.builder import reference_of

RESULTS = Path(__file__).parent / "results"
TARGET_RATIO = 3.0
# From the time of the dropout bug to the newest, but not those of the main job: their images stay where they are.
RELEASES = ("1.6.0", "1.7.0", "1.8.0", "2.4.0", "2.10.0", "2.21.0")
DOCKERFILE = """\
FROM {ground}
ENV PIP_CERT=/tmp/certificates.pem SSL_CERT_FILE=/tmp/certificates.pem {index}
COPY certificates.pem requirements.txt /tmp/
RUN python -m ensurepip && python -m pip install --no-cache-dir -r /tmp/requirements.txt
"""
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def ours_seconds(house: House, environment: Environment) -> float:
    """Return the seconds of our build with a warm cache and no image."""
    began = time.monotonic()
    image = house.images.ensure(environment)
    seconds = time.monotonic() - began
    if image.build_seconds is None:
        raise SystemExit(f"{image.reference} was built by somebody else meanwhile; measure again.")
    return seconds


def pins_of(environment: Environment, way: str) -> str:
    """Return what pip installs: the release by its plain name or as ours takes it, and our versions of the rest."""
    named = dict(environment.packages)
    if way == "pip":
        named[environment.target.package] = named.pop(wheel_of(environment))
    return "".join(f"{name}=={version}\n" for name, version in named.items())


def wheel_of(environment: Environment) -> str:
    """Return the package that holds the framework in ours."""
    return environment.recipe.requirement.partition("==")[0]


def ways_of(environment: Environment) -> Sequence[str]:
    """Return the ways in which pip builds a release."""
    return ("pip",) if wheel_of(environment) == environment.target.package else ("pip", "pip, slim wheel")


def plain_seconds(house: House, environment: Environment, way: str) -> float:
    """Return the seconds of `docker build` with pip."""
    settings = house.settings
    certificates = settings.ca_bundle or Path(os.environ.get("SSL_CERT_FILE", SYSTEM_CERTIFICATES))
    ground = house.images.grounds.ensure(environment.python).references[0]
    index = f"PIP_INDEX_URL={settings.index_url}" if settings.index_url else ""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text(DOCKERFILE.format(ground=ground, index=index))
        (Path(folder) / "requirements.txt").write_text(pins_of(environment, way))
        (Path(folder) / "certificates.pem").write_bytes(certificates.read_bytes())
        command = ["docker", "build", "--no-cache", "--tag", plain_image(environment, way), folder]
        began = time.monotonic()
        # The classic builder for both: it is the one that ours speaks to.
        done = subprocess.run(
            command, env={**os.environ, "DOCKER_BUILDKIT": "0"}, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"docker build with pip failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def warm(house: House, environment: Environment) -> None:
    """Fill the cache and make the ground; the image of the release must not be there."""
    house.images.grounds.ensure(environment.python)
    with tempfile.TemporaryDirectory(dir=house.settings.data_dir) as folder:
        house.environments.install(environment, Path(folder) / "packages")
    if not house.images.engine.remove(reference_of(environment)):
        raise SystemExit(f"{reference_of(environment)} is in use; measure another release, or when it is free.")


def plain_image(environment: Environment, way: str) -> str:
    """Name what pip builds."""
    return f"tfbisect-benchmark/{'plain' if way == 'pip' else 'slim'}:{environment.target.release}"


def one_round(house: House, environments: Sequence[Environment]) -> Iterator[tuple[str, str, float]]:
    """Build every release in all ways, and yield release, way and seconds."""
    made = []
    for environment in environments:
        warm(house, environment)
    try:
        for environment in environments:
            made.append(reference_of(environment))
            yield environment.target.release, "ours", round(ours_seconds(house, environment), 2)
        for environment in environments:
            for way in ways_of(environment):
                made.append(plain_image(environment, way))
                yield environment.target.release, way, round(plain_seconds(house, environment, way), 2)
    finally:
        for reference in made:
            house.images.engine.remove(reference)


def measure(house: House, releases: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Return the seconds of each release in all ways, and the ratio of pip's to ours."""
    environments = [house.environments.resolve(Target("tensorflow", release)) for release in releases]
    seconds: dict[str, dict[str, list[float]]] = {release: {} for release in releases}
    for _ in range(rounds):
        for release, way, taken in one_round(house, environments):
            print(f"{release} {way}: {taken} s", file=sys.stderr, flush=True)
            seconds[release].setdefault(way, []).append(taken)
    rows = []
    for release, ways in seconds.items():
        medians = {way: statistics.median(values) for way, values in ways.items()}
        ratio = round(medians["pip"] / medians["ours"], 2)
        rows.append({"release": release, "seconds": ways, "median_seconds": medians, "ratio": ratio})
    return rows


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what was measured as a table."""
    lines = [
        f"# Building an image ({os.cpu_count()} cores)",
        "",
        f"Seconds; at least {TARGET_RATIO:g} times faster than `docker build` with plain pip is wanted; ours has a",
        "warm cache. Slim: pip is told to install tensorflow-cpu, the wheel without CUDA's kernels that ours takes by",
        "its recipe. All of ours were built first. Where files are slow to make after many were deleted (see the",
        "module), that slows pip's builds after the first row.",
        "",
        "| tensorflow | pip | `tfbisect images build` | ratio | holds | pip, slim | ratio |",
        "|---|---:|---:|---:|---|---:|---:|",
    ]
    for row in rows:
        medians = row["median_seconds"]
        pip, ours, slim = medians["pip"], medians["ours"], medians.get("pip, slim wheel")
        holds = "yes" if row["ratio"] >= TARGET_RATIO else "NO"
        last = f"{slim:.1f} | {slim / ours:.2f}" if slim else " | "
        lines.append(f"| {row['release']} | {pip:.1f} | {ours:.1f} | {row['ratio']:.2f} | {holds} | {last} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, write, and say whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("releases", nargs="*", default=RELEASES)
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    house = House()
    try:
        rows = measure(house, chosen.releases, chosen.rounds)
    finally:
        house.close()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "images.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "images.md").write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows))
    return 0 if all(row["ratio"] >= TARGET_RATIO for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
