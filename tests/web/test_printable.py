"""What strangers write, in every place where it is shown."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from service.bisection.outcomes import RunReport
from service.cli.console import PrintableConsole
from service.cli.terminal import PlainProgress, verdict_lines
from service.execution.runner import RunRequest
from service.printable import in_cell, in_code_block, in_code_span, in_markdown, printable
from service.web.pages.badges import badge
from tests.fuzzing import at_most, within_budget
from tests.web.conftest import Served
from tests.web.world import TUTORIAL, MadeUpRuns, dropout_report

MARKS = "`~*_[]()<>|\\#@&;$!-+.=>:/\"' \t\n\r\x1b\x07\u202e\u2066\u200b\ufeff\x9b\x00\u2028"
TEXTS = st.text(st.one_of(st.sampled_from(MARKS + "ab1"), st.characters()), max_size=40)
HOSTILE = "a\nb\x1b[31m\u202egpj\x9b`x`|\\n"
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
FUZZ = at_most(300)
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@pytest.mark.parametrize(
    ("text", "line", "lines"),
    [
        ("plain é 漢字 \u00a0", "plain é 漢字 \u00a0", "plain é 漢字 \u00a0"),
        ("a\nb\tc", "a\\nb\\tc", "a\nb\tc"),
        ("a\r\nb\rc", "a\\r\\nb\\rc", "a\nb\\rc"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07", "\\x1b[31mred\\x07"),
        ("\u202etxt\u2066", "\\u202etxt\\u2066", "\\u202etxt\\u2066"),
        ("\u2028\ud800\U000e0001", "\\u2028\\ud800\\U000e0001", "\\u2028\\ud800\\U000e0001"),
        ("", "", ""),
    ],
)
def test_every_character_is_seen_and_none_does_anything(text: str, line: str, lines: str) -> None:
    assert printable(text) == line
    assert printable(text, lines=True) == lines


@FUZZ
@given(text=TEXTS)
@within_budget
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    once = printable(text)
    assert not UNSEEN.search(once)
    assert "\n" not in once
    assert printable(once) == once
    once.encode()


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@sum", " =1", "\uff1d1"])
def test_a_spreadsheet_takes_nothing_for_a_formula(text: str) -> None:
    assert in_cell(text) == "'" + text
    assert in_cell("-1.5 2e-3") == "-1.5 2e-3"
    assert in_cell("\t=1\r\n") == "\\t=1\\r\\n"


@FUZZ
@given(text=TEXTS)
@within_budget
def test_a_cell_is_one_line_of_text(text: str) -> None:
    written = io.StringIO()
    csv.writer(written).writerow([in_cell(text), "next"])
    assert written.getvalue().count("\r\n") == 1
    ((cell, beside),) = csv.reader(io.StringIO(written.getvalue()))
    assert beside == "next"
    assert cell.removeprefix("'") == printable(text).removeprefix("'")


def inline(markdown: str) -> list[Token]:
    """Return what stands in the one paragraph of a text."""
    opening, content, closing = MARKDOWN.parse(f"{markdown}\n")
    assert (opening.type, content.type, closing.type) == ("paragraph_open", "inline", "paragraph_close")
    return content.children or []


@FUZZ
@given(text=TEXTS)
@within_budget
def test_a_text_in_markdown_is_read_as_it_stands(text: str) -> None:
    written = in_markdown(text)
    if not written:
        assert not text.split()
        return
    tokens = inline(written)
    assert {token.type for token in tokens} <= {"text", "text_special"}
    read = "".join(token.content for token in tokens)
    assert read.replace("\u200b", "") == printable(" ".join(text.split()))


@FUZZ
@given(text=TEXTS.filter(bool))
@within_budget
def test_a_code_span_holds_its_text_and_nothing_else(text: str) -> None:
    tokens = [token for token in inline(f"a {in_code_span(text)} b") if token.content]
    assert [token.type for token in tokens] == ["text", "code_inline", "text"]
    assert tokens[1].content == printable(text)


@FUZZ
@given(text=TEXTS.filter(bool))
@within_budget
def test_a_code_span_in_a_table_keeps_to_its_cell(text: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| {in_code_span(text, in_table=True)} | end |\n"
    cells = [token for token in MARKDOWN.parse(table) if token.type == "inline"]
    assert [cell.content for cell in cells[:2]] == ["a", "b"]
    (only,) = [token for token in cells[2].children or [] if token.content]
    assert (only.type, only.content) == ("code_inline", printable(text))
    assert [cell.content for cell in cells[3:]] == ["end"]


@FUZZ
@given(text=TEXTS)
@within_budget
def test_a_code_block_holds_its_lines_and_nothing_else(text: str) -> None:
    (block,) = MARKDOWN.parse(in_code_block(text, "python"))
    assert (block.type, block.info) == ("fence", "python")
    assert block.content.rstrip("\n") == printable(text, lines=True).rstrip()


def test_a_mention_in_markdown_calls_nobody() -> None:
    assert in_markdown("ask @all") == "ask @\u200ball"


def labelled(request: RunRequest) -> RunReport:
    """Return a run that raises an exception of a hostile name where Dropout was broken."""
    good = dropout_report(request)
    if request.target.release not in ("1.11.0", "1.12.0"):
        return good
    result = {"kind": "raised", "exception": HOSTILE, "message": HOSTILE, "where": "model"}
    return RunReport(
        "answered", result=result, exit_code=0, output=HOSTILE, runner="docker", python="3.6", device="cpu"
    )


@pytest.fixture
def hostile(service_with: Callable[..., Served]) -> tuple[Served, str]:
    service = service_with(MadeUpRuns(report=labelled))
    return service, str(service.bisected(TUTORIAL)["id"])


def test_a_hostile_label_does_nothing_anywhere(hostile: tuple[Served, str]) -> None:
    service, bisection = hostile
    verdict = service.client.get(f"/api/v1/bisections/{bisection}").json()["verdict"]
    assert any("\x1b" in change["new"] for change in verdict["changes"]), "the label is as the snippet wrote it"
    for path in ("", ".md", ".csv", ".svg", "/live", "/r/1.11.0"):
        answer = service.client.get(f"/b/{bisection}{path}")
        assert answer.status_code == 200, path
        assert not UNSEEN.search(answer.text.replace("\r\n", "\n").replace("@\u200b", "")), path
    assert not UNSEEN.search(service.client.get("/").text)
    for path in (".svg",):
        ET.fromstring(service.client.get(f"/b/{bisection}{path}").text)
    rows = list(csv.DictReader(io.StringIO(service.client.get(f"/b/{bisection}.csv").text)))
    assert len(rows) == len(service.client.get(f"/api/v1/bisections/{bisection}").json()["observations"])


def test_a_hostile_label_is_text_on_a_terminal(hostile: tuple[Served, str]) -> None:
    service, bisection = hostile
    verdict = service.client.get(f"/api/v1/bisections/{bisection}").json()["verdict"]
    written = io.StringIO()
    console = PrintableConsole(file=written, force_terminal=True, color_system="truecolor", width=200)
    for line in verdict_lines(verdict, frozenset({"drops"})):
        console.print(line)
    console.print(HOSTILE, markup=False)
    PlainProgress(written)._say(HOSTILE)
    without_colours = re.sub(r"\x1b\[[\d;]*m", "", written.getvalue())
    assert not UNSEEN.search(without_colours)
    assert "\\x1b[31m" in without_colours


def test_a_form_shows_again_what_was_typed_to_the_letter(service: Served) -> None:
    typed = "text = '\u202e\u200d'\nmodel = nothing(\n"
    page = service.client.post("/", data={"snippet": typed, "releases": "1.9"}).text
    assert "\u202e\u200d" in page.partition('name="snippet"')[2].partition("</textarea>")[0]


def test_a_picture_is_well_formed_whatever_stands_in_it() -> None:
    ET.fromstring(badge(HOSTILE, f"\x00{HOSTILE}]]>", "#fff"))
