"""A plot of measurements over releases, as the marks of an SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.bisection.words import counted

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 40
SHAPES = ("circle", "square", "triangle")
MOST_SERIES = len(SHAPES)
SMALLEST = 1e-290
MOST_POINTS = 60
"""Of one run and one measurement; a longer list is thinned out."""
MOST_NAMES = 200
OF_THEIR_OWN = frozenset({"shares", "reported"})
SETTINGS = frozenset({"parameters", "exit_code"})
"""Numbers that are not plotted: parameters, and what the outcome says already."""
INTERNAL = ("samples", "seconds.", "cpu_seconds.", "printed.", "raised.", "memory_bytes")
"""Beginnings of the names of numbers that say how a run went, not how the release behaves."""
LABELS: Mapping[str, str] = {
    "train_losses": "loss in training",
    "evaluate_losses": "loss in evaluation",
    "batch_losses": "loss of train_on_batch",
    "near_one_losses": "loss at a rate near 1",
    "zero_rate_losses": "loss in training at rate 0",
    "zero_rate_evaluate_losses": "loss in evaluation at rate 0",
}
"""What a measurement is called on a page; others by their own name."""
LABEL_ROOM = 46


@dataclass(frozen=True)
class Mark:
    x: float
    y: float
    shape: str
    tone: str
    says: str

    @property
    def points(self) -> str:
        """Return the corners of a triangle."""
        x, y = self.x, self.y
        return f"{x:.1f},{y - 4.6:.1f} {x - 4.4:.1f},{y + 3.6:.1f} {x + 4.4:.1f},{y + 3.6:.1f}"


@dataclass(frozen=True)
class Tick:
    """A line with a number or a release beside it."""

    at: float
    label: str


@dataclass(frozen=True)
class Plot:
    marks: tuple[Mark, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    changes: tuple[float, ...]
    """The place of a change: just before the first release that shows it."""
    series: tuple[tuple[str, str], ...]
    """Name and shape."""
    says: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def label_of(name: str) -> str:
    """Return what a measurement is called on a page."""
    return LABELS.get(name, name.replace("_", " "))


def tells_behaviour(name: str) -> bool:
    """Say whether a number is about the release rather than about its run."""
    return not name.startswith(INTERNAL)


def numbers_in(measurements: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, tuple[float, ...]]:
    """Return every measurement that is a number or a list of numbers, by its dotted name. Input is untrusted."""
    found = _shares(measurements.get("shares")) | _reported(measurements.get("reported")) if depth == 0 else {}
    for name, value in list(measurements.items())[:MOST_NAMES]:
        if depth == 0 and (name in SETTINGS or (name in OF_THEIR_OWN and isinstance(value, list))):
            continue
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and depth < 3:
            found.update(numbers_in(value, f"{path}.", depth + 1))
        elif values := _numbers(value):
            found[path] = values
    return found


def _shares(listed: Any) -> dict[str, tuple[float, ...]]:
    """Return what each layer dropped, if the probe measured it."""
    shares = [item for item in listed[:MOST_NAMES] if isinstance(item, Mapping)] if isinstance(listed, list) else []
    named = {f"share dropped by {item.get('layer')}": item for item in shares if item.get("measures") == "share"}
    return {name: values for name, item in named.items() if (values := _numbers(item.get("losses")))}


def _reported(listed: Any) -> dict[str, tuple[float, ...]]:
    """Return the numbers among the reported pairs of name and value."""
    pairs = listed[:MOST_NAMES] if isinstance(listed, list) else []
    named = {f"reported {pair[0]}": pair[1] for pair in pairs if isinstance(pair, list) and len(pair) == 2}
    return {name: values for name, value in named.items() if (values := _numbers(value))}


def _numbers(value: Any) -> tuple[float, ...]:
    """Return the finite numbers of a value, thinned out if there are many; booleans do not count."""
    listed = value if isinstance(value, list) else [value]
    # Tiny numbers are drawn as 0: no step of an axis is that small.
    finite = [float(item) if abs(item) > SMALLEST else 0.0 for item in listed[:5000] if _is_finite(item)]
    if len(finite) < len(listed[:5000]) and not finite:
        return ()
    return tuple(finite[:: max(1, math.ceil(len(finite) / MOST_POINTS))])


def _is_finite(item: Any) -> bool:
    """Return whether an item is a number that can be drawn."""
    return isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < 1e300 and item == item  # noqa: PLR0124  # NaN


def draw(
    releases: Sequence[str],
    values: Mapping[str, Mapping[str, Sequence[float]]],
    tones: Mapping[str, str],
    changes: Iterable[tuple[str, str]],
) -> Plot:
    """Return the plot.

    Args:
        releases: the columns, in tree order.
        values: measurement -> release -> numbers.
        tones: release -> tone of its outcome.
        changes: the releases before and after each change.
    """
    shown = [release for release in releases if any(by_release.get(release) for by_release in values.values())]
    numbers = [number for by_release in values.values() for row in by_release.values() for number in row]
    low, high = _range(numbers)
    steps = {release: LEFT + (WIDTH - LEFT - RIGHT) * (i + 0.5) / max(1, len(shown)) for i, release in enumerate(shown)}
    marks = tuple(_marks(steps, values, tones, (low, high)))
    series = tuple(zip(values, SHAPES, strict=False))
    half = (WIDTH - LEFT - RIGHT) / max(1, len(shown)) / 2
    crossed = [steps[after] - half for before, after in changes if before in steps and after in steps]
    says = f"{', '.join(values)} from {low:.4g} to {high:.4g} over {counted(len(shown), 'release')}"
    return Plot(marks, _rows(low, high), _columns(steps), tuple(crossed), series, says)


def _marks(
    steps: Mapping[str, float],
    values: Mapping[str, Mapping[str, Sequence[float]]],
    tones: Mapping[str, str],
    span: tuple[float, float],
) -> Iterator[Mark]:
    """Yield a mark for each number; the series are side by side within a column."""
    for index, (name, by_release) in enumerate(values.items()):
        aside = (index - (len(values) - 1) / 2) * 12
        for release, row in by_release.items():
            for number in row if release in steps else ():
                says = f"{release}: {name} {number:.6g}"
                shape = SHAPES[index % MOST_SERIES]
                yield Mark(steps[release] + aside, _height(number, span), shape, tones.get(release, "none"), says)


def _range(numbers: Sequence[float]) -> tuple[float, float]:
    """Return the range of the vertical axis: the numbers and a margin."""
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    air = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (low - air if low < 0 or low - air > 0 else 0.0), high + air


def _height(number: float, span: tuple[float, float]) -> float:
    """Return the height of a number on the page."""
    low, high = span
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (number - low) / (high - low))


def _rows(low: float, high: float) -> tuple[Tick, ...]:
    """Return four to eight round numbers with their heights."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return tuple(
        Tick(_height(index * step, (low, high)), f"{index * step:.4g}")
        for index in range(first, math.floor(high / step) + 1)
    )


def _columns(steps: Mapping[str, float]) -> tuple[Tick, ...]:
    """Return the releases below the axis, as many as fit."""
    every = max(1, math.ceil(len(steps) * LABEL_ROOM / (WIDTH - LEFT - RIGHT)))
    return tuple(Tick(at, release) for i, (release, at) in enumerate(steps.items()) if i % every == 0)
