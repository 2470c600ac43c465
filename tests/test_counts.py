"""A count and its noun agree: 1 run, 2 runs. Texts write them with `counted`, or are listed here with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from service.bisection.words import counted
from service.resources import resource_dir

NOUNS = (
    "run release night package image line minute second hour day bisection change file row attempt minor stream worker "
    "message answer item name field range word letter value"
)
PLURALS = "|".join(f"{noun}s" for noun in NOUNS.split())
COUNT_BEFORE_PLURAL = re.compile(rf"(?:\}}|%d)(?:</\w+>)? (?:(?!of\b)[a-z]+ )?(?:{PLURALS})\b")
NEVER_ONE = {
    "one has words of its own": [
        "all {coverage.measured} releases",
        "none of the {len(verdict.gaps)} releases",
        "{coverage.considered} releases",
        "all {releases} releases that were",
        "all {forecast.total} images",
        "{whole} seconds",
        "{round(seconds / 60)} minutes",
        "{seconds / 3600:.1f} hours",
    ],
    "more than the most that is allowed, or than fits": [
        "lists {len(files)} files",
        "{len(file.filename)} letters",
        "{len(spans)} ranges",
        "{len(words)} words",
        "{len(missing)} names",
        "{{ values|length }} values in total",
    ],
    "a constant": [
        "{MISSING_FOR.seconds // 60} minutes",
        "{ATTEMPTS_AT_MOST} attempts",
        "{VALUES} names",
        "%d + %d rows",
    ],
    "a release is unstable from two runs on": ["{flaky.runs} runs"],
    "no count": [
        "{branch.line} patch releases",
        "{name} some releases",
        "{id} answers",
        "{system} containers",
        "{target.hardware} runs",
        "{number} names",
        '{"expect": values}',
        '{"attempts": 0}',
    ],
}
KNOWN = [text for texts in NEVER_ONE.values() for text in texts]


def bare_counts() -> Iterator[str]:
    """Yield the lines of the program in which a plural follows a number, whatever the number is."""
    probes = resource_dir("probes")
    for path in sorted([*probes.rglob("*"), *(probes.parent / "service").rglob("*")]):
        if path.suffix in {".py", ".html", ".js"} and "vendor" not in path.parts:
            yield from (f"{path.name}: {line.strip()}" for line in _bare(path))


def _bare(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if COUNT_BEFORE_PLURAL.search(line) and not any(text in line for text in KNOWN)]


def test_every_text_that_counts_knows_the_singular() -> None:
    assert list(bare_counts()) == []


def test_a_count_has_its_noun_in_the_right_number() -> None:
    said = [counted(number, "run") for number in (0, 1, 2)]
    assert [*said, counted(1, "library", "libraries"), counted(2, "library", "libraries")] == [
        "0 runs",
        "1 run",
        "2 runs",
        "1 library",
        "2 libraries",
    ]
