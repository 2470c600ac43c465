"""What those who carry it on read: every room is drawn, every word of the field is explained."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from service.bisection.outcomes import Lost, Outcome, Refused, Untestable
from service.bisection.verdict import Change, Coverage, Segment
from tests.test_rooms import ALLOWED

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"^\| ([a-z ]+) \|", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE))
CODE = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "service").rglob("*.py")).lower()


@pytest.mark.parametrize("room", [room for room in ALLOWED if not room.startswith("__")])
def test_every_room_is_drawn(room: str) -> None:
    assert f"`{room}`" in ARCHITECTURE or f"`{room}.py`" in ARCHITECTURE
    assert len(re.findall(rf"\b{room}\b", ARCHITECTURE)) > 1  # in the picture as well as in the table


def test_every_kind_of_answer_and_part_of_a_verdict_is_explained() -> None:
    kinds = {kind.__name__.lower() for kind in (Lost, Outcome, Refused, Untestable, Change, Coverage, Segment)}
    assert kinds <= WORDS
    assert {field.name for field in fields(Coverage)} & {"measured", "inferred"} <= WORDS
    assert "run report" in WORDS


@pytest.mark.parametrize("word", sorted(WORDS - {"word"}))
def test_every_word_of_the_glossary_is_used_by_the_code(word: str) -> None:
    assert word in CODE


@pytest.mark.parametrize("link", sorted(set(re.findall(r"`((?:service|probes|images|tests)/[\w./-]+)`", ARCHITECTURE))))
def test_every_file_that_the_architecture_names_is_there(link: str) -> None:
    assert (ROOT / link).exists()
