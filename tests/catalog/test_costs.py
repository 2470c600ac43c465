"""Whatever numbers stand in a request or on the index, an answer costs no more than its own size."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.bisection.releases import tree_of
from service.catalog.probes import load_probes
from service.catalog.ranges import absent, parse_releases, select
from service.catalog.releases import CACHE_KIND, Catalog
from service.coordination.intake import BisectionRequest, Intake
from service.errors import BadInput, RangeError
from service.reports.comparing import compare_verdicts
from service.reports.foresight import look_ahead
from service.reports.plots import draw, numbers_in
from service.resources import resource_dir
from service.settings import Settings
from service.storage.exchange import export_lines
from service.storage.records import Search
from service.storage.store import Store
from tests.catalog.worlds import MemoryCache, release
from tests.fuzzing import at_most, within_budget
from tests.storage.worlds import REPORT, identity

MIB = 2**20
HUGE = st.sampled_from([0, 1, 2, 9, 50, 403_778_684, 20_260_901, 2**31, 2**63, 10**30])
NUMBERS = st.lists(HUGE, min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
VERSIONS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "", "2018!"]),
    NUMBERS,
    st.sampled_from(["", "", "", "rc1", ".dev20260901", ".post403778684"]),
    st.sampled_from(["", "", "+local.1"]),
)
TEXTS = st.one_of(
    st.builds("{}..{}".format, VERSIONS | st.just(""), VERSIONS | st.just("")),
    st.lists(VERSIONS, min_size=1, max_size=4).map(",".join),
    st.text(st.sampled_from("0123456789.,!+-rcdevpost x\0\ud800"), max_size=30),
)
DM_CONTROL = [release(version) for version in ("1.0.48", "1.0.49", "1.0.50", "1.0.403778684")]


@contextmanager
def within(mebibytes: int) -> Iterator[None]:
    """Fail where the block takes more memory."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * MIB
    finally:
        tracemalloc.stop()


@at_most(200)
@given(text=TEXTS, versions=st.lists(VERSIONS, max_size=8, unique=True), prereleases=st.booleans())
@within_budget
def test_a_range_is_answered_in_proportion_or_refused_in_words(
    text: str, versions: list[str], prereleases: bool
) -> None:
    releases = [release(version) for version in versions]
    try:
        selection = parse_releases(text)
    except RangeError:
        return
    missing = absent(selection, releases)
    assert len(missing) <= len(releases)
    assert not {*missing} & {*versions}
    try:
        chosen = select(selection, releases, prereleases=prereleases, keep_gone=True)
    except RangeError:
        return
    assert 0 < len(chosen) <= len(releases)
    assert len(tree_of(chosen).all()) == len(chosen)


def catalog_with(package: str, versions: list[str]) -> Catalog:
    cache = MemoryCache()
    catalog = Catalog(cache, Settings(index_url="http://127.0.0.1:9/simple/"))
    rows = [
        {
            **vars(release(version)),
            "pythons": ["3"],
            **dict.fromkeys(("uploaded", "began"), "2024-01-01T00:00:00+00:00"),
        }
        for version in versions
    ]
    cache.put_cached(CACHE_KIND, f"{catalog.index.url.rstrip('/')}/{package}", rows)
    return catalog


def test_a_request_for_a_package_with_a_huge_patch_is_planned_and_estimated() -> None:
    catalog = catalog_with("dm-control", [one.version for one in DM_CONTROL])
    intake = Intake(catalog, load_probes(resource_dir("probes")))
    request = BisectionRequest(snippet="print(1)", probe="script", package="dm-control", releases="1.0.49..1.0.50")
    with within(16):
        assert intake.case(request).absent == ()
        assert look_ahead(intake, request, {}, simulate=True).tree.all() == ("1.0.49", "1.0.50")
        everything = request.model_copy(update={"releases": ".."})
        assert len(look_ahead(intake, everything, {}, simulate=True).tree.all()) == 4


@pytest.mark.parametrize(
    "releases", ["1.0.0.." * 500, "1.0," * 1000, "9" * 2000, "1..2," * 400, "1." * 1000, "..," * 600]
)
def test_a_text_of_any_kind_is_refused_or_answered_within_bounds(releases: str) -> None:
    catalog = catalog_with("tensorflow", [f"1.{minor}.{patch}" for minor in range(40) for patch in range(5)])
    with within(16), suppress(BadInput):
        Intake(catalog, load_probes(resource_dir("probes"))).case(
            BisectionRequest(snippet="print(1)", probe="script", releases=releases[:2000])
        )


@at_most(50)
@given(st.lists(VERSIONS, max_size=8, unique=True), st.lists(VERSIONS, max_size=8, unique=True))
@within_budget
def test_two_verdicts_are_compared_release_by_release(left: list[str], right: list[str]) -> None:
    sides = [
        {"segments": [{"outcome": "drops", "measured": side, "inferred": []}], "changes": []} for side in (left, right)
    ]
    assert len(compare_verdicts(*sides)["releases"]) == len({*left, *right})


MEASURED = st.lists(
    st.one_of(st.floats(), st.integers(), st.sampled_from([5e-324, 2e-323, 1e-310, 1e299, -1e299, 10**400])), max_size=6
)


@at_most(150)
@example([0.0, 4e-323])
@given(MEASURED)
@within_budget
def test_any_measurement_can_be_drawn(numbers: list[Any]) -> None:
    drawn = {"1.0": values} if (values := numbers_in({"loss": numbers}).get("loss")) else {}
    assert len(draw(["1.0"], {"loss": drawn}, {}, ()).rows) <= 12


def test_a_search_for_hundreds_of_words_is_refused(store_of: Callable[[], Store]) -> None:
    with store_of() as store:
        store.bisections(Search(text=" ".join(f"word{number}" for number in range(50))))
        with pytest.raises(BadInput, match="51 words to search for, more than 50"):
            store.bisections(Search(text=" ".join(f"word{number}" for number in range(51))))


def test_an_export_holds_no_more_than_some_rows_at_once(store_of: Callable[[], Store], tmp_path: Any) -> None:
    with store_of() as store:
        for number in range(150):
            store.append_observation(identity(f"1.{number}.0"), 0, replace(REPORT, output="x" * 128 * 1024))
        with within(12):
            assert sum(map(len, export_lines(f"sqlite:///{tmp_path / 'store.sqlite3'}"))) > 18 * MIB


@pytest.fixture
def store_of(tmp_path: Any) -> Callable[[], Store]:
    return lambda: Store.open(f"sqlite:///{tmp_path / 'store.sqlite3'}")
