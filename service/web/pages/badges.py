"""The badge, as SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from service.bisection.words import counted
from service.printable import printable

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
