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


BESIDE_THE_ENGINE = {"deployment", "execution", "faults", "images", "main_job", "soak"}
"""Folders whose tests start containers, environments or services, or look at what those leave."""


def is_beside_the_engine(item: pytest.Item) -> bool:
    """Say whether a test uses the machine in a way that another such test could disturb."""
    return item.path.parent.name in BESIDE_THE_ENGINE or any(map(item.get_closest_marker, ("containers", "local")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process take all that is beside the engine, which is the longest, first; others share the files."""
    for item in items:
        group = "engine" if is_beside_the_engine(item) else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=is_beside_the_engine, reverse=True)


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
