"""What a result looks like on a terminal of 80 columns, and what takes gigabytes says so before."""

from __future__ import annotations

import io
from typing import Any

import pytest
import typer
from rich.text import Text
from typer.testing import CliRunner

from service.catalog.targets import Target
from service.cli import console, notice
from service.cli.app import app
from service.cli.console import PrintableConsole
from service.cli.notice import Takes, announce
from service.cli.terminal import PlainProgress, aspect_lines
from service.images.progress import BuildProgress

RELEASES = [f"2.{minor}.0" for minor in range(14)]
NAMES = ["dropout", "predicts", "tests/models/test_dropout_of_all_layers.py::test_that_it_drops_in_training"]
SAID = (
    "In 1.11.0 two things change: dropout: never-drops, training behaves like inference; saved as .h5 and loaded is "
    "new: raises NotImplementedError."
)


def aspect(name: str) -> dict[str, Any]:
    segment = {"line": "mainline", "outcome": "drops", "measured": RELEASES, "inferred": []}
    return {"name": name, "segments": [segment], "changes": [], "drifts": False, "unsteady": True, "differences": []}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Make standard output a terminal of 80 columns."""
    written = io.StringIO()
    shown = PrintableConsole(
        file=written, force_terminal=True, width=80, soft_wrap=True, highlight=False, color_system=None
    )
    monkeypatch.setattr(console, "out", shown)
    return written


def test_a_long_line_breaks_between_words_and_keeps_its_indent(terminal: io.StringIO) -> None:
    console.tell(Text(f"    {SAID}"))
    lines = terminal.getvalue().splitlines()
    assert all(len(line) <= 80 and line.startswith("    ") for line in lines)
    assert [word for line in lines for word in line.split()] == SAID.split()


def test_a_line_for_a_program_stays_a_line() -> None:
    ended = CliRunner().invoke(app, ["doctor", "--settings"], env={"COLUMNS": "80"})
    said = next(line for line in ended.stdout.splitlines() if "TFBISECT_CATALOG_MAX_AGE_SECONDS" in line)
    assert said.startswith("TFBISECT_CATALOG_MAX_AGE_SECONDS = ")


def test_the_table_of_aspects_fits_and_no_release_is_cut() -> None:
    verdict = {"aspects": [aspect(name) for name in NAMES], "leading": "dropout"}
    lines = [line.plain.rstrip() for line in aspect_lines(verdict, 80)]
    letters = [line for line in lines if "A  " in line or "2.0.0" in line]
    assert all(len(line) <= 80 for line in letters)
    heads = [word for line in lines for word in line.split() if word in RELEASES]
    assert heads == RELEASES
    assert any("::test_that_it_drops_in_training" in line for line in lines)
    assert len(max((line.plain for line in aspect_lines(verdict)), key=len)) > 80, "unbounded for a program"


TAKES = Takes(30, 12, 2_100_000_000, 8_000_000_000, 300.0)


def test_gigabytes_are_told_and_nobody_is_asked_who_cannot_answer(capsys: pytest.CaptureFixture[str]) -> None:
    for yes in (False, True):
        announce(TAKES, yes=yes, quiet=False)
    said = capsys.readouterr().err
    told = (
        "30 releases in this range; up to 12 images to build first: about 2.1 GB to download, 8.0 GB of disk, 5 minutes"
    )
    assert said.count(told) == 2
    announce(TAKES, yes=False, quiet=True)
    announce(Takes(3, 1, 70_000_000, 300_000_000, 20.0), yes=False, quiet=False)
    announce(None, yes=False, quiet=False)
    assert capsys.readouterr().err == ""


def test_who_says_no_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Typed(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(notice, "err", PrintableConsole(file=io.StringIO(), force_terminal=True))
    monkeypatch.setattr("sys.stdin", Typed("n\n"))
    with pytest.raises(typer.Exit) as ended:
        announce(TAKES, yes=False, quiet=False)
    assert ended.value.exit_code == 130
    monkeypatch.setattr("sys.stdin", Typed("\n"))
    announce(TAKES, yes=False, quiet=False)


def test_a_log_says_what_is_built_and_when_it_is_done() -> None:
    log = io.StringIO()
    progress = PlainProgress(log)
    target = Target("tensorflow", "1.11.0", "cpu")
    for step in ("installing", "packing", "importing", "done"):
        progress.building(BuildProgress(target, step, 1, 320_000_000))
    assert log.getvalue().splitlines() == ["building tensorflow 1.11.0, about 320 MB", "built tensorflow 1.11.0 in 0 s"]
