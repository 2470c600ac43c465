"""`make faults`: every way that a service of this kind breaks, for real, and a table of what came of it.

python -m tests.faults [--only WORDS] [--list] [--stride N] [--resume]
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable, Iterator, Set
from contextlib import ExitStack
from pathlib import Path

from tests.faults import databases, engines, kills, surroundings
from tests.faults.findings import Findings
from tests.faults.table import Fault, Row, good_before, is_good, line_of, rows_of, summary, write
from tests.faults.world import temporary_folder

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "faults"


def main() -> int:
    """Run the rows that are asked for; exit code 1 where one is not as expected."""
    asked = _asked()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("template"))
        wanted = (fault for fault in _all_faults(stack, folder, asked) if _is_wanted(fault, asked.only))
        if asked.list:
            for fault in wanted:
                print(f"{fault.group:<12} {fault.name}")
            return 0
        rows: list[Row] = []
        for row in rows_of(_pending(wanted, good_before(RESULTS) if asked.resume else set(), rows)):
            rows.append(row)
            print(line_of(row), flush=True)
            if not asked.only:
                write(rows, RESULTS, whole=False)  # what ends this in the middle leaves a table of what was run
    print(summary(rows))
    if not asked.only:
        write(rows, RESULTS)
        print(f"written to {RESULTS}.md and .json")
    return 0 if is_good(rows) else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", default="", help="rows whose group or name contains these words")
    parser.add_argument("--list", action="store_true", help="name the rows and run none")
    parser.add_argument("--resume", action="store_true", help="keep rows that the last table has as expected")
    parser.add_argument("--stride", type=int, default=1, help="kill in place of every N-th write of a bisection")
    return parser.parse_args()


def _pending(wanted: Iterable[Fault], kept: Set[tuple[str, str]], rows: list[Row]) -> Iterator[Fault]:
    """Yield what is still to be run; what an earlier run did goes to the rows in its place."""
    for fault in wanted:
        if (fault.group, fault.name) in kept:
            rows.append(Row(fault, Findings(), 0.0))
        else:
            yield fault


def _all_faults(stack: ExitStack, folder: Path, asked: argparse.Namespace) -> Iterator[Fault]:
    yield from kills.faults()
    yield from databases.faults()
    yield from surroundings.faults(stack)
    yield from engines.faults(stack)
    if not asked.only or "write" in asked.only:
        yield from kills.faults_at_writes(folder, asked.stride)


def _is_wanted(fault: Fault, words: str) -> bool:
    return words in f"{fault.group} {fault.name}"


if __name__ == "__main__":
    sys.exit(main())
