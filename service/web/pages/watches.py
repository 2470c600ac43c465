"""The pages and feeds of watches: what each night found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from service.bisection.words import counted
from service.catalog.probes import DEFAULT_PROBE
from service.nightly.feeds import CONTENT_TYPE, Entry, Feed, atom_feed
from service.nightly.nights import told_nights
from service.reports.documents import Document
from service.reports.readings import ULID
from service.storage.records import Viewer
from service.storage.watch_records import NightStatus, Watch
from service.web.api.bisections import tagged
from service.web.pages.lists import tones_by_probe
from service.web.pages.night_strips import SAYS, Night, nights
from service.web.site import Reader, Site, ThisSite

router = APIRouter(include_in_schema=False)

_NIGHTS_IN_A_STRIP = 60
_NIGHTS_ON_A_PAGE = 30
_ENTRIES_OF_A_FEED = 50


@dataclass(frozen=True)
class Strip:
    """The nights of one package of a watch."""

    package: str
    nights: Sequence[Night]

    @property
    def newest(self) -> Night | None:
        return self.nights[-1] if self.nights else None

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Return the outcomes with their tones, in order of appearance."""
        return list(dict.fromkeys((night.outcome, night.tone) for night in self.nights if night.outcome))

    @property
    def states(self) -> list[str]:
        """Return the other states that occur."""
        seen = {night.run.status for night in self.nights}
        return [name for name in ("changed", "blind", "failed") if name in seen]

    @property
    def says(self) -> str:
        """Return the strip as text, for screen readers."""
        changed = sum(night.run.status == "changed" for night in self.nights)
        last = self.newest
        return f"{counted(len(self.nights), 'night')}, {changed} with a change; {last.says}" if last else "no night yet"


@router.get("/watches")
def watch_list(request: Request, site: ThisSite, caller: Reader) -> Response:
    rows = [(watch, _strips(site, watch)) for watch in site.store.watches(viewer=caller.viewer)]
    return site.pages.response(request, "watches.html", rows=rows, last_pass=site.store.last_pass(), words=SAYS)


@router.get("/watches.atom")
def feed_of_all(request: Request, site: ThisSite, caller: Reader) -> Response:
    base = site.base_url(request)
    watches = site.store.watches(viewer=caller.viewer)
    begun = max((watch.created_at for watch in watches), default=datetime.fromtimestamp(0, UTC))
    about = Feed("tfbisect: changed verdicts", f"{base}/watches.atom", f"{base}/watches", begun)
    return _feed(request, site, about, {watch.id: watch for watch in watches}, caller.viewer)


@router.get("/w/{name}.atom")
def feed_of_one(name: str, request: Request, site: ThisSite, caller: Reader) -> Response:
    base = site.base_url(request)
    watch = site.store.watch(name[:100], viewer=caller.viewer)
    page = f"{base}/w/{watch.id}"
    about = Feed(f"tfbisect: {watch.name}", f"{page}.atom", page, watch.created_at, watch.id)
    return _feed(request, site, about, {watch.id: watch}, caller.viewer)


@router.get("/w/{name}")
def watch_page(
    name: str,
    request: Request,
    site: ThisSite,
    caller: Reader,
    cursor: Annotated[str | None, Query(pattern=f"^{ULID.pattern}$")] = None,
) -> Response:
    """Show the history of a watch, newest night first."""
    watch = site.store.watch(name[:100], viewer=caller.viewer)
    page = site.store.history(watch.id, limit=_NIGHTS_ON_A_PAGE, cursor=cursor)
    return site.pages.response(
        request,
        "watch.html",
        watch=watch,
        probe=_probe_name(watch),
        source=site.store.snippet(watch.snippet_digest),
        strips=_strips(site, watch),
        runs=page.rows,
        next=page.next,
        is_first_page=cursor is None,
        words=SAYS,
        told=[entry["channel"] for entry in watch.notify],
    )


def _probe_name(watch: Watch) -> str:
    return str(watch.request.get("probe", DEFAULT_PROBE))


def _strips(site: Site, watch: Watch) -> list[Strip]:
    tones = tones_by_probe(site)
    strips = []
    for package in (str(each["package"]) for each in watch.packages):
        recent = site.store.recent_runs(watch.id, package, _NIGHTS_IN_A_STRIP)
        oldest = recent[-1].id if recent else None
        before = site.store.last_verdict_run(watch.id, package, before=oldest)
        strips.append(Strip(package, nights(recent, before, lambda outcome: tones(_probe_name(watch), outcome))))
    return strips


def _feed(request: Request, site: Site, about: Feed, watches: dict[str, Watch], viewer: Viewer) -> Response:
    """Answer with a feed, or with 304 if the reader has it already."""
    events = _events(site.store.night_statuses(watch_id=about.watch_id, viewer=viewer))
    newest = sorted(events, reverse=True)[:_ENTRIES_OF_A_FEED]
    runs = site.store.watch_runs(newest)
    entries = [Entry(watches[run.watch_id], run, events[run.id]) for run in runs if run.watch_id in watches]
    body = atom_feed(about, site.base_url(request), entries)
    return tagged(Document.of_bytes(body), request, f"{CONTENT_TYPE}; charset=utf-8")


def _events(statuses: Iterable[NightStatus]) -> dict[str, str]:
    """Return the notifications: id of the night -> "changed" or "blind"."""
    by_line: dict[tuple[str, str], list[NightStatus]] = {}
    for one in statuses:
        by_line.setdefault((one.watch_id, one.package), []).append(one)
    return {
        line[place].id: event
        for line in by_line.values()
        for place, event in told_nights([one.status for one in line], line[0].blind_after).items()
    }
