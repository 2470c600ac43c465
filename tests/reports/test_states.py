"""Every state of a release has its sign, its word and its colour in every form of the answer."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image, ImageColor
from rich.console import Console
from rich.style import Style

import service
from service.bisection.outcomes import Answer, Outcome, Untestable
from service.bisection.planner import Policy, current_verdict
from service.bisection.releases import tree_of
from service.bisection.verdict import to_json
from service.cli.terminal import LiveProgress, verdict_lines
from service.reports.markdown import release_table
from service.reports.states import PLACES, STATES, State
from service.reports.timeline import Knowledge, Timeline, timeline_of
from service.web.pages.share_card import GROUND, MARGIN, RAIL_HEIGHT, RAIL_TOP, paler, share_card
from service.web.templating import Pages

RELEASES: dict[str, list[Answer]] = {
    "1.0.0": [Outcome("drops")] * 2,
    "1.1.0": [Untestable("no wheel")],
    "1.2.0": [],
    "1.3.0": [Outcome("drops")] * 2,
    "1.4.0": [],
    "1.5.0": [],
}
STATE_OF: dict[str, State] = {
    "1.0.0": "measured",
    "1.1.0": "untestable",
    "1.2.0": "inferred",
    "1.3.0": "measured",
    "1.4.0": "running",
    "1.5.0": "not_run",
}
"""What the answers above make of each release while 1.4.0 runs."""


@pytest.fixture
def verdict() -> dict[str, Any]:
    known = current_verdict(tree_of(RELEASES), RELEASES, Policy(expected=frozenset({"drops"}), resolution=9))
    facts = {"id": "ID", "runner": "none", "summary": "S"}
    return {**to_json(known), **facts}


@pytest.fixture
def timeline(verdict: dict[str, Any]) -> Timeline:
    tree = tree_of(RELEASES)
    drawn = timeline_of(verdict, Knowledge(tree=tree, running=["1.4.0"], expected={"drops"}, outcomes=("drops",)))
    assert {step.cell.release: step.cell.state for step in drawn.steps} == STATE_OF
    return drawn


def test_the_world_of_these_tests_has_every_state() -> None:
    assert set(STATE_OF.values()) == set(STATES) == set(get_args(State))


def test_signs_and_words_differ_so_that_nothing_hangs_on_colour() -> None:
    for each in ("word", "sign", "means"):
        assert len({getattr(shown, each) for shown in STATES.values()}) == len(STATES)
    for shown in STATES.values():
        assert len(shown.sign) == 1
        Style.parse(shown.style or "none")
        assert shown.colour == "" or re.fullmatch(r"#[0-9a-f]{6}", shown.colour)


@pytest.mark.parametrize(("release", "state"), STATE_OF.items())
def test_markdown_has_the_sign_and_the_word(timeline: Timeline, release: str, state: State) -> None:
    row = next(row for row in release_table(timeline).splitlines() if f" {release} |" in row)
    assert f"| {STATES[state].sign} {STATES[state].word} |" in row


@pytest.mark.parametrize("state", STATES)
def test_the_page_has_the_word_in_cell_and_legend_and_a_shape_for_it(timeline: Timeline, state: State) -> None:
    name = f"state-{state.replace('_', '-')}"
    pages = Pages(Nowhere())  # type: ignore[arg-type]  # only `url` is asked
    source = '{% import "timeline.html" as t with context %}{{ t.draw(timeline, "/b/ID") }}{{ t.legend(timeline, {}) }}'
    page = pages._environment.from_string(source).render(timeline=timeline)
    assert re.search(rf'class="cell [^"]*{name}"[^\n]*<span class="state">{STATES[state].word}</span>', page)
    assert re.search(rf'title="{STATES[state].means}"><span class="key {name}"', page)
    css = (Path(service.__file__).parent / "web/static/app.css").read_text()
    assert re.search(rf"(^|[ ,}}\n])\.{name} \.dot", css), f"app.css draws no dot for {name}"


class Nowhere:
    def url(self, name: str) -> str:
        return f"/static/{name}"


@pytest.mark.parametrize(("release", "state"), STATE_OF.items())
def test_a_picture_shows_what_was_measured_in_full_height_and_all_else_thin_and_paler(
    timeline: Timeline, release: str, state: State
) -> None:
    picture = Image.open(io.BytesIO(share_card("title", "below", timeline)))
    cells = [column.step.cell for column in timeline.columns]
    place = [cell.release for cell in cells].index(release)
    x = MARGIN + (picture.width - 2 * MARGIN) * (place + 0.5) / len(cells)
    at_the_edge, in_the_middle = (picture.getpixel((round(x), RAIL_TOP + y)) for y in (2, RAIL_HEIGHT // 2))
    assert (at_the_edge != ImageColor.getrgb(GROUND)) == (state == "measured")
    assert state == "measured" or in_the_middle == paler(cells[place])


@pytest.mark.parametrize(("release", "state"), [item for item in STATE_OF.items() if item[1] != "running"])
def test_a_terminal_has_the_sign_the_word_and_the_colour(verdict: dict[str, Any], release: str, state: State) -> None:
    lines = [line for line in verdict_lines(verdict, frozenset({"drops"})) if release in line.plain]
    shown = STATES[state]
    assert any(shown.sign in line.plain for line in lines)
    assert state == "measured" or any(shown.word in line.plain for line in lines)
    styles = {str(span.style) for line in lines for span in line.spans} | {str(line.style) for line in lines}
    assert (shown.style or "green") in styles


def test_a_terminal_shows_what_runs_with_sign_word_and_colour() -> None:
    shown = STATES["running"]
    written = io.StringIO()
    live = LiveProgress(Console(file=written, force_terminal=True, color_system="standard", width=80))
    live.running("", "1.4.0")
    live._console.print(live._table())
    assert re.search(rf"1\.4\.0.*\x1b\[36m{shown.sign}.*{shown.word}", written.getvalue())
    assert shown.style == "cyan"  # which is 36


@pytest.mark.parametrize(("release", "state"), STATE_OF.items())
def test_json_names_the_state(verdict: dict[str, Any], release: str, state: State) -> None:
    verdict = json.loads(json.dumps(verdict))
    named = {each["release"] for each in verdict["untestable"]} if state == "untestable" else set()
    named |= {each for segment in verdict["segments"] for each in segment.get(state, ())} if state in PLACES else set()
    named |= set(verdict["not_run"]) if state in {"not_run", "running"} else set()
    assert release in named
