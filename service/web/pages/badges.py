"""Pictures for other sites: the badge and the share card, as SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from service.bisection.words import counted
from service.printable import printable
from service.reports.timeline import Timeline

TONE_COLOURS: Mapping[str, str] = {
    "good": "#0b7a75",
    "odd1": "#c44a17",
    "odd2": "#7446ad",
    "odd3": "#93690a",
    "odd4": "#2b68ae",
    "raise": "#454c56",
    "flaky": "#a8336f",
    "none": "#a4a9b0",
}
GREY, GREEN, AMBER, RED = "#5a616b", "#0b7a75", "#93690a", "#b23c12"
LETTER = 6.6  # pixels: the mean advance of an 11 px letter in the fonts that badges are shown in
CARD_WIDTH, CARD_HEIGHT = 1200, 630
SIGN = 'font-size="20" fill="#575e68" text-anchor="middle"'


def svg_text(text: str) -> str:
    """Return a text escaped for SVG, between tags and between double quotes."""
    return escape(printable(text), {'"': "&quot;"})


def badge_words(status: str, verdict: Mapping[str, Any]) -> tuple[str, str]:
    """Return a badge's text and colour."""
    changes = verdict.get("changes", ())
    match status:
        case "queued" | "running":
            return "running", GREY
        case "failed":
            return "no verdict", RED
        case "cancelled" if not changes:
            return "cancelled", GREY
    if not changes:
        return "no change", GREEN
    said = [f"{change['kind']} {change['after']}" for change in changes if change["line"] == "mainline"]
    words = ", ".join(said[:3]) or f"{counted(len(changes), 'change')}"
    colour = AMBER if changes[-1]["kind"] == "fixed" else RED
    return words + (" …" if len(said) > 3 else ""), colour


def badge(label: str, words: str, colour: str) -> str:
    """Return a badge as SVG: flat, 20 pixels high."""
    left, right = (round(len(text) * LETTER + 12) for text in (label, words))
    said = svg_text(f"{label}: {words}")
    text = 'fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{said}">'
        f"<title>{said}</title>"
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="4"/></clipPath><g clip-path="url(#r)">'
        f'<rect width="{left}" height="20" fill="#3a4048"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        f'</g><g {text}><text x="{left / 2}" y="14">{svg_text(label)}</text>'
        f'<text x="{left + right / 2}" y="14">{svg_text(words)}</text></g></svg>'
    )


def card(title: str, below: str, timeline: Timeline) -> str:
    """Return the picture of a shared link, as SVG, 1200 by 630."""
    lines = _wrapped(title, 40)[:4]
    words = "".join(
        f'<text x="72" y="{178 + 66 * row}" font-size="54" font-weight="650" fill="#1b1e23">{svg_text(line)}</text>'
        for row, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{CARD_WIDTH}" height="{CARD_HEIGHT}" '
        f'viewBox="0 0 {CARD_WIDTH} {CARD_HEIGHT}" font-family="system-ui,Segoe UI,Roboto,DejaVu Sans,sans-serif">'
        f'<rect width="{CARD_WIDTH}" height="{CARD_HEIGHT}" fill="#f5f5f2"/>'
        f'<text x="72" y="92" font-size="30" font-weight="650" fill="#0b7a75">tfbisect</text>{words}'
        f'{_rail(timeline)}<text x="72" y="580" font-size="26" fill="#575e68">{svg_text(below)}</text></svg>'
    )


def _rail(timeline: Timeline) -> str:
    """Return the mainline as a row of stations."""
    columns = timeline.columns
    if not columns:
        return ""
    width = (CARD_WIDTH - 144) / len(columns)
    drawn = []
    for index, column in enumerate(columns):
        cell, x = column.step.cell, 72 + index * width
        shown, colour = cell.shown, cell.shown.colour or TONE_COLOURS[cell.tone]
        drawn.append(
            f'<rect x="{x:.1f}" y="448" width="{width - 3:.1f}" height="22" fill="{colour}" opacity="{shown.opacity}">'
            f"<title>{svg_text(cell.says)}</title></rect>"
        )
        if cell.state != "measured":
            at = x + (width - 3) / 2
            drawn.append(f'<text x="{at:.1f}" y="442" {SIGN}>{shown.sign}</text>')
        if column.step.marker:
            drawn.append(f'<rect x="{x - 4:.1f}" y="430" width="5" height="58" fill="#1b1e23"/>')
        if len(columns) <= 14 or column.step.marker or index in (0, len(columns) - 1):
            drawn.append(f'<text x="{x:.1f}" y="512" font-size="21" fill="#1b1e23">{svg_text(cell.release)}</text>')
    return "".join(drawn)


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of about this many letters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
