"""The web service under load, side by side with an empty FastAPI route: python -m benchmarks.web.

Fills a store with 100,000 bisections and 2,000,000 observations, reads, lists, searches, submits again what is known,
and opens 500 event streams while a bisection runs. Writes web.json and web.md; exit 1 if a claim fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.dialects import sqlite as sqlite_dialect

from benchmarks.web_load import Load, answer, get, post, pressed, server, together
from benchmarks.web_world import RARE, fill, identifier
from service.storage.listing import bisections_query, changes_query
from service.storage.records import EVERYBODY, Search
from service.storage.search_words import word_term
from tests.web.world import TUTORIAL, MadeUpRuns, World

API = "/api/v1/bisections"
ROUNDS = 7
EMPTY, SHARED, ANY = "empty route", "one that is shared", "any of all, nearly all for the first time"
DIALECT = sqlite_dialect.dialect()
LISTS = {
    "newest": API,
    "a page in the middle": f"{API}?cursor={identifier(1500)}",
    "by status": f"{API}?status=done",
    "by probe": f"{API}?probe=dropout",
    "by a common word": f"{API}?q=dropout",
    "by a rare word": f"{API}?q={RARE}",
    "by two words": f"{API}?q=dropout+{RARE}",
    "by outcome": f"{API}?outcome=never-drops",
    "by release of a change": f"{API}?changed_in=1.11.0",
    "by what is nowhere": f"{API}?q=transformer",
}


def median(values: list[float]) -> float:
    return statistics.median(values)


def reading(folder: Path, count: int, seconds: float) -> dict[str, Any]:
    """Read finished bisections and an empty route by turns, so that a busy machine is unfair to none."""
    rng = random.Random(1)
    shared = identifier(count // 2)
    kinds: dict[str, Callable[[], bytes]] = {
        SHARED: lambda: get(f"{API}/{shared}"),
        ANY: lambda: get(f"{API}/{identifier(rng.randrange(count))}"),
        "any of all, which the client has": lambda: get(f"{API}/{identifier(rng.randrange(count))}", "*"),
    }
    with server("empty", folder) as nothing, server("ours", folder) as ours:
        # Imports, caches of the interpreter and of the load itself are not what is asked about.
        asyncio.run(pressed(nothing, lambda: get("/"), seconds / 4))
        asyncio.run(pressed(ours, kinds[ANY], seconds / 4))
        loads: dict[str, list[Load]] = {EMPTY: [], **{name: [] for name in kinds}}
        for _ in range(ROUNDS):
            loads[EMPTY].append(asyncio.run(pressed(nothing, lambda: get("/"), seconds)))
            for name, request in kinds.items():
                loads[name].append(asyncio.run(pressed(ours, request, seconds)))
    return {name: summed(each, loads[EMPTY]) for name, each in loads.items()}


def summed(loads: list[Load], beside: list[Load]) -> dict[str, Any]:
    """Return what all rounds saw together, and the median of each round's rate over that of the empty route."""
    whole = together(loads)
    p50, p99 = whole.percentile(0.5), whole.percentile(0.99)
    shares = [mine.per_second / base.per_second for mine, base in zip(loads, beside, strict=True)]
    return {
        "requests": len(whole.latencies_ms),
        "per_second": round(whole.per_second, 1),
        "share_of_empty": round(median(shares), 3),
        "median_ms": round(p50, 3),
        "p99_ms": round(p99, 3),
        "p99_over_median": round(p99 / p50, 2),
        "answers": {str(status): number for status, number in sorted(whole.statuses.items())},
    }


def rendering(folder: Path, count: int) -> dict[str, float]:
    """Return what the first reader waits for where a bisection ended before answers were stored."""
    names = [identifier(number) for number in random.Random(2).sample(range(count), 200)]
    database = sqlite3.connect(folder / "tfbisect.sqlite3")
    database.executemany("DELETE FROM documents WHERE bisection_id = ?", [(name,) for name in names])
    database.commit()
    database.close()
    with server("ours", folder) as port:
        spent, _ = asyncio.run(_timed(port, [get(f"{API}/{name}") for name in names]))
    return {"median_ms": round(median(spent[5:]), 2), "p95_ms": round(sorted(spent[5:])[int(0.95 * 195)], 2)}


async def _timed(port: int, requests: list[bytes]) -> tuple[list[float], list[int]]:
    """Ask one after the other and return how long each took, in milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    spent, statuses = [], []
    for request in requests:
        started = time.perf_counter()
        status, _ = await answer(reader, writer, request)
        spent.append((time.perf_counter() - started) * 1000)
        statuses.append(status)
    writer.close()
    return spent, statuses


def listing(folder: Path) -> dict[str, float]:
    """Return the median milliseconds of each list."""
    with server("ours", folder) as port:
        return {name: round(median(asyncio.run(_timed(port, [get(path)] * 21))[0]), 2) for name, path in LISTS.items()}


def plans(folder: Path) -> dict[str, list[str]]:
    """Return SQLite's plan of each kind of list."""
    queries = {
        "newest": bisections_query(Search(), (), EVERYBODY, None, DIALECT),
        "by status": bisections_query(Search(status="done"), (), EVERYBODY, None, DIALECT),
        "by word": bisections_query(Search(text=RARE), (word_term(RARE),), EVERYBODY, None, DIALECT),
        "changes of a release": changes_query("tensorflow", "1.11.0", EVERYBODY, None),
    }
    database = sqlite3.connect(folder / "tfbisect.sqlite3")
    found = {}
    for name, query in queries.items():
        compiled = query.limit(21).compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
        found[name] = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {compiled}")]
    database.close()
    return found


def submitting_again(folder: Path, times: int = 200) -> dict[str, float]:
    """Return how long a submission takes whose every answer is stored."""
    body = {"snippet": TUTORIAL, "probe": "dropout", "releases": "1.8..2.6", "resolution": 1}
    with server("ours", folder) as port:
        spent, statuses = asyncio.run(_timed(port, [post(API, body)] * times))
    spent = spent[5:]  # a service that has just started is not what is asked about
    if set(statuses) != {200}:
        raise RuntimeError(f"not answered from the store: {set(statuses)}")
    return {"median_ms": round(median(spent), 2), "p95_ms": round(sorted(spent)[int(0.95 * len(spent))], 2)}


async def _follow(port: int, name: str, arrived: list[dict[int, float]]) -> None:
    """Read one event stream to its end and note when each event came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    writer.write(get(f"{API}/{name}/events"))
    seen: dict[int, float] = {}
    arrived.append(seen)
    while line := await reader.readline():
        if line.startswith(b"id: "):
            seen[int(line[4:])] = time.time()
        elif line.strip() == b"0":
            break
    writer.close()


def streaming(folder: Path, streams: int) -> dict[str, Any]:
    """Open streams, run a bisection, and count what each stream saw."""
    world = World(folder, MadeUpRuns(pause_seconds=0.05))
    world.runs.gate.clear()
    created = world.store.create_bisection(
        {"package": "tensorflow", "probe": "dropout", "releases": "1.4..", "resolution": 1}, TUTORIAL + "# streams\n"
    )
    name = created.bisection.id
    arrived: list[dict[int, float]] = []
    worker = threading.Thread(target=world.work_off)

    async def scene(port: int) -> None:
        followers = [asyncio.create_task(_follow(port, name, arrived)) for _ in range(streams)]
        while len(arrived) < streams:
            await asyncio.sleep(0.05)
        worker.start()
        await asyncio.sleep(1.0)
        world.runs.gate.set()
        await asyncio.wait_for(asyncio.gather(*followers), 300)

    with server("ours", folder) as port:
        asyncio.run(scene(port))
    worker.join()
    events = world.store.events_after(name, 0, 100_000)
    made = {event.seq: event.created_at.timestamp() for event in events}
    late = [(when - made[number]) * 1000 for seen in arrived for number, when in seen.items()]
    world.store.delete_bisection(name)
    world.close()
    return {
        "streams": streams,
        "events": len(made),
        "complete_streams": sum(list(seen) == sorted(made) for seen in arrived),
        "median_delay_ms": round(median(late), 1),
        "p99_delay_ms": round(sorted(late)[int(0.99 * len(late))], 1),
    }


def checks(found: dict[str, Any]) -> dict[str, bool]:
    """Return each claim and whether it holds."""
    reads = [found["reading"][name] for name in (SHARED, ANY)]
    small, large = found["listing"]["small"], found["listing"]["large"]
    scans = [
        step for plan in found["plans"].values() for step in plan if step.startswith("SCAN") and "INDEX" not in step
    ]
    return {
        "a finished bisection is read at half the rate of an empty route or better": all(
            read["share_of_empty"] >= 0.5 and read["answers"].keys() == {"200"} for read in reads
        ),
        "p99 stays under 5 times the median": all(read["p99_over_median"] < 5 for read in reads),
        # A factor of 1.5 and 5 ms allow for the noise of a shared machine; the tables differ by a factor of 50.
        "lists and searches do not grow with the table": all(large[name] <= 1.5 * small[name] + 5 for name in large),
        "every list walks an index": not scans,
        "every event stream saw every event, in order": found["streaming"]["complete_streams"]
        == found["streaming"]["streams"],
        "a stored answer to a submission comes within 50 ms": found["submitting_again"]["p95_ms"] < 50,
    }


def markdown(found: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    rows = [
        f"| {name} | {each['per_second']:.0f} | {each['share_of_empty']:.2f} | {each['median_ms']:.2f} | "
        f"{each['p99_ms']:.2f} | {each['p99_over_median']:.1f} |"
        for name, each in found["reading"].items()
    ]
    small, large = found["listing"]["small"], found["listing"]["large"]
    lists = [f"| {name} | {small[name]:.1f} | {large[name]:.1f} |" for name in large]
    stored, stream, again = found["stored"], found["streaming"], found["submitting_again"]
    said = (
        f"{stored['bisections']:,} bisections, {stored['observations']:,} observations, SQLite, one uvicorn worker; "
        "made by `python -m benchmarks.web`.\n"
    )
    streamed = (
        f"- {stream['streams']} event streams on one process, {stream['events']} events each: "
        f"{stream['complete_streams']} streams saw all of them; from store to reader {stream['median_delay_ms']} ms "
        f"(median), {stream['p99_delay_ms']} ms (p99)."
    )
    rendered = found["rendering"]
    first_read = (
        f"- The first read of one that ended before answers were stored: {rendered['median_ms']} ms (median), "
        f"{rendered['p95_ms']} ms (p95); from then on as above."
    )
    parts = [
        "# Web benchmark\n",
        said,
        "## What must show\n",
        *(f"- {'yes' if holds else '**NO**'}: {claim}" for claim, holds in found["checks"].items()),
        "\n## Reading a finished bisection, beside an empty FastAPI route\n",
        "| read | requests per second | share of the empty route | median ms | p99 ms | p99 / median |",
        "|---|---|---|---|---|---|",
        *rows,
        "\n## Lists and searches, milliseconds\n",
        f"| list | {found['listing']['sizes'][0]:,} bisections | {found['listing']['sizes'][1]:,} |\n|---|---|---|",
        *lists,
        "\n## Live\n",
        streamed,
        first_read,
        f"- A submission whose answers are stored: {again['median_ms']} ms (median), {again['p95_ms']} ms (p95).",
    ]
    return "\n".join(parts) + "\n"


def measure(folder: Path, small: int, large: int, seconds: float) -> dict[str, Any]:
    """Fill, measure, compare."""
    found: dict[str, Any] = {"listing": {"sizes": [small, large]}}
    fill(folder / "small", small)
    found["listing"]["small"] = listing(folder / "small")
    say(f"filling a store with {large:,} bisections")
    found["stored"] = fill(folder / "large", large)
    say("listing and searching")
    found["listing"]["large"] = listing(folder / "large")
    found["plans"] = plans(folder / "large")
    say("reading")
    found["reading"] = reading(folder / "large", large, seconds)
    found["rendering"] = rendering(folder / "large", large)
    say("submitting again")
    found["submitting_again"] = submitting_again(folder / "large")
    say("streaming")
    found["streaming"] = streaming(folder / "large", 500)
    found["checks"] = checks(found)
    return found


def say(words: str) -> None:
    print(f"web: {words}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the benchmark and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the rows and of the time")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tfbisect-bench-"))
    try:
        found = measure(folder, 2_000, 2_500 if options.quick else 100_000, 0.5 if options.quick else 3.0)
    finally:
        shutil.rmtree(folder)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "web.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.results / "web.md").write_text(markdown(found))
    print(markdown(found))
    return 0 if all(found["checks"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
