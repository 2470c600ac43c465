"""The picture of a shared link: a verdict in words and as a rail, as PNG, 1200 by 630.

A PNG, since most sites that show a link draw no SVG; its letters come with Pillow, so every machine draws the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageColor, ImageDraw, ImageFont

from service.printable import printable
from service.reports.timeline import Cell, Timeline
from service.web.pages.badges import TONE_COLOURS

WIDTH, HEIGHT, MARGIN = 1200, 630, 72
INK, QUIET, GROUND, BRAND = "#1b1e23", "#575e68", "#f5f5f2", "#0b7a75"
TITLE_SIZES = (60, 52, 44, 37)
TITLE_TOP, TITLE_HEIGHT = 128, 250
RAIL_TOP, RAIL_HEIGHT, THIN = 430, 30, 4
GAP = 24
"""Pixels between two texts in a row."""

Font = ImageFont.FreeTypeFont


@lru_cache(16)
def letters(size: int) -> Font:
    """Return Pillow's own typeface in a size."""
    return ImageFont.load_default(size)  # type: ignore[return-value]  # the one with sizes, since one is asked for


def share_card(title: str, below: str, timeline: Timeline) -> bytes:
    """Return the picture: every text is inside it, however long it was."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, 62), "tfbisect", BRAND, letters(34))
    size, lines = fitted(printable(title))
    for row, line in enumerate(lines):
        draw.text((MARGIN, TITLE_TOP + row * round(size * 1.2)), line, INK, letters(size))
    _draw_rail(draw, timeline)
    draw.text((MARGIN, 556), cut_to(printable(below), letters(28), WIDTH - 2 * MARGIN), QUIET, letters(28))
    written = io.BytesIO()
    picture.save(written, "PNG", optimize=True)
    return written.getvalue()


def fitted(text: str) -> tuple[int, list[str]]:
    """Return the largest size in which a text fits its place, and its lines; in the smallest it is cut."""
    for size in TITLE_SIZES:
        lines = wrapped(text, letters(size), WIDTH - 2 * MARGIN)
        most = TITLE_HEIGHT // round(size * 1.2)
        if len(lines) <= most:
            return size, lines
    rest = " ".join(lines[most - 1 :])
    return size, [*lines[: most - 1], cut_to(rest, letters(size), WIDTH - 2 * MARGIN)]


def wrapped(text: str, font: Font, width: float) -> list[str]:
    """Break a text into lines of at most this many pixels; a word that is longer is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(cut_to(word, font, width))
    return [line for line in lines if line]


def cut_to(text: str, font: Font, width: float) -> str:
    """Return a text of at most this many pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


@dataclass(frozen=True)
class _Stretch:
    """Neighbouring releases of the mainline that show the same."""

    first: int
    cells: tuple[Cell, ...]


def _stretches(cells: Sequence[Cell]) -> Iterator[_Stretch]:
    start = 0
    for index in range(1, len(cells) + 1):
        if index == len(cells) or cells[index].outcome != cells[start].outcome:
            yield _Stretch(start, tuple(cells[start:index]))
            start = index


def _draw_rail(draw: ImageDraw.ImageDraw, timeline: Timeline) -> None:
    """Draw the mainline, each behaviour with its colour, its name and its first release."""
    cells = [column.step.cell for column in timeline.columns]
    if not cells:
        return
    width = (WIDTH - 2 * MARGIN) / len(cells)
    for stretch in _stretches(cells):
        left, right = MARGIN + stretch.first * width, MARGIN + (stretch.first + len(stretch.cells)) * width
        first = stretch.cells[0]
        colour = TONE_COLOURS[first.tone]
        for place, cell in enumerate(stretch.cells):
            _draw_cell(draw, cell, left + place * width, left + (place + 1) * width - 3)
        room = right - left - GAP
        for top, text, size, ink in (
            (RAIL_TOP - 40, first.release, 26, INK),
            (RAIL_TOP + 38, first.outcome, 28, colour),
        ):
            if letters(size).getlength(text) <= room:
                draw.text((left, top), text, ink, letters(size))


def _draw_cell(draw: ImageDraw.ImageDraw, cell: Cell, left: float, right: float) -> None:
    """Draw one release: a measured one in full height, any other one thin and paler."""
    if cell.state == "measured":
        draw.rectangle((left, RAIL_TOP, right, RAIL_TOP + RAIL_HEIGHT), fill=TONE_COLOURS[cell.tone])
        if cell.tone not in ("good", "none"):
            _draw_stripes(draw, left, right)
        return
    middle = RAIL_TOP + RAIL_HEIGHT // 2
    draw.rectangle((left, middle - THIN, right, middle + THIN), fill=paler(cell))


def paler(cell: Cell) -> tuple[int, ...]:
    """Return the colour of a release that was not measured, mixed with the ground."""
    over, under = (ImageColor.getrgb(each) for each in (cell.shown.colour or TONE_COLOURS[cell.tone], GROUND))
    share = cell.shown.opacity
    return tuple(round(share * top + (1 - share) * below) for top, below in zip(over, under, strict=True))


def _draw_stripes(draw: ImageDraw.ImageDraw, left: float, right: float) -> None:
    """Cross a wrong behaviour's colour, which must not be the only difference."""
    for x in range(round(left) + 8, round(right), 16):
        draw.line((x, RAIL_TOP + RAIL_HEIGHT, min(x + 14, right), RAIL_TOP), fill="#ffffff", width=3)
