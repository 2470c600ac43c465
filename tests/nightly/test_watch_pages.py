"""The history of watches as pages, and as feeds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from xml.etree import ElementTree as ET

import httpx
import pytest

from service.nightly.feeds import Entry, Feed, atom_feed
from service.nightly.nights import told_nights
from service.nightly.watches import watch_from
from service.printable import printable
from service.storage.ulid import new_ulid
from service.storage.watch_records import NewWatchRun, Watch, WatchRun
from service.web.pages.night_strips import nights
from tests.nightly.relived_index import Clock
from tests.nightly.world import Behaviour, NightlyHouse, Site, served_site
from tests.web.conftest import served
from tests.web.world import TUTORIAL, World

ATOM = {"a": "http://www.w3.org/2005/Atom"}
JUNE = datetime(2026, 6, 1, 3, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with served_site() as serving:
        serving.publish("2.0.0", "2.1.0", "2.2.0", "2.3.0")
        yield serving


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Path:
    """Seven nights: quiet, a change, quiet, three without an answer, quiet again."""
    folder, clock, behaviour = tmp_path_factory.mktemp("lived"), Clock(JUNE), Behaviour()
    house = NightlyHouse(folder, site, behaviour, clock=clock)
    house.watch(site)
    before: dict[int, Callable[[], None]] = {
        1: lambda: break_and_publish(site, behaviour, "2.4.0"),
        3: lambda: publish_untestable(site, behaviour, "2.5.0"),
        6: lambda: site.publish("2.6.0"),
    }
    for night in range(7):
        before.get(night, lambda: None)()
        house.make_pass()
        clock.sleep_until_next_night()
    house.close()
    return folder


@pytest.fixture
def house(tmp_path: Path, lived: Path, site: Site) -> Iterator[NightlyHouse]:
    """A house of its own for each test, on the morning after."""
    folder = shutil.copytree(lived, tmp_path / "house")
    behaviour = Behaviour(broken_from="2.4.0", untestable=frozenset({"2.5.0"}))
    opened = NightlyHouse(folder, site, behaviour, clock=Clock(JUNE + timedelta(days=7)))
    yield opened
    opened.close()


def break_and_publish(site: Site, behaviour: Behaviour, release: str) -> None:
    behaviour.broken_from = release
    site.publish(release)


def publish_untestable(site: Site, behaviour: Behaviour, release: str) -> None:
    behaviour.untestable |= {release}
    site.publish(release)


@contextmanager
def served_house(house: NightlyHouse) -> Iterator[httpx.Client]:
    with served(cast("World", house)) as service:
        yield service.client


@pytest.fixture
def browser(house: NightlyHouse) -> Iterator[httpx.Client]:
    with served_house(house) as client:
        yield client


def the_watch(house: NightlyHouse) -> Watch:
    return house.store.watch("team")


def feed_of(browser: httpx.Client, path: str) -> ET.Element:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/atom+xml")
    return ET.fromstring(answer.content)


def texts(feed: ET.Element, path: str) -> list[str]:
    return [str(found.text) for found in feed.findall(path, ATOM)]


def test_the_list_shows_each_watch_with_its_last_night(browser: httpx.Client, house: NightlyHouse) -> None:
    page = browser.get("/watches").text
    assert f'href="/w/{the_watch(house).id}"' in page
    assert "7 nights, 1 with a change; 2026-06-07: nothing changed (never-drops)" in page
    assert '<link rel="alternate" type="application/atom+xml"' in page


def test_the_history_shows_a_cell_per_night_and_every_verdict_by_its_date(
    browser: httpx.Client, house: NightlyHouse
) -> None:
    page = browser.get(f"/w/{the_watch(house).id}").text
    assert page.count('<li><a class="tone-') == 7
    assert [page.count(f"night-{status}") for status in ("first", "changed", "blind", "unchanged")] == [1, 2, 4, 2]
    assert "introduced in 2.4.0: drops in 2.3.0, never-drops in 2.4.0" in page
    assert page.index("2026-06-07 03:30") < page.index("2026-06-02 03:30") < page.index("2026-06-01 03:30")
    assert f'href="/w/{the_watch(house).id}.atom"' in page


def test_older_nights_are_a_page_away(browser: httpx.Client, house: NightlyHouse) -> None:
    for _ in range(30):
        house.make_pass()
    first = browser.get(f"/w/{the_watch(house).id}").text
    assert first.count("<tr id=") == 30
    link = first.split("?cursor=")[1].split('"')[0]
    older = browser.get(f"/w/{the_watch(house).id}", params={"cursor": link}).text
    assert older.count("<tr id=") == 7
    assert "introduced in 2.4.0" in older


def test_a_watch_is_found_by_its_name_and_one_that_is_not_there_is_not(browser: httpx.Client) -> None:
    assert browser.get("/w/team").status_code == 200
    assert browser.get("/w/nobody").status_code == 404
    assert browser.get("/w/nobody.atom").status_code == 404


def test_addresses_that_are_told_are_never_shown(browser: httpx.Client, site: Site) -> None:
    assert "go out by webhook" in browser.get("/w/team").text
    assert all(site.address not in browser.get(path).text for path in ("/w/team", "/watches", "/w/team.atom"))


def test_a_watch_and_its_nights_are_escaped(browser: httpx.Client, house: NightlyHouse) -> None:
    watch = the_watch(house)
    evil = NewWatchRun(watch.id, house.store.open_pass().id, "tensorflow", "changed", {}, message="<b>&\x00\udcff")
    house.store.add_watch_run(evil)
    assert "&lt;b&gt;&amp;" in browser.get("/w/team").text
    assert "<b>&\ufffd\ufffd" in texts(feed_of(browser, "/w/team.atom"), "a:entry/a:summary")


def test_a_feed_holds_what_was_told_newest_first(browser: httpx.Client, house: NightlyHouse) -> None:
    feed = feed_of(browser, "/w/team.atom")
    assert texts(feed, "a:entry/a:title") == [
        "team: tensorflow has had no result for 3 nights",
        "team: tensorflow behaves differently",
    ]
    assert texts(feed, "a:entry/a:updated") == ["2026-06-06T03:30:00Z", "2026-06-02T03:30:00Z"]
    assert texts(feed, "a:updated") == ["2026-06-06T03:30:00Z"]
    watch = the_watch(house)
    links = [(link.get("rel"), str(link.get("href"))) for link in feed.findall("a:entry/a:link", ATOM)]
    assert [rel for rel, _ in links] == ["alternate", "related"] * 2
    for _, address in links:
        assert browser.get(address).status_code == 200
    assert feed.find("a:link[@rel='self']", ATOM).get("href") == f"{browser.base_url}/w/{watch.id}.atom"  # type: ignore[union-attr]


def test_every_part_of_a_feed_that_the_standard_asks_for_is_there(browser: httpx.Client) -> None:
    for path in ("/w/team.atom", "/watches.atom"):
        feed = feed_of(browser, path)
        assert feed.tag == "{http://www.w3.org/2005/Atom}feed"
        ids = texts(feed, "a:id") + texts(feed, "a:entry/a:id")
        assert len(ids) == len(set(ids)) == 3
        assert all(name.startswith("urn:uuid:") for name in ids)
        assert texts(feed, "a:author/a:name") == ["tfbisect"]
        for entry in feed.findall("a:entry", ATOM):
            assert {child.tag.partition("}")[2] for child in entry} >= {"title", "id", "updated", "summary", "link"}


def test_the_same_night_has_one_id_in_both_feeds_and_wherever_the_service_is(
    browser: httpx.Client, house: NightlyHouse
) -> None:
    one = texts(feed_of(browser, "/w/team.atom"), "a:entry/a:id")
    assert texts(feed_of(browser, "/watches.atom"), "a:entry/a:id") == one
    with served_house(house) as elsewhere:
        moved = feed_of(elsewhere, "/w/team.atom")
    assert texts(moved, "a:entry/a:id") == one
    assert texts(moved, "a:id") == texts(feed_of(browser, "/w/team.atom"), "a:id")


def test_a_feed_that_a_reader_has_is_not_sent_again(browser: httpx.Client, house: NightlyHouse, site: Site) -> None:
    first = browser.get("/watches.atom")
    again = browser.get("/watches.atom", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    house.make_pass()
    assert browser.get("/watches.atom", headers={"if-none-match": first.headers["etag"]}).status_code == 304
    house.behaviour.broken_from = "99"
    house.behaviour.recipe = "2"
    house.make_pass()
    news = browser.get("/watches.atom", headers={"if-none-match": first.headers["etag"]})
    assert news.status_code == 200


def test_a_private_watch_is_seen_by_its_owner_only(house: NightlyHouse, browser: httpx.Client) -> None:
    owner, secret = house.store.create_token("owner", ["read"])
    spec = {"name": "secret", "snippet": TUTORIAL, "request": {"releases": "2.0.."}}
    house.store.add_watch(watch_from(spec, origin="api", public=False, owner=owner.id))
    house.make_pass()
    house.behaviour.recipe, house.behaviour.broken_from = "3", "99"
    house.make_pass()
    for path in ("/watches", "/watches.atom"):
        assert "secret" not in browser.get(path).text
        assert "secret" in browser.get(path, headers={"authorization": f"Bearer {secret}"}).text
    for path in ("/w/secret", "/w/secret.atom"):
        assert browser.get(path).status_code == 404
        assert browser.get(path, headers={"authorization": f"Bearer {secret}"}).status_code == 200


def test_a_removed_watch_keeps_its_page_and_leaves_the_list(house: NightlyHouse, browser: httpx.Client) -> None:
    watch = house.store.remove_watch("team")
    assert watch.id not in browser.get("/watches").text
    assert "Watched from 01 June 2026 to 08 June 2026" in browser.get(f"/w/{watch.id}").text
    assert texts(feed_of(browser, "/watches.atom"), "a:entry/a:id") == []


def test_without_watches_the_page_says_how_to_add_one(tmp_path: Path, site: Site, behaviour: Behaviour) -> None:
    empty = NightlyHouse(tmp_path, site, behaviour)
    with served_house(empty) as client:
        assert "tfbisect watch add" in client.get("/watches").text
        assert texts(feed_of(client, "/watches.atom"), "a:updated") == ["1970-01-01T00:00:00Z"]


def test_a_night_without_news_shows_what_was_known_before_it() -> None:
    quiet = WatchRun("w", "p", "tensorflow", "unchanged", {}, id=new_ulid(), finished_at=JUNE)
    verdict = {"segments": [{"line": "mainline", "outcome": "drops"}]}
    known = WatchRun("w", "p", "tensorflow", "first", {}, verdict=verdict, id=new_ulid(), finished_at=JUNE)
    assert [night.outcome for night in nights([quiet, quiet], known, str.upper)] == ["drops", "drops"]
    assert [night.tone for night in nights([known, quiet], None, str.upper)] == ["none", "DROPS"]


def test_an_empty_feed_is_as_old_as_its_watch() -> None:
    feed = ET.fromstring(atom_feed(Feed("t", "http://h/f", "http://h/p", JUNE, new_ulid()), "http://h", []))
    assert texts(feed, "a:updated") == ["2026-06-01T03:30:00Z"]


@pytest.mark.parametrize("letter", ["\x00", "\x0b", "\x1f", "\ufffe", "\ud800"])
def test_no_letter_breaks_a_feed(house: NightlyHouse, letter: str) -> None:
    night = WatchRun("w", "p", "tensorflow", "changed", {}, message=f"a{letter}b", id=new_ulid(), finished_at=JUNE)
    entry = Entry(the_watch(house), night, "changed")
    feed = ET.fromstring(atom_feed(Feed("t", "http://h/f", "http://h/p", JUNE), "http://h", [entry]))
    assert texts(feed, "a:entry/a:summary") == [f"a{printable(letter)}b"]


def test_the_nights_that_were_told_are_found_again() -> None:
    assert told_nights(["blind", "blind", "failed", "unchanged", "changed"], 2) == {1: "blind", 4: "changed"}
