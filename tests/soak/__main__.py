"""`make soak`: twenty clients for TFBISECT_SOAK_SECONDS (600 by default), and what the service took meanwhile."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.engines import container_world, second_engine
from tests.faults.kills import small_world
from tests.faults.table import LeftOut
from tests.faults.world import World
from tests.soak.load import CLIENTS, GROWTH, HANDLES, SLOWEST_SECONDS, Seen, Watched, soak

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "soak"
UNLIMITED = {"TFBISECT_SUBMISSIONS_PER_MINUTE": "1000000", "TFBISECT_SUBMISSIONS_PER_HOUR": "10000000"}


def main() -> int:
    """Soak, print a table, write it; exit code 1 where a promise is broken."""
    seconds = float(os.environ.get("TFBISECT_SOAK_SECONDS", "600"))
    with _world() as (made, runs):
        made.settings.update(UNLIMITED)
        print(f"{CLIENTS} clients for {seconds:g} s; real runs are {runs}", flush=True)
        seen, watched = soak(made.serve(repeats_runs=True), seconds)
        made.close()
        left = made.processes() + made.homes() + made.containers()
    rows = _rows(seen, watched, left)
    table = _table(rows)
    print(table)
    for words in seen.wrong[:20]:
        print(f"  {words}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.with_suffix(".md").write_text(f"{CLIENTS} clients, {seconds:g} s, real runs are {runs}\n\n{table}\n")
    told = [
        {"what": what, "seen": value, "promised": promise, "as_promised": kept} for what, value, promise, kept in rows
    ]
    RESULTS.with_suffix(".json").write_text(json.dumps({"seconds": seconds, "rows": told}, indent=1) + "\n")
    return 0 if all(kept for *_, kept in rows) else 1


@contextmanager
def _world() -> Iterator[tuple[World, str]]:
    """Give a world whose real runs are containers, or processes where a second engine cannot be had."""
    try:
        with second_engine() as engine, container_world(engine) as made:
            yield made, "containers of an engine of their own"
    except LeftOut as missing:
        with small_world() as made:
            yield made, f"processes ({missing})"


def _rows(seen: Seen, watched: Watched, left: list[str]) -> list[tuple[str, str, str, bool]]:
    """Return what was seen, what was promised, and whether that was kept."""
    memory, handles = watched.growth()
    slow = seen.percentile(0.99)
    done = seen.ends["done"]
    return [
        ("bisections done", f"{done}, {seen.for_real} of them for real", "some", done > 0),
        ("bisections cancelled", str(seen.ends["cancelled"]), "some", seen.ends["cancelled"] > 0),
        ("wrong verdicts and refused requests", str(len(seen.wrong)), "0", not seen.wrong),
        ("requests", str(len(seen.seconds)), "", True),
        ("half of the requests under", f"{seen.percentile(0.5) * 1000:.0f} ms", "", True),
        ("99 % of the requests under", f"{slow:.2f} s", f"{SLOWEST_SECONDS:g} s", slow < SLOWEST_SECONDS),
        (
            "memory, at most",
            f"{max(watched.memory_bytes) / 2**20:.0f} MiB, grown by {memory:.1%}",
            f"grown by less than {GROWTH:.0%}",
            memory < GROWTH,
        ),
        ("file handles, at most", f"{max(watched.handles)}, {handles:+} at the end", f"+{HANDLES}", handles < HANDLES),
        ("processes, folders and containers left", str(len(left)), "0", not left),
    ]


def _table(rows: list[tuple[str, str, str, bool]]) -> str:
    lines = [f"| {what} | {value} | {promise} | {'yes' if kept else 'NO'} |" for what, value, promise, kept in rows]
    return "\n".join(["| what | seen | promised | kept |", "|---|---|---|---|", *lines])


if __name__ == "__main__":
    sys.exit(main())
