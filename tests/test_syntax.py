"""Reading Python's source from several threads at once."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import service
from service.catalog.snippets import syntax_tree
from service.coordination.intake import check_source
from service.reports.program import imported_by

SOURCE = "\n".join(f"def f{number}(a, b=1):\n    return [x + a * b for x in range({number})]" for number in range(30))


@pytest.fixture
def collector_that_lets_others_in() -> Iterator[None]:
    """Collect after every few objects, and let another thread go on meanwhile, as any finaliser may."""

    def yields(_phase: str, _told: dict[str, int]) -> None:
        time.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(yields)
    gc.set_threshold(5)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(yields)


@pytest.mark.usefixtures("collector_that_lets_others_in")
def test_source_is_read_by_several_threads_at_once() -> None:
    def read(_number: int) -> None:
        syntax_tree(SOURCE)
        check_source(SOURCE)
        imported_by.__wrapped__(Path(service.__file__).parent / "reports/program.py")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read, range(8)))
