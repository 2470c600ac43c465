"""Names of packages that nobody has: refused, or asked for once in a while."""

from datetime import timedelta

import pytest

from service.catalog.releases import MISSING_AT_MOST, MISSING_FOR, Catalog
from service.errors import Unavailable, UnknownName
from service.settings import Settings
from tests.catalog.worlds import MemoryCache, an_index, wheel


def catalog_of(url: str, cache: MemoryCache) -> Catalog:
    return Catalog(cache, Settings(index_url=url))


@pytest.mark.parametrize("name", ["", "a b", "../simple", "-demo", "demo-", "x" * 129, "démo", "a/b", "demo\n1"])
def test_what_can_be_no_name_is_refused_before_the_index_is_asked(name: str) -> None:
    asked: list[str] = []
    with an_index({}, asked=asked) as url, pytest.raises(UnknownName, match="is not a package name"):
        catalog_of(url, MemoryCache()).releases(name)
    assert asked == []


def test_every_spelling_of_a_name_is_one_package() -> None:
    asked: list[str] = []
    with an_index({"tf-nightly": [wheel("tf_nightly-1.0-py3-none-any.whl")]}, asked=asked) as url:
        catalog, cache = catalog_of, MemoryCache()
        assert [
            catalog(url, cache).releases(name)[0].version for name in ("tf-nightly", "TF_Nightly", " tf.nightly ")
        ] == ["1.0"] * 3
    assert len(asked) == 1


def test_a_name_that_the_index_lacks_is_asked_for_once_in_a_while() -> None:
    asked: list[str] = []
    cache = MemoryCache()
    with an_index({}, asked=asked) as url:
        for _ in range(3):
            with pytest.raises(UnknownName, match="look at its spelling, or set TFBISECT_INDEX_URL"):
                catalog_of(url, cache).releases("made-up")
        assert len(asked) == 1


def test_a_name_that_came_to_be_is_found_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    packages: dict[str, list[dict[str, object]]] = {}
    cache = MemoryCache()
    with an_index(packages) as url:
        with pytest.raises(UnknownName):
            catalog_of(url, cache).releases("made-up")
        packages["made-up"] = [wheel("made_up-1.0-py3-none-any.whl")]
        with pytest.raises(UnknownName):
            catalog_of(url, cache).releases("made-up")
        monkeypatch.setattr("service.catalog.releases.MISSING_FOR", timedelta(0))
        assert [found.version for found in catalog_of(url, cache).releases("made-up")] == ["1.0"]


def test_many_made_up_names_do_not_reach_the_index_and_what_is_known_is_still_answered() -> None:
    asked: list[str] = []
    cache = MemoryCache()
    with an_index({"demo": [wheel("demo-1.0-py3-none-any.whl")]}, asked=asked) as url:
        catalog = catalog_of(url, cache)
        catalog.releases("demo")
        for number in range(MISSING_AT_MOST):
            with pytest.raises(UnknownName):
                catalog.releases(f"made-up-{number}")
        asked.clear()
        with pytest.raises(Unavailable, match=f"within {MISSING_FOR.seconds // 60} minutes"):
            catalog.releases("one-more")
        assert catalog.releases("demo")[0].version == "1.0"
    assert asked == []
