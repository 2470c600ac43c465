"""What the commands share: both output streams, opening the house and the store, and printing errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.text import Text

from service.bootstrap import House
from service.printable import printable
from service.settings import Settings
from service.storage.store import Store


class PrintableConsole(Console):
    """Escapes untrusted text, so that its escape sequences do not reach the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, and make text printable; rich's control sequences are kept."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, lines=True), segment.style)


out = PrintableConsole(soft_wrap=True, highlight=False)
"""Standard output: the result and nothing else."""
err = PrintableConsole(stderr=True, soft_wrap=True, highlight=False)
"""Standard error: progress and problems."""


def tell(line: Text) -> None:
    """Print a line of a result; on a terminal it breaks between words, and goes on under its beginning.

    Elsewhere a line stays a line, for programs that read it.
    """
    if not out.is_terminal or not line.plain.strip():
        out.print(line)
        return
    indent = len(line.plain) - len(line.plain.lstrip(" "))
    shown = line[indent:]
    shown.rstrip()
    out.print(Padding(shown, (0, 0, 0, indent), expand=False), soft_wrap=False)


def width_of_lines() -> int | None:
    """Return how many columns a line of a result has; None where nothing bounds it."""
    return out.width if out.is_terminal else None


@contextmanager
def house(kind: type[House] | None = None, **overrides: Any) -> Iterator[House]:
    """Open the house with some settings overridden, and always close it."""
    settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    opened = (kind or House)(settings)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def opened_store() -> Iterator[Store]:
    """Open the database in the settings, and always close it."""
    with house() as opened:
        yield opened.store


def complain(title: str, detail: str, traceback: str = "") -> None:
    """Print an error on standard error, with the end of its traceback if there is one."""
    err.print(f"[bold red]{title}:[/] ", end="")
    err.print(detail, markup=False)
    for line in traceback.splitlines():
        err.print(f"    {line}", markup=False)


def fail(title: str, detail: str, code: int, traceback: str = "") -> NoReturn:
    """Print an error on standard error and exit."""
    complain(title, detail, traceback)
    raise typer.Exit(code)
