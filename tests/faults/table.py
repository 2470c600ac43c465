"""Rows of faults, run one after the other, and the table of what they did."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.findings import Findings

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
    try:
        findings, broken = fault.run(), ""
    except Exception as error:
        findings = Findings()
        broken = f"{type(error).__name__}: {error}" if str(error) else traceback.format_exc()[-300:]
    return Row(fault, findings, time.monotonic() - started, broken)


def print_rows(faults: Iterable[Fault]) -> list[Row]:
    """Run faults, printing a line as each ends."""
    rows = []
    for fault in faults:
        rows.append(row := tried(fault))
        print(line_of(row), flush=True)
    return rows


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


def summary(rows: Sequence[Row]) -> str:
    """Return the last line: how many did no harm."""
    good = sum(row.is_as_expected for row in rows)
    left_out = sum(bool(row.left_out) for row in rows)
    tail = f"; {left_out} more left out, since this machine lacks what they need" if left_out else ""
    return f"{good} of {len(rows) - left_out} faults did no harm: nothing lost, doubled, orphaned or blamed{tail}"


def write(rows: Sequence[Row], stem: Path) -> None:
    """Write the rows as JSON and as a Markdown table."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    told = {"summary": summary(rows), "rows": [row.as_json() for row in rows]}
    stem.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    head = ["| group | fault | what should happen | lost | doubled | orphaned | blamed | said | |", "|" + "---|" * 9]
    lines = [_markdown(row) for row in rows]
    stem.with_suffix(".md").write_text("\n".join([*head, *lines, "", summary(rows), ""]), encoding="utf-8")


def _markdown(row: Row) -> str:
    found = row.findings
    cells = [row.fault.group, row.fault.name, row.fault.expected]
    # `said` counts words that are missing.
    cells += [str(len(getattr(found, kind))) for kind in KINDS]
    cells.append("as expected" if row.is_as_expected else "; ".join(_complaints(row))[:300])
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
