"""What each aspect adds to the first look at a release: python -m benchmarks.aspects [--rounds N] [--only 1.12.0 ...].

Processor seconds from the probes' own clocks, in containers of the releases whose images are here. The first look at
the article's script is one import, two runs of the probe behaviour under two seeds, and the probe dropout beside them;
its baseline is what the probe dropout alone takes. Writes aspects.json and aspects.md; exit 1 if a first look takes
more than twice its baseline in the median release.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from service.bisection.facts import Facts
from service.resources import resource_dir
from tests.behaviour.asking import Release, images, waiting
from tests.behaviour.truth import PROBE, RULE
from tests.probes.protocol import PROBES

RESULTS = Path(__file__).parent / "results"
TUTORIAL = (resource_dir("examples") / "dropout_tutorial.py").read_text(encoding="utf-8")
MOST_RATIO = 2.0
STEPS = ("trains", "prints", "model", "saved", "predicts")
"""Parts of a run of the probe behaviour; "saved" belongs to the aspect model."""
SEEDS = (1, 2)


def look(release: Release) -> dict[str, Any]:
    """Return the seconds of one first look by part."""
    dropout = release.ask(PROBES["dropout"], TUTORIAL, {})
    runs = [release.ask(PROBE, TUTORIAL, {"seed": seed}) for seed in SEEDS]
    parts = [run["measurements"]["cpu_seconds"] for run in runs]
    imported = release.imported["import_cpu_seconds"]
    alone = imported + dropout["probe_cpu_seconds"]
    first = alone + sum(run["probe_cpu_seconds"] for run in runs)
    return {
        "import": imported,
        "script": median(part["script"] for part in parts),
        **{step: median(part.get(step, 0.0) for part in parts) for step in STEPS},
        "dropout": dropout["probe_cpu_seconds"],
        "run": median(run["probe_cpu_seconds"] for run in runs),
        "first look": first,
        "dropout alone": alone,
        "ratio": first / alone,
        "read": reading(runs[0]["measurements"]),
    }


def reading(measurements: Mapping[str, Any]) -> float:
    """Return the seconds that the service takes to read all aspects of one stored run."""
    began = time.process_time()
    found: Mapping[str, Facts] = RULE.aspects(measurements)
    assert found
    return time.process_time() - began


def measure(chosen: Mapping[str, str], rounds: int) -> list[dict[str, Any]]:
    """Return a row per release: the median of several first looks, each with an import of its own."""
    looks: dict[str, list[dict[str, Any]]] = {release: [] for release in chosen}
    for _ in range(rounds):
        for release, image in chosen.items():
            with waiting(image, PROBE) as container:
                looks[release].append(look(container))
    return [
        {"release": release, "looks": len(seen), **{name: median(one[name] for one in seen) for name in seen[0]}}
        for release, seen in looks.items()
    ]


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a row per release."""
    columns = ("import", "script", *STEPS, "dropout", "first look")
    lines = [
        "## What each aspect adds",
        "",
        "Processor seconds of the first look at the article's script: one import, two runs of `behaviour`, one of",
        "`dropout`. `script` is the shortened script itself, with `trains`; the other parts come after it. `ends`,",
        "`reports`, `warns`, `time` and `memory` are noted while it runs. The ratio is to `dropout` alone.",
        "",
        f"| release | {' | '.join(columns)} | ratio |",
        f"|---|{'---|' * (len(columns) + 1)}",
    ]
    for row in rows:
        cells = " | ".join(f"{row[name]:.2f}" for name in columns)
        lines.append(f"| {row['release']} | {cells} | {row['ratio']:.2f} |")
    most = max(row["read"] for row in rows)
    return "\n".join([*lines, "", f"The service reads a stored run in at most {most * 1000:.0f} ms.", ""])


def main() -> int:
    """Measure, write, and say whether a first look is cheap enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=(), help="releases; all whose images are here if none is given")
    chosen = parser.parse_args()
    here = {release: image for release, image in images().items() if not chosen.only or release in chosen.only}
    if not here:
        print("no image of a TensorFlow release is here; tfbisect images build makes them", file=sys.stderr)
        return 1
    rows = measure(here, chosen.rounds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "aspects.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "aspects.md").write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows))
    return int(median(row["ratio"] for row in rows) > MOST_RATIO)


if __name__ == "__main__":
    sys.exit(main())
