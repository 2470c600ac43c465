"""Attacks as files: what each expects stands in its first lines, and a run is held against it.

The header is TOML in comments that begin with "#: ", so that one file is read by every Python from 2.7 on:

    #: tries = "a loop without end"
    #: expects = ["timed-out"]            any of these; see `meets`
    #: expects_docker = ["…"]             in this runner instead (docker, bubblewrap)
    #: seconds = 2                        the time limit that the run is given
    #: within = 30                        when the run must be over, by the wall clock
    #: needs = "no network isolation"     a runner that says it lacks this is not asked
    #: ci = true                          among the third that every test run takes
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.bisection.outcomes import RunReport
from service.execution.limits import Limits

HOSTILE = Path(__file__).parent / "hostile"
MARK = "#: "
SECONDS = 20.0
MARGIN_SECONDS = 25.0
"""Beyond its limit a run may take so long to be stopped, on a machine that does other things too."""
EXPRESSION_NAMES: Mapping[str, Any] = {"set": set, "str": str, "len": len}


@dataclass(frozen=True)
class Attack:
    """One hostile snippet and what must come of it."""

    name: str
    source: str
    tries: str
    expects: Sequence[str]
    expects_in: Mapping[str, Sequence[str]]
    seconds: float = SECONDS
    within: float = SECONDS + MARGIN_SECONDS
    needs: str = ""
    ci: bool = False

    def expected(self, runner: str) -> Sequence[str]:
        """Return what may come of it in this runner."""
        return self.expects_in.get(runner, self.expects)


def load_attacks(folder: Path = HOSTILE) -> list[Attack]:
    """Return the attacks of a folder by name.

    Raises:
        ValueError: a file has no header, or one with something in it that is not known; the message names the file.
    """
    return [read_attack(path.stem, path.read_text("utf-8")) for path in sorted(folder.glob("*.py"))]


def read_attack(name: str, source: str) -> Attack:
    """Return the attack of one file."""
    header = "\n".join(line.removeprefix(MARK) for line in source.splitlines() if line.startswith(MARK))
    try:
        said = tomllib.loads(header)
        expects_in = {key.removeprefix("expects_"): said.pop(key) for key in list(said) if key.startswith("expects_")}
        seconds = float(said.pop("seconds", SECONDS))
        within = float(said.pop("within", seconds + MARGIN_SECONDS))
        return Attack(name, source, expects_in=expects_in, seconds=seconds, within=within, **said)
    except (TypeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{name}.py: its first lines must say what it tries and what it expects: {error}") from error


def meets(report: RunReport, expectation: str, limits: Limits) -> bool:
    """Say whether a run ended as expected.

    Args:
        report: the run.
        expectation: an ending (`timed-out`, `exited 3`, `signalled 9`), or of an answer `measured EXPRESSION` over the
            snippet's x, `raised NAME`, or `untestable BEGINNING OF THE REASON`; what follows the first word may be
            left out.
        limits: what expressions call pids, memory (bytes) and tmp_megabytes.
    """
    word, _, rest = expectation.partition(" ")
    if report.ending != "answered":
        number = report.exit_code if report.ending == "exited" else report.signal
        return report.ending == word and rest in ("", str(number))
    result = report.result or {}
    if result.get("kind") != word:
        return False
    match word:
        case "measured":
            return not rest or bool(eval(rest, {"__builtins__": EXPRESSION_NAMES}, names(result, limits)))
        case "raised":
            return rest in ("", result.get("exception"))
        case _:
            return str(result.get("message", "")).startswith(rest)


def names(result: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Return what an expression can name."""
    return {
        "x": result.get("measurements", {}).get("x"),
        "pids": limits.pids,
        "memory": limits.memory_bytes,
        "tmp_megabytes": limits.tmpfs_bytes >> 20,
    }


def seen(report: RunReport, characters: int = 70) -> str:
    """Say in a few words how a run ended."""
    if report.ending != "answered":
        number = report.exit_code if report.ending == "exited" else report.signal
        return report.ending if number is None else f"{report.ending} {number}"
    result = report.result or {}
    told = {
        "measured": lambda: json.dumps(result.get("measurements", {}).get("x")),
        "raised": lambda: str(result.get("exception")),
    }.get(str(result.get("kind")), lambda: str(result.get("message", "")))()
    shown = told if len(told) <= characters else f"{told[:characters]}… ({len(told)} characters)"
    return f"{result.get('kind')} {shown}"


@dataclass(frozen=True)
class Row:
    """What came of one attack in one place."""

    attack: str
    place: str
    expected: str
    seen: str
    seconds: float
    service_cpu_seconds: float
    faults: tuple[str, ...]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, those that are not as expected first said in one line."""
    wrong = [row for row in rows if row.faults]
    head = f"{len(rows)} rows, {len(rows) - len(wrong)} as expected"
    lines = [
        f"{head}{': not ' + ', '.join(f'{row.attack} in {row.place}' for row in wrong) if wrong else ''}.",
        "",
        "| attack | place | expected | seen | seconds | service's CPU seconds | as expected |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        verdict = "; ".join(row.faults) if row.faults else "yes"
        times = f"{row.seconds:.1f} | {row.service_cpu_seconds:.2f}"
        cells = [row.attack, row.place, row.expected, row.seen, times, verdict]
        lines.append("| " + " | ".join(cell if cell is times else escaped(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return a text that stays in its cell of a Markdown table."""
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`").replace("[", "\\[")


@dataclass(frozen=True)
class Usage:
    """What the service's own process holds."""

    descriptors: int
    peak_bytes: int

    @classmethod
    def now(cls) -> Usage:
        """Look, and begin a new peak."""
        status = Path("/proc/self/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
        Path("/proc/self/clear_refs").write_text("5")
        return cls(sum(1 for _ in Path("/proc/self/fd").iterdir()), peak * 1024)


def children_of(process: int) -> list[int]:
    """Return the running processes below a process; those that have ended and wait to be noted do not count."""
    below: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
        except OSError:
            continue
        below.setdefault(int(parent), []).append((int(entry.name), state))
    found: list[int] = []
    waiting = [process]
    while waiting:
        for child, state in below.get(waiting.pop(), ()):
            waiting.append(child)
            found += [child] if state not in "ZX" else []
    return found
