"""How each state of a release is shown: one table for the terminal, the page, the pictures, Markdown and JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["measured", "inferred", "running", "untestable", "not_run"]
"""What is known of one release. These are the names in JSON; on a page the class is `state-…`, with a hyphen."""


@dataclass(frozen=True)
class Shown:
    """How one state is shown. Colour is never the only difference: each has a sign and a word too."""

    word: str
    sign: str
    """One character, as terminals, Markdown and pictures show it; app.css draws the same shapes as `.dot`."""
    style: str
    """Colour on a terminal, as rich names it; "": that of the outcome."""
    colour: str
    """Colour in an SVG; "": that of the outcome."""
    opacity: float
    """Of the rail in an SVG."""
    means: str


STATES: Mapping[State, Shown] = {
    "measured": Shown("measured", "●", "", "", 1.0, "this release ran"),
    "inferred": Shown("inferred", "○", "dim", "", 0.45, "not run: the measured releases on both sides behave alike"),
    "running": Shown("running", "◐", "cyan", "#2b68ae", 0.45, "this release is running now"),
    "untestable": Shown("untestable", "✗", "yellow", "#5a616b", 0.45, "cannot be tested; open it to see why"),
    "not_run": Shown("not run", "·", "dim", "#a4a9b0", 0.45, "this release was neither measured nor inferred"),
}
"""In the order in which legends list them."""
PLACES: tuple[State, ...] = ("measured", "inferred", "untestable")
"""The states that a segment of a verdict lists its releases by."""
