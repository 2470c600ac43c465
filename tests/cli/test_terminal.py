"""What a terminal shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bisection.outcomes import RunReport
from service.cli.terminal import shortened, unknown_lines, verdict_lines
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.execution.runner import RunRequest
from tests.web.world import TUTORIAL, MadeUpRuns, World


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[list[str]]:
    world = World(tmp_path)
    request = BisectionRequest(snippet=TUTORIAL, probe="dropout", releases="1.9..1.14")
    verdict = world.submission.run(request, Silent(), ready=lambda: None).verdict
    assert verdict is not None
    yield [line.plain.rstrip() for line in verdict_lines(verdict, frozenset({"drops"}))]
    world.close()


def test_the_timeline_names_each_change_beside_its_release(shown: list[str]) -> None:
    assert shown[:6] == [
        "  mainline    1.9.0       ● drops",
        "              1.10.0      ● drops",
        "            ▶ 1.11.0      ● never-drops       introduced in 1.11.0",
        "              1.12.0      ● never-drops",
        "            ▶ 1.13.1      ● drops             fixed in 1.13.1",
        "              1.14.0      ● drops",
    ]


def test_branches_hang_below_without_repeating_the_mainline(shown: list[str]) -> None:
    assert shown[6:10] == [
        "  1.10        1.10.1      ● drops",
        "  1.12        1.12.2      ○ never-drops       inferred",
        "              1.12.3      ● never-drops",
        "  1.13        1.13.2      ● drops",
    ]


def test_what_was_run_and_what_was_reused_is_said(shown: list[str]) -> None:
    assert re.match(r"Runs: \d+ executed, 0 reused, 0 lost \(runner: docker\)\.", shown[-1])


def test_an_outcome_whose_label_does_not_tell_is_shown_by_what_is_behind_it(tmp_path: Path) -> None:
    def report(request: RunRequest) -> RunReport:
        name = "batch_normalization" + ("_v1" if request.target.release.startswith("1.13") else "")
        measurements = {"parameters": dict(request.parameters), "exit_code": 0, "output": f"1.2.3\n{name}\n"}
        return RunReport("answered", result={"kind": "measured", "measurements": measurements}, runner="docker")

    world = World(tmp_path, MadeUpRuns(report=report))
    request = BisectionRequest(snippet="x", probe="script", parameters={"judge_by": "output"}, releases="1.12..1.13")
    verdict = world.submission.run(request, Silent(), ready=lambda: None).verdict
    world.close()
    assert verdict is not None
    lines = [line.plain.rstrip() for line in verdict_lines(verdict, frozenset())]
    after = lines.index(f"{verdict['changes'][0]['new']}, as in 1.13.1:")
    assert lines[after + 1 : after + 3] == ["    <version>", "    batch_normalization_v1"]
    assert lines[after + 3] == "    replaced: '1.2.3' -> <version>"
    assert all("  changed in" in line for line in lines if line.startswith("            ▶"))


def test_a_long_outcome_fits_its_row_and_differs_by_its_end() -> None:
    long = "raises:ValueError: This model has never been called, thus its weights have not yet been... 0b6397"
    assert shortened(long) == "raises:ValueError: This model has never … 0b6397"
    assert shortened("never-drops") == "never-drops"


def test_a_reason_that_many_releases_share_is_said_once() -> None:
    gaps = [{"release": release, "reason": "the disk is full"} for release in ("1.9.0", "1.10.0")]
    lines = [line.plain for line in unknown_lines({"untestable": [*gaps, {"release": "1.13.0", "reason": "no wheel"}]})]
    assert [line.partition(" ")[2] for line in lines] == [
        "1.9.0 and 1.10.0 untestable: the disk is full",
        "1.13.0 untestable: no wheel",
    ]
