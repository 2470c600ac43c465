"""Progress of image builds: a bar in MB on a terminal, a line per step elsewhere."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from service.bisection.words import counted
from service.catalog.targets import Target
from service.images.orders import BuildForecast
from service.images.progress import BuildProgress, Step
from service.reports.durations import seconds_left, time_left


class BuildBar:
    """Shows the progress of all builds of an order; called from any thread."""

    def __init__(self, console: Console, forecast: BuildForecast) -> None:
        self._console = console
        self._forecast = forecast
        self._sizes = dict(forecast.sizes)
        self._moved: dict[Target, int] = {}
        self._steps: dict[Target, Step] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()
        columns = ("{task.description}", BarColumn(), DownloadColumn(), "{task.fields[count]}", "{task.fields[left]}")
        shown = [TextColumn(column, markup=False) if isinstance(column, str) else column for column in columns]
        self._progress = Progress(*shown, console=console, disable=not console.is_terminal or not forecast.missing)
        self._task = self._progress.add_task("images", total=forecast.disk_bytes or None, count="", left="")

    def __enter__(self) -> BuildBar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def __call__(self, step: BuildProgress) -> None:
        """Show a step."""
        with self._lock:
            changed = self._steps.get(step.target) != step.step
            self._steps[step.target] = step.step
            self._sizes[step.target], self._moved[step.target] = step.total_bytes, step.moved_bytes
            self._show(step)
            if changed and not self._console.is_terminal:
                self._console.print(self._line(step), markup=False)

    def _show(self, step: BuildProgress) -> None:
        self._progress.update(
            self._task,
            description=f"{step.target.release} {step.step}",
            completed=sum(self._moved.values()),
            total=sum(self._sizes.values()),
            count=self._count(),
            left=self._left(),
        )

    def _line(self, step: BuildProgress) -> str:
        size = f" {step.total_bytes / 1e6:.0f} MB" if step.total_bytes else ""
        what = f"{step.target.release} {step.target.hardware} {step.step}{size}"
        return f"{time.monotonic() - self._started:7.1f} s  {self._count()}  {what}  ({self._left()})"

    def _count(self) -> str:
        """Return the number of finished images and of all."""
        ended = sum(step in {"done", "failed"} for step in self._steps.values())
        return f"{ended}/{counted(len(self._sizes), 'image')}"

    def _left(self) -> str:
        """Return the time left in words."""
        elapsed = time.monotonic() - self._started
        moved, total = sum(self._moved.values()), sum(self._sizes.values())
        return time_left(seconds_left(elapsed, moved, total, self._forecast.seconds))
