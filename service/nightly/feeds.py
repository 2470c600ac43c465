"""Atom feeds (RFC 4287) of the nights with a notification."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.etree import ElementTree as ET

from service.bisection.words import counted
from service.printable import printable
from service.storage.ulid import number_of
from service.storage.watch_records import Watch, WatchRun

_ATOM = "http://www.w3.org/2005/Atom"
CONTENT_TYPE = "application/atom+xml"


@dataclass(frozen=True)
class Entry:
    """A night with a notification."""

    watch: Watch
    night: WatchRun
    event: str
    """"changed" or "blind"."""


@dataclass(frozen=True)
class Feed:
    title: str
    address: str
    """The feed's own address."""
    page: str
    """The page that shows the same."""
    begun: datetime
    """When it was last changed, used while it has no entry."""
    watch_id: str | None = None
    """The one watch that it is about; None: all."""

    @property
    def id(self) -> str:
        """Return an id that stays when the service moves."""
        return (uuid5(NAMESPACE_URL, self.address) if self.watch_id is None else _uuid(self.watch_id)).urn


def atom_feed(about: Feed, base: str, entries: Iterable[Entry]) -> bytes:
    """Return a feed as XML.

    Args:
        about: what it says of itself.
        base: address of the web service, without a slash at its end.
        entries: newest first.
    """
    told = list(entries)
    feed = ET.Element("feed", xmlns=_ATOM)
    _text(feed, "title", about.title)
    _text(feed, "id", about.id)
    _text(feed, "updated", _moment(told[0].night.finished_at if told else about.begun))
    _link(feed, "self", about.address, CONTENT_TYPE)
    _link(feed, "alternate", about.page, "text/html")
    ET.SubElement(ET.SubElement(feed, "author"), "name").text = "tfbisect"
    for entry in told:
        _entry(feed, base, entry)
    return bytes(ET.tostring(feed, encoding="utf-8", xml_declaration=True))


def _entry(feed: ET.Element, base: str, told: Entry) -> None:
    watch, night = told.watch, told.night
    blind = f"has had no result for {counted(watch.blind_after, 'night')}"
    says = "behaves differently" if told.event == "changed" else blind
    entry = ET.SubElement(feed, "entry")
    _text(entry, "title", f"{watch.name}: {night.package} {says}")
    _text(entry, "id", _uuid(night.id).urn)
    _text(entry, "updated", _moment(night.finished_at))
    _text(entry, "summary", night.message)
    _link(entry, "alternate", f"{base}/w/{watch.id}#{night.id}", "text/html")
    if night.bisection_id is not None:
        _link(entry, "related", f"{base}/b/{night.bisection_id}", "text/html")


def _uuid(ulid: str) -> UUID:
    return UUID(int=number_of(ulid))


def _link(parent: ET.Element, relation: str, address: str, kind: str) -> None:
    ET.SubElement(parent, "link", rel=relation, type=kind, href=address)


def _text(parent: ET.Element, name: str, value: str) -> None:
    ET.SubElement(parent, name).text = printable(value, lines=True)  # XML 1.0 has no way to write control characters


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
