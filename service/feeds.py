"""Atom feeds (RFC 4287) of the nights on which a verdict changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from service.storage.watch_records import Watch, WatchRun

_ATOM = "http://www.w3.org/2005/Atom"
CONTENT_TYPE = "application/atom+xml; charset=utf-8"


def atom_feed(title: str, address: str, base: str, nights: Iterable[tuple[Watch, WatchRun]]) -> bytes:
    """Return a feed.

    Args:
        title: of the feed.
        address: where it is read, which is also its id.
        base: address of the web service, without a slash at its end.
        nights: watch and night, newest first.
    """
    entries = list(nights)
    feed = ET.Element("feed", xmlns=_ATOM)
    _text(feed, "title", title)
    _text(feed, "id", address)
    _text(feed, "updated", _moment(entries[0][1].finished_at if entries else datetime.fromtimestamp(0, UTC)))
    ET.SubElement(feed, "link", rel="self", type="application/atom+xml", href=address)
    ET.SubElement(ET.SubElement(feed, "author"), "name").text = "tfbisect"
    for watch, night in entries:
        _entry(feed, base, watch, night)
    return bytes(ET.tostring(feed, encoding="utf-8", xml_declaration=True))


def _entry(feed: ET.Element, base: str, watch: Watch, night: WatchRun) -> None:
    entry = ET.SubElement(feed, "entry")
    _text(entry, "title", f"{watch.name}: {night.package} behaves differently")
    _text(entry, "id", f"urn:tfbisect:night:{night.id}")
    _text(entry, "updated", _moment(night.finished_at))
    _text(entry, "summary", night.message)
    if night.bisection_id is not None:
        ET.SubElement(entry, "link", rel="alternate", href=f"{base}/b/{night.bisection_id}")


def _text(parent: ET.Element, name: str, value: str) -> None:
    # XML has no way to write most control characters; what a snippet raised may hold them.
    ET.SubElement(parent, name).text = "".join(
        letter if letter >= " " or letter in "\n\t" else "\ufffd" for letter in value
    )


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
