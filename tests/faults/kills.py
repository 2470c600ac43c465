"""`kill -9` at every step of a bisection, with processes of this machine as runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.findings import Findings, of_bisections
from tests.faults.table import Fault
from tests.faults.world import World, temporary_folder, wait_until, wanderer_index, world
from tests.images.local_index import served

WORKERS = 2
LEASE_PASSED_SECONDS = 120.0
"""By how much the next service's clock is later: beyond the lease of the dead one."""

STEPS = {
    "while the index is asked": "service.catalog.releases:Index.files",
    "while a release's packages are resolved": "service.catalog.uv:Uv.resolve",
    "while an environment is installed": "service.catalog.uv:Uv.install",
    "while a process is started for a run": "service.execution.local_runner:LocalRunner._start",
    "while the verdict is put together": "service.coordination.session:conclude",
}
"""Steps between two writes: what happens -> the function that dies."""


@contextmanager
def small_world(template: Path | None = None, kind: type[World] = World, **settings: str) -> Iterator[World]:
    """Make a world; with a template's data folder, its environments are there already."""
    with temporary_folder("world") as folder, served(wanderer_index()) as index:
        if template is not None:
            shutil.copytree(template, folder / "data", symlinks=True)
        with world(folder, index, kind, **settings) as made:
            yield made


def killed_at(wound: dict[str, Any], template: Path | None = None) -> Findings:
    """Kill a service by a wound, start another one, and hold what comes of it against the truth."""
    with small_world(template) as made:
        service = made.serve(**wound)
        bisection_id = "" if service.is_dead() else service.submit("killed")
        if bisection_id and "die_at_commit" in wound:
            # Answers that come together are written together: a quiet machine may need fewer writes than the template.
            wait_until("death or end", partial(_is_over, service, bisection_id))
            if not service.is_dead():
                service.kill()
        service.wait_until_it_died()
        made.shift_clock(LEASE_PASSED_SECONDS)
        after = made.serve()
        # A submission that was not answered is the client's to repeat; one that was must never be lost.
        return of_bisections(after, [bisection_id or after.submit("killed")], runs_lost=WORKERS)


def killed_again_and_again() -> Findings:
    """Kill a service at its first write, the next at its second, and so on until a bisection is done."""
    with small_world() as made:
        bisection_id = ""
        kills = 0
        while not bisection_id or made.services[-1].is_dead():
            kills += 1
            made.shift_clock(LEASE_PASSED_SECONDS * kills)
            service = made.serve(die_at_commit=2 * kills + 1)
            if not bisection_id and not service.is_dead():
                bisection_id = service.submit("again")
            if bisection_id:
                wait_until("death or end", partial(_is_over, service, bisection_id))
        return of_bisections(made.services[-1], [bisection_id], runs_lost=WORKERS * kills)


def _is_over(service: Any, bisection_id: str) -> bool:
    found = service.bisection(bisection_id)
    return service.is_dead() or (found is not None and found["status"] == "done")


def killed_under_runs() -> Findings:
    """Kill the service from outside while runs are under way."""
    with small_world() as made:
        service = made.serve()
        bisection_id = service.submit("under runs", seconds=3)
        wait_until("runs are under way", lambda: made.runs.exists() and made.processes())
        service.kill()
        made.shift_clock(LEASE_PASSED_SECONDS)
        return of_bisections(made.serve(), [bisection_id], runs_lost=WORKERS)


def coordinator_killed() -> Findings:
    """Kill the coordinator beside a web process that lives on."""
    with small_world() as made:
        web = made.serve("--role", "web")
        coordinator = made.serve("--role", "coordinator", listens=False)
        bisection_id = web.submit("coordinator", seconds=2)
        wait_until("runs are under way", lambda: made.runs.exists() and made.processes())
        coordinator.kill()
        made.shift_clock(LEASE_PASSED_SECONDS)
        made.serve("--role", "coordinator", listens=False)
        return of_bisections(web, [bisection_id], runs_lost=WORKERS)


def web_killed() -> Findings:
    """Kill the web process beside a coordinator that lives on."""
    with small_world() as made:
        web = made.serve("--role", "web")
        made.serve("--role", "coordinator", listens=False)
        bisection_id = web.submit("web")
        web.kill()
        return of_bisections(made.serve("--role", "web"), [bisection_id])


def template_of(folder: Path) -> tuple[Path, list[str]]:
    """Return a data folder that knows the releases and their environments, and the writes of one bisection in it."""
    commits = folder / "commits"
    with served(wanderer_index()) as index, world(folder, index) as made:
        first = made.serve()
        first.ended(first.submit("template"))
        first.end()
        second = made.serve(commits=str(commits))
        second.ended(second.submit("killed"))
        second.end()
    return made.data, commits.read_text(encoding="utf-8").splitlines()


def faults() -> list[Fault]:
    """Return the kills that need no measuring beforehand."""
    goes_on = "the next service goes on from what is stored"

    def row(name: str, run: Callable[[], Findings], *, fast: bool = False) -> Fault:
        return Fault("kill -9", name, run, goes_on, fast=fast)

    steps = [row(f"service, {when}", partial(killed_at, {"die_in": place})) for when, place in STEPS.items()]
    return [
        *steps,
        row("service, under runs", killed_under_runs, fast=True),
        row("service, at its 3rd write, the next at its 5th, its 7th …", killed_again_and_again),
        row("coordinator of its own, under runs", coordinator_killed),
        row("web process of its own, after it took a submission", web_killed),
    ]


def faults_at_writes(folder: Path, stride: int) -> Iterator[Fault]:
    """Measure the writes of one bisection, and yield a kill in place of each, or of each `stride`-th."""
    template, writes = template_of(folder)
    for number in range(1, len(writes) + 1, stride):
        yield Fault(
            "kill -9",
            f"service, in place of write {number} of {len(writes)} ({writes[number - 1]})",
            partial(killed_at, {"die_at_commit": number}, template),
            "the next service goes on from what is stored",
            alone=False,
        )
