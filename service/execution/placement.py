"""Which worker of a cluster gets a run: decisions of plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from service.catalog.targets import Hardware

RUN_RESOURCE = "run"
CUDA_RESOURCE = "cuda"
RESTING_SECONDS = 60.0
"""How long a worker that lost a run gets no other one, while others are there: it may be without an engine or room."""

Offers = Mapping[str, Mapping[str, float]]
"""Address of a worker -> what it offers: how many runs at once, and how many of them on an accelerator."""


def needs(hardware: Hardware) -> dict[str, int]:
    """Return what a run takes of a worker while it lasts."""
    return {RUN_RESOURCE: 1, CUDA_RESOURCE: 1} if hardware == "cuda" else {RUN_RESOURCE: 1}


def slots(offers: Offers, hardware: Hardware) -> dict[str, int]:
    """Return how many runs on a hardware each worker can have under way; workers that can have none are left out."""
    found = {worker: int(min(offer.get(name, 0) for name in needs(hardware))) for worker, offer in offers.items()}
    return {worker: number for worker, number in found.items() if number > 0}


def choose_worker(
    able: Mapping[str, int], busy: Mapping[str, int], avoided: Collection[str], home: str = ""
) -> str | None:
    """Return the worker for a run, or None: no one is free, and whoever is first gets it.

    Args:
        able: worker -> how many runs it can have under way.
        busy: worker -> how many it has, as far as is known.
        avoided: workers that have just lost a run; only if there is no other one they get it all the same.
        home: the worker that answered this question before; processes that have imported the release wait there.
    """
    trusted = {worker: number for worker, number in able.items() if worker not in avoided} or able
    free = {worker: number - busy.get(worker, 0) for worker, number in trusted.items()}
    if free.get(home, 0) > 0:
        return home
    best = max(free, key=lambda worker: (free[worker], worker), default=None)
    return best if best is not None and (free[best] > 0 or trusted.keys() != able.keys()) else None
