"""Whatever an index answers, the catalog keeps what it knew, says so, and ends in bounded time and memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from service.catalog import index_pages
from service.catalog.releases import ASKED_AGAIN_AFTER, DOUBTED_FOR, Catalog, CatalogRelease, releases_of, why_doubted
from service.errors import IndexUnreachable, TfbisectError
from service.settings import Settings
from tests.catalog.odd_index import MODES, SLOW, OddIndex, odd_index
from tests.catalog.worlds import MemoryCache, release, wheel

HOUR = 3600.0
VERSIONS = [f"1.{minor}.0" for minor in range(20)]
HONEST = {"honest", "honest, as HTML"}
ODD = sorted(MODES.keys() - HONEST)


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class ClockedCache(MemoryCache):
    """A cache that goes by the clock of the catalog, as the store does."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._now = clock

    def put_cached(self, kind: str, key: str, value: object) -> None:
        super().put_cached(kind, key, value)
        self.values[kind, key] = (self.values[kind, key][0], self._now())


@pytest.fixture
def index() -> Iterator[OddIndex]:
    with odd_index({"demo": [wheel(f"demo-{version}-py3-none-any.whl") for version in VERSIONS]}) as up:
        yield up


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(index: OddIndex, clock: Clock) -> Catalog:
    settings = Settings(index_url=index.url, catalog_max_age_seconds=HOUR)
    return Catalog(ClockedCache(clock), settings, clock=clock)


@pytest.fixture
def turn(index: OddIndex, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the index go over to a mode; one that takes its time is given little."""

    def to(mode: str) -> None:
        index.mode = mode
        if mode in SLOW:
            monkeypatch.setattr(index_pages, "PAGE_SECONDS", 0.5)

    return to


def of_use(releases: tuple[CatalogRelease, ...]) -> list[str]:
    return [release.version for release in releases if not release.gone]


@pytest.mark.parametrize("name", sorted(HONEST))
def test_an_honest_index_is_read(index: OddIndex, catalog: Catalog, name: str) -> None:
    index.mode = name
    assert of_use(catalog.releases("demo")) == VERSIONS
    standing = catalog.standing("demo")
    assert standing is not None
    assert standing.problem == ""


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_costs_no_release_and_is_told(
    index: OddIndex, turn: Callable[[str], None], catalog: Catalog, clock: Clock, name: str
) -> None:
    known = catalog.releases("demo")
    listed_at = clock.now
    clock.now += timedelta(days=1)
    turn(name)
    assert catalog.releases("demo") == known
    standing = catalog.standing("demo")
    assert standing is not None
    assert standing.as_of == listed_at
    assert index.url in standing.problem
    assert "demo" in standing.problem


@pytest.mark.parametrize("name", [name for name in ODD if name != "one release of many"])
def test_an_odd_answer_about_what_is_not_known_is_one_error_and_nothing_is_kept(
    turn: Callable[[str], None], catalog: Catalog, name: str
) -> None:
    turn(name)
    with pytest.raises(TfbisectError, match="demo"):
        catalog.releases("demo")
    assert catalog.standing("demo") is None


@pytest.mark.parametrize("name", ["300 MB", "gzip bomb", "gzip bomb in one member", *SLOW])
def test_no_answer_takes_more_memory_than_a_page_may_have(
    turn: Callable[[str], None], catalog: Catalog, name: str
) -> None:
    turn(name)
    with pytest.raises(IndexUnreachable):
        catalog.releases("demo")
    tracemalloc.start()
    try:
        with pytest.raises(IndexUnreachable):
            catalog.releases("demo")
        assert tracemalloc.get_traced_memory()[1] < 4 * index_pages.JSON_BYTES
    finally:
        tracemalloc.stop()


def test_an_index_in_trouble_is_left_alone_for_a_while_and_asked_again_then(
    index: OddIndex, catalog: Catalog, clock: Clock
) -> None:
    catalog.releases("demo")
    index.mode = "internal error"
    clock.now += timedelta(days=1)
    for _ in range(5):
        catalog.releases("demo")
    assert len(index.asked) == 2
    index.mode = "honest"
    clock.now += ASKED_AGAIN_AFTER
    assert of_use(catalog.releases("demo")) == VERSIONS
    assert len(index.asked) == 3
    standing = catalog.standing("demo")
    assert standing is not None
    assert (standing.as_of, standing.problem) == (clock.now, "")


def test_what_an_index_lacks_for_a_week_is_believed(index: OddIndex, catalog: Catalog, clock: Clock) -> None:
    catalog.releases("demo")
    index.mode = "one release of many"
    clock.now += timedelta(days=1)
    assert of_use(catalog.releases("demo")) == VERSIONS
    clock.now += DOUBTED_FOR + timedelta(seconds=1)
    assert of_use(catalog.releases("demo")) == VERSIONS[:1]
    assert [one.version for one in catalog.releases("demo")] == VERSIONS


@pytest.mark.parametrize(
    ("known", "gone", "fresh", "doubted"),
    [
        ("1.0 1.1 1.2", "", "1.0 1.1 1.2 1.3", False),
        ("1.0 1.1 1.2", "", "1.1 1.2", False),  # one withdrawn
        ("1.0 1.1 1.2", "", "1.0", True),
        ("1.0 1.1 1.2", "", "", True),
        ("1.0 1.1 1.2", "", "2.0", True),  # the list of somebody else
        ("1.0 1.1 1.2", "", "1.0 1.1", True),  # the newest is lost and nothing came
        ("1.0", "1.1 1.2", "1.0", False),
        ("1.0.dev1 1.0.dev2", "", "1.0.dev2 1.0.dev3", False),  # nightlies are cleared away
        ("1.0.dev1 1.0.dev2", "", "1.0.dev8 1.0.dev9", False),
        ("1.0.dev1 1.0.dev2", "", "1.0.dev1", True),
        ("1.0rc0 1.0rc1 1.0 1.1", "", "1.0 1.1", False),
        ("", "", "1.0", False),
        ("", "1.0", "", False),
    ],
)
def test_a_list_is_doubted_where_it_lost_what_no_index_loses(known: str, gone: str, fresh: str, doubted: bool) -> None:
    before = [release(version) for version in known.split()]
    before += [release(version, gone=True) for version in gone.split()]
    assert bool(why_doubted([release(version) for version in fresh.split()], before)) is doubted


def test_a_list_without_dates_does_not_make_releases_older(index: OddIndex, catalog: Catalog, clock: Clock) -> None:
    known = catalog.releases("demo")
    clock.now += timedelta(hours=7)
    index.mode = "honest, as HTML"
    assert [release.uploaded for release in catalog.releases("demo")] == [release.uploaded for release in known]


def test_the_index_is_asked_once_however_many_ask_the_catalog(index: OddIndex, catalog: Catalog) -> None:
    ready = Barrier(20)

    def ask(_: int) -> list[str]:
        ready.wait()
        return of_use(catalog.releases("demo"))

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(ask, range(20))) == [VERSIONS] * 20
    assert len(index.asked) == 1


def test_a_catalog_at_rest_asks_nobody(index: OddIndex, catalog: Catalog, clock: Clock) -> None:
    with pytest.raises(IndexUnreachable, match="not known yet"):
        catalog.at_rest().releases("demo")
    known = catalog.releases("demo")
    clock.now += timedelta(days=30)
    assert catalog.at_rest().releases("demo") == known
    assert len(index.asked) == 1


def test_a_name_that_stands_for_a_million_tags_is_no_wheel_of_ours(index: OddIndex) -> None:
    tags = ".".join(["py3"] * 35)
    files = [*index.packages["demo"], wheel(f"demo-9.0-{tags}-{tags}-any.whl")]
    with odd_index({"demo": files}) as other:
        asked = Catalog(MemoryCache(), Settings(index_url=other.url))
        assert of_use(releases_of(asked.index.files("demo"))) == VERSIONS
