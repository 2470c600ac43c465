"""How far builds are, and how that looks."""

from __future__ import annotations

import io

from rich.console import Console

from service.catalog.targets import Target
from service.cli.image_bar import BuildBar
from service.images.orders import BuildForecast
from service.images.progress import BuildProgress, Meter, Step, failed

FIRST, SECOND = Target("tensorflow", "1.12.0"), Target("tensorflow", "2.10.0", "cuda")
FORECAST = BuildForecast(3, 500, 600.0, {FIRST: 300_000_000, SECOND: 900_000_000})


def steps_of_a_build() -> list[BuildProgress]:
    told: list[BuildProgress] = []
    meter = Meter(FIRST, 300, told.append)
    meter.unpacked(0)
    meter.unpacked(150)
    meter.unpacked(1_000)  # more than was expected
    meter.sized(600)
    assert b"".join(meter.through(iter([bytes(300), bytes(300), bytes(12)]))) == bytes(612)
    meter.done()
    return told


def test_a_build_moves_by_thirds_and_never_beyond_its_size() -> None:
    assert [(step.step, step.moved_bytes, step.total_bytes) for step in steps_of_a_build()] == [
        ("installing", 0, 300),
        ("installing", 50, 300),
        ("installing", 100, 300),
        ("packing", 200, 600),
        ("packing", 300, 600),
        ("packing", 400, 600),
        ("packing", 400, 600),
        ("importing", 400, 600),
        ("done", 600, 600),
    ]


def shown(*steps: BuildProgress, terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=160, soft_wrap=True, highlight=False)
    with BuildBar(console, FORECAST) as bar:
        for step in steps:
            bar(step)
    return stream.getvalue()


def step(target: Target, name: Step, moved: int, total: int) -> BuildProgress:
    return BuildProgress(target, name, moved, total)


def test_a_log_has_one_line_for_each_step_with_the_count_the_size_and_the_time_left() -> None:
    lines = shown(
        step(FIRST, "installing", 0, 300_000_000),
        step(FIRST, "installing", 50_000_000, 300_000_000),
        step(FIRST, "done", 320_000_000, 320_000_000),
        failed(SECOND),
    ).splitlines()
    assert [line.split("s  ", 1)[1] for line in lines] == [
        "0/2 images  1.12.0 cpu installing 300 MB  (about 10 minutes left)",
        "1/2 images  1.12.0 cpu done 320 MB  (almost done)",
        "2/2 images  2.10.0 cuda failed  (almost done)",
    ]


def test_a_terminal_shows_a_bar_in_mb_that_moves_within_an_image() -> None:
    screen = shown(step(FIRST, "packing", 120_000_000, 300_000_000), terminal=True)
    assert "1.12.0 packing" in screen
    assert "120.0 MB" in screen or "0.1/1.2 GB" in screen
    assert "0/2 images" in screen
