"""What every group of tests shares: leftovers of a run are said at its end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

# What a change comes from is asked in tests of its own: elsewhere it would add runs and images to each change.
os.environ.setdefault("TFBISECT_BRIDGES", "false")
os.environ.setdefault("TFBISECT_CAUSES", "false")

GROUPS = {
    "containers": "real containers",
    "local": "real local environments",
    "postgres": "a real PostgreSQL",
    "browser": "a real browser",
    "index": "the real package index",
}


TOGETHER = {
    "images": (
        "behaviour/",
        "cli/test_walls.py",
        "deployment/",
        "execution/test_real_release.py",
        "images/",
        "main_job/",
        "nightly/test_real_nights.py",
        "web/test_end_to_end.py",
    ),
    "runs": ("execution/", "faults/", "probes/test_dropout_releases.py", "soak/"),
}
"""Tests that stay in one process, since one could disturb another: what builds images or looks at those that are
there, and what makes runs or looks at what they leave."""


class Sharing(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process tests that stay together: the largest such groups first, then file by file."""

    def _split_scope(self, nodeid: str) -> str:
        """Return what stays in one process."""
        file = nodeid.partition("::")[0]
        within = file.removeprefix("tests/")
        return next((name for name, places in TOGETHER.items() if within.startswith(places)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing:
    """Share tests so; `--dist loadscope` asks for it."""
    return Sharing(config, log)


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
