"""Several aspects in every form: terminal, page, Markdown, JSON, table."""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.bisection.outcomes import RunReport
from service.cli.terminal import verdict_lines
from service.coordination.intake import BisectionRequest
from service.execution.runner import RunRequest
from service.reports.aspect_table import MOST_COLUMNS, aspect_table
from service.reports.foresight import look_ahead
from tests.coordination.test_aspects_of_a_bisection import SOURCE, WITHOUT_DROPOUT, AspectHouse, report
from tests.web.conftest import Served, served
from tests.web.world import TUTORIAL, MadeUpRuns


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served(AspectHouse(tmp_path, MadeUpRuns(report=report))) as running:
        yield running


def until(holds: Callable[[], bool]) -> None:
    for _ in range(300):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")


def test_every_form_shows_the_finding_the_aspects_and_the_difference(service: Served) -> None:
    done = service.bisected(TUTORIAL, probe="behaviour")
    page, text = (service.client.get(f"/b/{done['id']}{end}").text for end in ("", ".md"))
    terminal = "\n".join(line.plain for line in verdict_lines(done["verdict"], frozenset({"drops"})))
    for shown in (page, text, terminal):
        for name in ("dropout", "ends", "prints", "trains"):
            assert name in shown
        assert "begins in b" in shown
        assert "fit epoch 1 loss: 0.5" in shown
        assert "sha256:" not in shown
        assert "are shortened to 3 epochs of 16 batches" in shown
    assert "In 1.12.0: fit epoch 1 loss rises" in terminal
    assert 'class="cell tone-good state-measured" id="cell-1.9.0"' in page, "the timeline is the leading aspect's"


def test_a_running_bisection_shows_its_aspects_as_far_as_they_are_known(tmp_path: Path) -> None:
    named: list[str] = []

    def held_half_way(request: RunRequest) -> RunReport | None:
        if request.probe_source != SOURCE:
            named.append(request.target.release)
            if len(named) == 4:
                runs.gate.clear()
        return report(request)

    runs = MadeUpRuns(report=held_half_way)
    with served(AspectHouse(tmp_path, runs)) as service:
        name = service.submit(TUTORIAL, probe="behaviour")["id"]
        worker = threading.Thread(target=service.world.work_off)
        worker.start()
        try:
            until(lambda: len(service.client.get(f"/api/v1/bisections/{name}").json()["observations"]) > 15)
            until(lambda: '<th scope="row">dropout</th>' in service.client.get(f"/b/{name}").text)
            page = service.client.get(f"/b/{name}").text
            assert 'data-status="running"' in page
            assert "So far: " in page
            for aspect in ("ends", "prints", "trains"):
                assert f'<th scope="row">{aspect}</th>' in page
            assert "never-drops" in page, "the timeline is already the leading aspect's"
            assert "So far: Dropout: introduced in 1.11.0" in service.client.get("/").text
        finally:
            runs.gate.set()
            worker.join()
        assert 'data-status="done"' in service.client.get(f"/b/{name}").text


def test_the_runs_of_a_named_probe_are_read_by_its_own_rule(service: Served) -> None:
    done = service.bisected(TUTORIAL, probe="behaviour")
    by_track = {run["variant"]: run["outcome"] for run in done["observations"] if run["release"] == "1.11.0"}
    assert by_track == {"": "passes", "probe dropout": "never-drops"}
    rows = list(csv.DictReader(io.StringIO(service.client.get(f"/b/{done['id']}.csv").text)))
    assert {row["outcome"] for row in rows if row["release"] == "1.11.0"} == {"passes", "never-drops"}
    assert service.client.get(f"/b/{done['id']}/r/1.11.0?variant=probe+dropout").status_code == 200


def test_the_colours_of_the_timeline_are_those_of_the_leading_aspect(service: Served) -> None:
    done = service.bisected(TUTORIAL, probe="behaviour")
    lines = verdict_lines(done["verdict"], frozenset({"passes"}))
    first = next(line for line in lines if "1.9.0" in line.plain)
    assert {str(span.style) for span in first.spans} >= {"green"}


def test_the_estimate_counts_two_looks_at_every_release_and_the_named_probes_beside(service: Served) -> None:
    def runs(snippet: str, **more: Any) -> int:
        asked = BisectionRequest(snippet=snippet, releases="1.9..1.14", **more)
        return look_ahead(service.world.intake, asked, {}, simulate=True).runs_at_least

    one = runs(TUTORIAL, probe="dropout")
    assert runs(WITHOUT_DROPOUT) == 2 * one
    assert runs(WITHOUT_DROPOUT, repeats=4) == 4 * one
    assert runs(TUTORIAL) == 3 * one
    assert runs(TUTORIAL, probe="dropout", variants=("input-shape",)) == 2 * one


def test_a_list_of_releases_says_what_it_passed_over(service: Served) -> None:
    done = service.bisected(TUTORIAL, probe="dropout", releases="1.9.0,1.10.0,1.12.0,1.14.0")
    change = done["verdict"]["changes"][0]
    assert (change["before"], change["after"], change["not_asked"]) == ("1.10.0", "1.12.0", ["1.11.0"])
    assert change["between"] == ["1.11.0"]
    assert "introduced between 1.10.0 and 1.12.0 (1.11.0 not asked)" in done["verdict"]["summary"].lower()
    assert "Not asked: 1.10.1, 1.11.0, " in done["verdict"]["coverage"]["statement"]
    assert "not asked: 1.11.0" in service.client.get(f"/b/{done['id']}").text


def test_equal_letters_stand_for_equal_behaviour_and_a_long_history_is_cut_to_its_changes() -> None:
    releases = [f"1.{minor}.0" for minor in range(MOST_COLUMNS + 6)]
    segments = [
        {"line": "mainline", "outcome": outcome, "measured": releases[first:last], "inferred": []}
        for outcome, first, last in (("as in 1.0.0", 0, 5), ("as in 1.5.0", 5, 9), ("as in 1.0.0", 9, len(releases)))
    ]
    change = {"kind": "changed", "line": "mainline", "old": "", "new": ""}
    changes = [{**change, "before": releases[at - 1], "after": releases[at]} for at in (5, 9)]
    aspect = {"name": "prints", "segments": segments, "changes": changes, "drifts": False, "unsteady": False}
    table = aspect_table({"aspects": [aspect], "leading": "prints"})
    assert table is not None
    assert table.releases == ("1.0.0", "1.4.0", "1.5.0", "1.8.0", "1.9.0", releases[-1])
    assert table.rows[0].letters == ("A", "A", "B", "B", "A", "A")
    assert table.rows[0].note == "changed in 1.5.0, changed in 1.9.0"
