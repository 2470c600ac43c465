"""What the routes share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, cast

from fastapi import Depends
from starlette.requests import Request

from service.catalog.probes import Probe
from service.errors import NotFound
from service.reports.dependencies import Dependencies, Surroundings
from service.reports.estimate import Estimator
from service.reports.naming import called
from service.reports.readings import Readings
from service.reports.views import Views
from service.storage.records import Bisection
from service.web.access import Access, Caller
from service.web.assets import Assets
from service.web.events import Broadcaster
from service.web.metrics import Metrics
from service.web.templating import Pages


class Site:
    def __init__(self, dependencies: Dependencies, surroundings: Surroundings) -> None:
        self.dependencies = dependencies
        self.surroundings = surroundings
        self.settings = dependencies.settings
        self.store = dependencies.store
        self.access = Access(dependencies.settings, dependencies.store)
        self.readings = Readings(dependencies)
        self.broadcaster = Broadcaster(dependencies.store)
        self.estimator = Estimator(dependencies, surroundings)
        self.views = Views(dependencies)
        self.assets = Assets()
        self.pages = Pages(self.assets, dependencies.settings.dashboard_url)
        self.metrics = Metrics(self.store, self.broadcaster, surroundings.waiting_containers)

    def probe(self, name: str) -> Probe:
        """Return a probe.

        Raises:
            NotFound: there is none of this name.
        """
        if name not in self.dependencies.probes:
            known = ", ".join(sorted(self.dependencies.probes))
            raise NotFound(f"there is no probe {name[:64]!r}; choose one of: {known}.")
        return self.dependencies.probes[name]

    def rows(self, bisections: Iterable[Bisection]) -> list[dict[str, Any]]:
        """Return bisections as lists show them; only running ones, which are few, are read completely."""
        listed = list(bisections)
        sources = self.store.snippets_of(listed)
        return [
            {
                **self.views.row(each, self.readings.outlook_of(each) if each.status == "running" else None),
                "name": called(each.request, sources.get(each.snippet_digest, "")),
            }
            for each in listed
        ]

    def base_url(self, request: Request) -> str:
        """Return the address by which the user reached the service, without a trailing slash."""
        return (self.settings.public_url or str(request.base_url)).rstrip("/")


def site_of(request: Request) -> Site:
    """Return the site of a request."""
    return cast("Site", request.app.state.site)


async def reader(request: Request) -> Caller:
    """Return the caller, who may read."""
    return await site_of(request).access.caller(request, "read")


async def submitter(request: Request) -> Caller:
    """Return the caller, who may submit."""
    return await site_of(request).access.caller(request, "submit")


ThisSite = Annotated[Site, Depends(site_of)]
Reader = Annotated[Caller, Depends(reader)]
Submitter = Annotated[Caller, Depends(submitter)]
