"""What every group of tests shares: leftovers of a run are said at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

GROUPS = {
    "containers": "real containers",
    "local": "real local environments",
    "postgres": "a real PostgreSQL",
    "browser": "a real browser",
    "index": "the real package index",
}


@pytest.fixture(autouse=True)
def logs_of_its_own() -> Iterator[None]:
    """Let no test log where an earlier one had its commands log: that stream is closed by then."""
    yield
    structlog.reset_defaults()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which groups were left out, and why."""
    reasons: dict[str, set[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        for group in GROUPS.keys() & report.keywords.keys():
            reasons.setdefault(group, set()).add(str(report.longrepr[2]).removeprefix("Skipped: "))
    for group, why in sorted(reasons.items()):
        terminalreporter.write_line(f"left out, at least in part: {GROUPS[group]} ({'; '.join(sorted(why))})")
    if not reasons:
        terminalreporter.write_line("no group of tests was left out")
