from datetime import UTC, datetime, timedelta

import pytest

from service.catalog.releases import SOURCE_ONLY, Catalog
from service.errors import IndexUnreachable, UnknownName
from service.settings import Settings
from tests.catalog.worlds import MemoryCache, an_index, release, wheel

HOUR = 3600.0
NOWHERE = "http://127.0.0.1:9/simple/"


def catalog_of(url: str, cache: MemoryCache | None = None) -> Catalog:
    return Catalog(cache or MemoryCache(), Settings(index_url=url, catalog_max_age_seconds=HOUR))


def test_only_wheels_for_linux_on_x86_64_make_a_release() -> None:
    files = [
        wheel("demo-1.0-cp36-cp36m-manylinux1_x86_64.whl"),
        wheel("demo-1.1-cp36-cp36m-macosx_10_11_x86_64.whl"),
        wheel("demo-1.2-cp36-cp36m-manylinux2014_aarch64.whl"),
        wheel("demo-1.3.tar.gz"),
        wheel("demo-1.4-py3-none-any.whl"),
        wheel("demo-1.5-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
        wheel("demo-1.6-cp36-cp36m-win_amd64.whl"),
        wheel("not-a-wheel.whl"),
    ]
    with an_index({"demo": files}) as url:
        assert [found.version for found in catalog_of(url).releases("demo")] == ["1.0", "1.4", "1.5"]


def test_a_release_sums_up_its_wheels() -> None:
    files = [
        wheel("demo-1.9.0-cp310-cp310-manylinux1_x86_64.whl", "2018-07-10T01:00:00Z", size=7),
        wheel("demo-1.9.0-cp36-cp36m-manylinux1_x86_64.whl", "2018-07-12T01:00:00Z", size=9),
        wheel("demo-1.9.0-cp36-cp36m-win_amd64.whl", "2018-08-01T01:00:00Z", size=99, yanked="broken"),
    ]
    with an_index({"demo": files}) as url:
        (found,) = catalog_of(url).releases("Demo")
    assert (found.uploaded, found.bytes) == (datetime(2018, 7, 12, 1, tzinfo=UTC), 9)
    assert found.pythons == ("3.6", "3.10")
    assert not found.yanked


def test_releases_are_in_version_order_and_yanked_ones_are_marked() -> None:
    files = [
        wheel("demo-1.10.0-py3-none-any.whl"),
        wheel("demo-1.9.0-py3-none-any.whl", yanked="no good"),
        wheel("demo-1.10.0rc1-py3-none-any.whl"),
    ]
    with an_index({"demo": files}) as url:
        found = catalog_of(url).releases("demo")
    assert [(one.version, one.yanked, one.is_prerelease) for one in found] == [
        ("1.9.0", True, False),
        ("1.10.0rc1", False, True),
        ("1.10.0", False, False),
    ]


@pytest.mark.parametrize(
    ("pythons", "requires_python", "python", "accepted"),
    [
        ("3.6 3.7", "", "3.6", True),
        ("3.6 3.7", "", "3.8", False),
        ("3", "", "3.12", True),
        ("3", ">=3.9", "3.8", False),
        ("3", ">=3.6.2", "3.6", True),
        ("2.7", "", "2.7", True),
        ("3.10", "nonsense", "3.10", True),
    ],
)
def test_a_release_accepts_the_interpreters_of_its_wheels(
    pythons: str, requires_python: str, python: str, accepted: bool
) -> None:
    assert release("1.0", pythons, requires_python=requires_python).accepts(python) is accepted


def test_a_fresh_cache_answers_without_the_index() -> None:
    cache = MemoryCache()
    with an_index({"demo": [wheel("demo-1.0-py3-none-any.whl")]}) as url:
        asked = catalog_of(url, cache).releases("demo")
    assert catalog_of(url, cache).releases("demo") == asked


def test_an_old_cache_answers_where_the_index_does_not() -> None:
    cache = MemoryCache()
    with an_index({"demo": [wheel("demo-1.0-py3-none-any.whl")]}) as url:
        asked = catalog_of(url, cache).releases("demo")
    cache.grow_older(timedelta(days=30))
    assert catalog_of(url, cache).releases("demo") == asked


def test_an_old_cache_is_asked_anew_and_what_is_gone_stays_known() -> None:
    cache = MemoryCache()
    packages = {"demo": [wheel("demo-1.0.dev1-py3-none-any.whl"), wheel("demo-1.0.dev2-py3-none-any.whl")]}
    with an_index(packages) as url:
        catalog_of(url, cache).releases("demo")
        cache.grow_older(timedelta(days=1))
        packages["demo"] = [wheel("demo-1.0.dev2-py3-none-any.whl"), wheel("demo-1.0.dev3-py3-none-any.whl")]
        found = catalog_of(url, cache).releases("demo")
    assert [(one.version, one.gone) for one in found] == [("1.0.dev1", True), ("1.0.dev2", False), ("1.0.dev3", False)]


def test_a_package_that_the_index_lacks_is_an_unknown_name() -> None:
    with an_index({}) as url, pytest.raises(UnknownName, match="no package 'tensorfow'"):
        catalog_of(url).releases("tensorfow")


def test_an_index_that_does_not_answer_is_named() -> None:
    with pytest.raises(IndexUnreachable, match=r"127\.0\.0\.1:9.*TFBISECT_INDEX_URL"):
        catalog_of(NOWHERE).releases("demo")


def test_one_release_is_found_by_any_spelling_of_its_version() -> None:
    with an_index({"demo": [wheel("demo-1.9.0-py3-none-any.whl")]}) as url:
        found = catalog_of(url).release("demo", "1.9")
        assert found is not None
        assert found.version == "1.9.0"
        assert catalog_of(url).release("demo", "1.8") is None


def test_a_still_catalog_stays_as_it_was_when_it_was_first_asked() -> None:
    cache = MemoryCache()
    with an_index({"demo": [wheel("demo-1.0-py3-none-any.whl")]}) as url:
        catalog = catalog_of(url, cache)
        still = catalog.still()
        assert still.release("demo", "1.0")
        cache.values.clear()
        assert still.release("demo", "1.0.0")
        assert still.release("demo", "2.0") is None
        assert not cache.values
        assert catalog.release("demo", "1.0")
        assert cache.values


def test_a_wheel_for_the_stable_abi_serves_later_interpreters() -> None:
    files = [wheel("demo-1.0-cp38-abi3-manylinux2014_x86_64.whl"), wheel("demo-1.1-cp38-cp38-manylinux2014_x86_64.whl")]
    with an_index({"demo": files}) as url:
        stable, plain = catalog_of(url).releases("demo")
    assert stable.pythons == ("3.8+",)
    assert [stable.accepts(python) for python in ("3.7", "3.8", "3.13", "2.7")] == [False, True, True, False]
    assert [plain.accepts(python) for python in ("3.8", "3.13")] == [True, False]


def test_a_release_with_only_a_source_package_is_known_and_no_release_to_run() -> None:
    files = [wheel("demo-1.0-py3-none-any.whl"), wheel("demo-1.1.tar.gz")]
    cache = MemoryCache()
    with an_index({"demo": files}) as url:
        catalog = catalog_of(url, cache)
        assert [found.version for found in catalog.releases("demo")] == ["1.0"]
        assert catalog.unbuilt("demo") == {"1.1": SOURCE_ONLY}
