"""What becomes of bisections when the index answers oddly, the clock steps, or two coordinators share a database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial

from tests.catalog.odd_index import MODES, SLOW, OddIndex, odd_index
from tests.faults.databases import postgres_world
from tests.faults.findings import Findings, of_bisections, of_tracebacks
from tests.faults.kills import LEASE_PASSED_SECONDS, WORKERS, small_world
from tests.faults.table import Fault
from tests.faults.world import PACKAGE, Service, World, wait_until

FAST_MODES = ("empty page",)
HOUR = 3600.0
BISECTIONS = 6
"""How many the two coordinators have to share."""


@contextmanager
def oddly_listed() -> Iterator[tuple[OddIndex, Service]]:
    """Serve a world whose index can be made odd, with the package known from honest times."""
    with small_world(TFBISECT_CATALOG_MAX_AGE_SECONDS="0.001") as made:
        page = made.index.page(PACKAGE)
        assert page is not None
        with odd_index({PACKAGE: json.loads(page)["files"]}) as index:
            made.settings["TFBISECT_INDEX_URL"] = index.url
            service = made.serve()
            found = of_bisections(service, [service.submit("honest")])
            if found.any:
                raise AssertionError(f"an honest index is not taken: {found.any}")
            yield index, service


def answers_oddly(index: OddIndex, service: Service, mode: str) -> Findings:
    """Submit while the index is odd, and once more when it is honest again."""
    index.mode = mode
    try:
        odd = service.submit(mode)
        found = of_bisections(service, [odd])
    finally:
        index.mode = "honest"
    after = service.submit(f"after {mode}")
    found.add(of_bisections(service, [after]))
    found.add(of_tracebacks(service))
    return found


def clock_stepped(seconds: float) -> Findings:
    """Step the clock while runs are under way."""
    with small_world() as made:
        service, bisection_id = _with_runs(made)
        made.shift_clock(seconds)
        return of_bisections(service, [bisection_id, service.submit("afterwards")])


def clock_stepped_between(seconds: float) -> Findings:
    """Kill a service under runs, and step the clock before the next one starts."""
    with small_world() as made:
        service, bisection_id = _with_runs(made)
        service.kill()
        made.shift_clock(seconds)
        return of_bisections(made.serve(), [bisection_id], runs_lost=WORKERS)


def _with_runs(made: World) -> tuple[Service, str]:
    service = made.serve()
    bisection_id = service.submit("under runs", seconds=2)
    wait_until("runs are under way", lambda: made.runs.exists() and made.processes())
    return service, bisection_id


def two_coordinators(made: World) -> Findings:
    """Let two services share a database and some bisections: none may be worked off by both."""
    first, second = made.serve(), made.serve()
    ids = [(first, second)[number % 2].submit(f"shared {number}") for number in range(BISECTIONS)]
    return of_bisections(first, ids)


def one_of_two_killed(made: World) -> Findings:
    """Kill one of two services that share a database: the other takes over what it held."""
    first, second = made.serve(), made.serve()
    ids = [(first, second)[number % 2].submit(f"shared {number}", seconds=1) for number in range(BISECTIONS)]
    wait_until("runs are under way", lambda: made.runs.exists() and made.processes())
    first.kill()
    made.shift_clock(LEASE_PASSED_SECONDS)
    # By the clock the living one's leases have run out too; it takes nothing from itself.
    return of_bisections(second, ids, runs_lost=WORKERS)


def _on_sqlite(do: Callable[[World], Findings]) -> Findings:
    with small_world() as made:
        return do(made)


def _on_postgres(do: Callable[[World], Findings]) -> Findings:
    with postgres_world() as (_, made):
        return do(made)


def faults(stack: ExitStack) -> list[Fault]:
    """Return the rows of this file; those of the index share a service, which the stack ends."""

    @cache
    def listed() -> tuple[OddIndex, Service]:
        return stack.enter_context(oddly_listed())

    def index_row(mode: str) -> Fault:
        return Fault(
            "index",
            mode,
            lambda: answers_oddly(*listed(), mode),
            "the releases known before are bisected, and no release is lost",
            fast=mode in FAST_MODES,
        )

    modes = [mode for mode in MODES if mode not in SLOW] + list(SLOW)
    return [
        *(index_row(mode) for mode in modes),
        *_clock_rows(),
        *_rows_of_two(),
    ]


def _clock_rows() -> list[Fault]:
    unmoved = "the true verdict, whatever the clock says"

    def row(name: str, run: Callable[[], Findings]) -> Fault:
        return Fault("clock", name, run, unmoved)

    return [
        row("an hour forth under runs", partial(clock_stepped, HOUR)),
        row("an hour back under runs", partial(clock_stepped, -HOUR)),
        row("ten years forth under runs", partial(clock_stepped, 10 * 365 * 24 * HOUR)),
        row("ten years back under runs", partial(clock_stepped, -10 * 365 * 24 * HOUR)),
        row("an hour back between a service that was killed and the next", partial(clock_stepped_between, -HOUR)),
    ]


def _rows_of_two() -> list[Fault]:
    once = "each bisection is worked off once"

    def row(name: str, run: Callable[[], Findings], *, fast: bool = False) -> Fault:
        return Fault("two", name, run, once, fast=fast)

    return [
        row("two coordinators on one SQLite", partial(_on_sqlite, two_coordinators)),
        row("two coordinators on one PostgreSQL", partial(_on_postgres, two_coordinators)),
        row("one of two coordinators on one SQLite killed -9", partial(_on_sqlite, one_of_two_killed)),
        row("one of two coordinators on one PostgreSQL killed -9", partial(_on_postgres, one_of_two_killed)),
    ]
