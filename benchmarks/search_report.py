"""The search benchmark as a table and as drawings, written by hand so that no plotting library is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from math import log10
from typing import Any

WIDTH, HEIGHT, MARGIN = 640, 420, 60
INKS = ("#0b6e4f", "#c2410c", "#6b7280", "#1d4ed8", "#a21caf", "#b45309")

PLANNERS = """Mean over 0 to 6 changes. `all found`: share of histories whose every change was reported; `exact`: and
nothing else. Ratios are runs and rounds of the row over those of tfbisect.
"""
ONE_CHANGE = """What the others are made for. They are cheaper here, since they assume what tfbisect finds out: that
there is one change and no island, and, but for the majority vote, no noise; nor do they run anything twice.
"""
BOUNDS = """Runs: the promised most for one worker on a clean history. Rounds: the fewest that any planner with the same
promise and w workers can do with on every clean history. Last column: log2(n) over the channel's capacity, the
published order of what one change costs under noise.
"""


def markdown(found: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    mode = ", quick mode" if found["quick"] else ""
    parts = [
        "# Search benchmark\n",
        f"{found['histories']} random histories, seed {found['seed']}{mode}. Made by `python -m benchmarks.search`.\n",
        "## What must show\n",
        *(f"- {'yes' if holds else '**NO**'}: {claim}" for claim, holds in found["checks"].items()),
        "\n## Against other ways of searching\n",
        PLANNERS,
        _planners(found["cells"]),
        "\n## Histories of one change only\n",
        ONE_CHANGE,
        _planners(found["one_change"]),
        "\n## Bounds\n",
        BOUNDS,
        _bounds(found["cells"]),
        "\n## Is the confidence true?\n",
        _calibration(found["calibration"]),
        "\n## Time to plan one step over 400 releases\n",
        *(f"- {state}: {spent:.2f} ms" for state, spent in found["step_milliseconds"].items()),
    ]
    return "\n".join(parts) + "\n"


def _planners(cells: list[dict[str, Any]]) -> str:
    """Return one row per noise, number of releases and planner; one worker and four."""
    rows = ["| noise | n | w | planner | all found | exact | runs | rounds | runs ÷ ours | rounds ÷ ours |"]
    rows.append("|---|---|---|---|---|---|---|---|---|---|")
    ours = {key(cell): cell for cell in cells if cell["planner"] == "tfbisect"}
    for cell in cells:
        if cell["workers"] in {1, 4}:
            base = ours[key(cell)]
            rows.append(
                f"| {cell['noise']} | {cell['releases']} | {cell['workers']} | {cell['planner']} "
                f"| {cell['all_found']:.1%} | {cell['exact']:.1%} | {cell['runs']:.1f} | {cell['rounds']:.1f} "
                f"| {cell['runs'] / base['runs']:.2f} | {cell['rounds'] / base['rounds']:.2f} |"
            )
    return "\n".join(rows)


def key(cell: dict[str, Any]) -> tuple[float, int, int]:
    """Return what a cell is about, the planner left out."""
    return cell["noise"], cell["releases"], cell["workers"]


def _bounds(cells: list[dict[str, Any]]) -> str:
    """Return runs and rounds of tfbisect beside the bounds."""
    rows = ["| noise | n | w | runs | bound | rounds | best | rounds ÷ best | one noisy change |"]
    rows.append("|---|---|---|---|---|---|---|---|---|")
    rows += [
        f"| {cell['noise']} | {cell['releases']} | {cell['workers']} | {cell['runs']:.1f} | {cell['bound_runs']:.1f} "
        f"| {cell['rounds']:.1f} | {cell['bound_rounds']:.1f} | {cell['rounds'] / cell['bound_rounds']:.2f} "
        f"| {cell['bound_one_noisy_change']:.1f} |"
        for cell in cells
        if cell["planner"] == "tfbisect"
    ]
    return "\n".join(rows)


def _calibration(bins: list[dict[str, Any]]) -> str:
    """Return claimed against true confidence."""
    rows = ["| claimed from | to | changes | claimed, mean | true share |", "|---|---|---|---|---|"]
    rows += [
        f"| {row['from']} | {row['to']} | {row['changes']} | {row['claimed']:.3f} | {row['true']:.3f} |" for row in bins
    ]
    return "\n".join(rows)


def calibration_drawing(bins: list[dict[str, Any]], enough: int) -> str:
    """Draw claimed against true confidence; a disc's area grows with its number of changes, few are hollow."""
    across, up = _scale(0, 1, MARGIN, WIDTH - MARGIN), _scale(0, 1, HEIGHT - MARGIN, MARGIN)
    shapes = [_line([(across(0), up(0)), (across(1), up(1))], INKS[2], dashed=True)]
    shapes += [_line([(across(0.02), up(0)), (across(1), up(0.98))], INKS[1], dashed=True)]
    for row in bins:
        size = 3 + 2 * log10(row["changes"])
        fill = INKS[0] if row["changes"] >= enough else "none"
        shapes.append(
            f'<circle cx="{across(row["claimed"]):.1f}" cy="{up(row["true"]):.1f}" r="{size:.1f}" '
            f'fill="{fill}" fill-opacity="0.7" stroke="{INKS[0]}"/>'
        )
    shapes += _axes(across, up, [0, 0.25, 0.5, 0.75, 1], [0, 0.25, 0.5, 0.75, 1])
    shapes += [
        _text(WIDTH / 2, HEIGHT - 15, "claimed confidence"),
        _text(WIDTH / 2, 24, "Claimed against true confidence (red: 0.02 too sure; hollow: too few to tell)"),
        _text(18, HEIGHT / 2, "true share", turned=True),
    ]
    return _svg(shapes)


def runs_drawing(cells: list[dict[str, Any]]) -> str:
    """Draw runs by number of releases on clean histories with one worker, with the promised bound."""
    clean = [cell for cell in cells if cell["noise"] == 0 and cell["workers"] == 1]
    counts = sorted({cell["releases"] for cell in clean})
    across = _log_scale(min(counts), max(counts), MARGIN, WIDTH - 190)
    up = _log_scale(2, 500, HEIGHT - MARGIN, MARGIN)
    curves: dict[str, list[tuple[int, float, float]]] = {
        name: [] for name in sorted({cell["planner"] for cell in clean})
    }
    for cell in clean:
        curves[cell["planner"]].append((cell["releases"], cell["runs"], cell["all_found"]))
    shapes = []
    for number, (name, points) in enumerate(sorted(curves.items())):
        found = sum(point[2] for point in points) / len(points)
        ink = INKS[0] if name == "tfbisect" else INKS[1 + number % (len(INKS) - 1)]
        shapes.append(_line([(across(count), up(runs)) for count, runs, _ in sorted(points)], ink))
        shapes.append(_text(WIDTH - 180, 80 + 34 * number, name, ink, "start"))
        shapes.append(_text(WIDTH - 180, 95 + 34 * number, f"{found:.0%} of histories right", ink, "start"))
    bound = sorted({(cell["releases"], cell["bound_runs"]) for cell in clean})
    shapes.append(_line([(across(count), up(runs)) for count, runs in bound], "#111827", dashed=True))
    shapes.append(_text(WIDTH - 180, 60, "dashed: promised bound", "#111827", "start"))
    shapes += _axes(across, up, counts, [2, 5, 10, 20, 50, 100, 200, 400])
    shapes += [
        _text((WIDTH - 130) / 2, HEIGHT - 15, "releases"),
        _text(WIDTH / 2, 24, "Runs on clean histories of 0 to 6 changes, one worker"),
        _text(18, HEIGHT / 2, "runs", turned=True),
    ]
    return _svg(shapes)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return a linear scale from values to places."""
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _log_scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return a logarithmic scale from values to places."""
    linear = _scale(log10(low), log10(high), start, end)
    return lambda value: linear(log10(value))


def _axes(
    across: Callable[[float], float], up: Callable[[float], float], below: Iterable[float], beside: Iterable[float]
) -> list[str]:
    """Draw the marks of both axes."""
    marks = [_text(across(value), HEIGHT - MARGIN + 20, f"{value:g}") for value in below]
    return marks + [_text(MARGIN - 10, up(value) + 4, f"{value:g}", anchor="end") for value in beside]


def _line(points: list[tuple[float, float]], ink: str, *, dashed: bool = False) -> str:
    """Draw a line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2"{dash}/>'


def _text(x: float, y: float, words: str, ink: str = "#111827", anchor: str = "middle", *, turned: bool = False) -> str:
    """Write words at a place."""
    turn = f' transform="rotate(-90 {x:.0f} {y:.0f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{ink}" text-anchor="{anchor}"{turn}>{escape(words)}</text>'


def _svg(shapes: list[str]) -> str:
    """Put shapes on white paper."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    return "\n".join([f'{head} font-size="12">', paper, *shapes, "</svg>"]) + "\n"
