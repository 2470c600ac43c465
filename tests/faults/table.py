"""Rows of faults, run one after the other, and the table of what they did."""

from __future__ import annotations

import json
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.faults.findings import Findings

ROW_SECONDS = 900.0
"""How long a row may take; the longest waits three times for a bisection to end."""
KINDS = ("lost", "doubled", "orphaned", "blamed", "said")


class LeftOut(Exception):
    """This machine has not what a fault needs."""


@dataclass(frozen=True)
class Fault:
    """One way to break the world."""

    group: str
    name: str
    run: Callable[[], Findings]
    expected: str
    """What the service should do about it, in words."""
    fast: bool = False
    """Whether it is one of the ordinary tests too."""
    alone: bool = True
    """Whether nothing else may run beside it: what it does takes the machine's time, or hangs on that."""


@dataclass(frozen=True)
class Row:
    """What one fault did."""

    fault: Fault
    findings: Findings
    seconds: float
    broken: str = ""
    """Why the row itself could not be told."""
    left_out: str = ""
    """What this machine lacks for it."""

    @property
    def is_as_expected(self) -> bool:
        """Say whether the fault did no harm."""
        return not self.broken and not self.left_out and not self.findings.any

    def as_json(self) -> dict[str, object]:
        """Return the row for the file of results."""
        found = {kind: getattr(self.findings, kind) for kind in KINDS}
        told = {"group": self.fault.group, "fault": self.fault.name, "expected": self.fault.expected}
        return {**told, **found, "broken": self.broken, "left_out": self.left_out, "as_expected": self.is_as_expected}


def tried(fault: Fault) -> Row:
    """Run one fault and return its row, whatever happens."""
    started = time.monotonic()
    findings, broken, missing = Findings(), "", ""
    try:
        with _deadline():
            findings = fault.run()
    except LeftOut as reason:
        missing = str(reason)
    except Exception as error:
        broken = f"{type(error).__name__}: {error}" if str(error) else traceback.format_exc()[-300:]
    return Row(fault, findings, time.monotonic() - started, broken, missing)


@contextmanager
def _deadline() -> Iterator[None]:
    """End a row that hangs, so that the others are run without anybody who looks; only the main thread can be ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_: object) -> None:
        raise TimeoutError(f"not over after {ROW_SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, ROW_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def rows_of(faults: Iterable[Fault], at_once: int = 2) -> Iterator[Row]:
    """Run faults and yield the row of each in their order; those that may, several at once."""
    for alone, several in groupby(faults, lambda fault: fault.alone):
        if alone:
            yield from map(tried, several)
        else:
            with ThreadPoolExecutor(at_once) as pool:
                yield from pool.map(tried, several)


def line_of(row: Row) -> str:
    """Return one line of the table, and below it what was found."""
    sign = "ok " if row.is_as_expected else "---" if row.left_out else "NOT"
    counts = " ".join(f"{kind} {len(getattr(row.findings, kind))}" for kind in KINDS)
    head = f"{sign} {row.seconds:6.1f} s  {row.fault.group:<12} {row.fault.name:<66} {counts}"
    return "\n".join([head, *(f"      {words}" for words in _complaints(row))])


def _complaints(row: Row) -> list[str]:
    """Return what is not as expected, in words."""
    missing = f"left out: {row.left_out}" if row.left_out else ""
    return [words for words in (*row.findings.any, row.broken, missing) if words]


def is_good(rows: Sequence[Row]) -> bool:
    """Say whether something was tried and no fault did harm."""
    tried_rows = [row for row in rows if not row.left_out]
    return bool(tried_rows) and all(row.is_as_expected for row in tried_rows)


def summary(rows: Sequence[Row], *, whole: bool = True) -> str:
    """Return the last line: how many did no harm, and whether that is all that was to be run."""
    good = sum(row.is_as_expected for row in rows)
    left_out = sum(bool(row.left_out) for row in rows)
    tail = f"; {left_out} more left out, since this machine lacks what they need" if left_out else ""
    tail += "" if whole else "; broken off, and the others were not run"
    return f"{good} of {len(rows) - left_out} faults did no harm: nothing lost, doubled, orphaned or blamed{tail}"


def good_before(stem: Path) -> set[tuple[str, str]]:
    """Return group and name of each row that a table has as expected; none where there is no table."""
    file = stem.with_suffix(".json")
    told = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    return {(row["group"], row["fault"]) for row in told if row["as_expected"]}


def write(rows: Sequence[Row], stem: Path, *, whole: bool = True) -> None:
    """Write the rows as JSON and as a Markdown table."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    last = summary(rows, whole=whole)
    told = {"summary": last, "rows": [row.as_json() for row in rows]}
    stem.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    head = ["| group | fault | what should happen | lost | doubled | orphaned | blamed | said | |", "|" + "---|" * 9]
    lines = [_markdown(row) for row in rows]
    stem.with_suffix(".md").write_text("\n".join([*head, *lines, "", last, ""]), encoding="utf-8")


def _markdown(row: Row) -> str:
    found = row.findings
    cells = [row.fault.group, row.fault.name, row.fault.expected]
    # `said` counts words that are missing.
    cells += [str(len(getattr(found, kind))) for kind in KINDS]
    cells.append("as expected" if row.is_as_expected else "; ".join(_complaints(row))[:300])
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
