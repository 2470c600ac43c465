from dataclasses import replace
from datetime import datetime

import pytest

from service.catalog.ranges import absent, parse_releases, select
from service.errors import RangeError
from tests.catalog.worlds import release

LISTED = "1.8.0 1.9.0rc1 1.9.0 1.10.0 1.10.1 1.12.0 1.12.3 1.13.1 1.14.0 2.15.0 2.15.0.post1 2.16.1".split()  # noqa: SIM905
TENSORFLOW = [
    release(version)
    for version in [
        "1.8.0",
        "1.9.0rc1",
        "1.9.0",
        "1.10.0",
        "1.10.1",
        "1.12.0",
        "1.12.3",
        "1.13.1",
        "1.14.0",
        "2.15.0",
        "2.15.0.post1",
        "2.16.1",
    ]
] + [release("1.11.0", yanked=True), release("1.7.0", gone=True)]
NIGHTLIES = [release(f"2.22.0.dev2026090{day}") for day in range(1, 6)]


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("1.9..1.12", "1.9.0 1.10.0 1.10.1 1.12.0 1.12.3"),
        ("1.9..1.12.0", "1.9.0 1.10.0 1.10.1 1.12.0"),
        ("1.9.0..1.10.0", "1.9.0 1.10.0"),
        ("1.14..", "1.14.0 2.15.0 2.15.0.post1 2.16.1"),
        ("..1.9", "1.8.0 1.9.0"),
        ("..", "1.8.0 1.9.0 1.10.0 1.10.1 1.12.0 1.12.3 1.13.1 1.14.0 2.15.0 2.15.0.post1 2.16.1"),
        ("1.10.1,1.14.0", "1.10.1 1.14.0"),
        (" 1.14.0 , 1.10.1 ", "1.10.1 1.14.0"),
        ("1.12", "1.12.0 1.12.3"),
        ("2", "2.15.0 2.15.0.post1 2.16.1"),
        ("1.8,1.12..1.13", "1.8.0 1.12.0 1.12.3 1.13.1"),
        ("2.15.0", "2.15.0"),
        ("..2.15", "1.8.0 1.9.0 1.10.0 1.10.1 1.12.0 1.12.3 1.13.1 1.14.0 2.15.0 2.15.0.post1"),
        ("1.10.1..1.10", "1.10.1"),
        ("1.9.0rc1", "1.9.0rc1"),
        ("1.9.0rc1..1.9.0", "1.9.0rc1 1.9.0"),
        ("1.11.0", "1.11.0"),
        (">=1.9,<1.13", "1.9.0 1.10.0 1.10.1 1.12.0 1.12.3"),
        (">=1.9 , !=1.10.1, <1.13", "1.9.0 1.10.0 1.12.0 1.12.3"),
        ("~=1.12", "1.12.0 1.12.3 1.13.1 1.14.0"),
        ("==1.10.*,1.14.0", "1.10.0 1.10.1 1.14.0"),
        ("latest", "2.16.1"),
        ("1.14..latest", "1.14.0 2.15.0 2.15.0.post1 2.16.1"),
        ("2.x", "2.15.0 2.15.0.post1 2.16.1"),
        ("1.12.x", "1.12.0 1.12.3"),
        ("1.12.*..1.x", "1.12.0 1.12.3 1.13.1 1.14.0"),
    ],
)
def test_a_range_names_these_releases(text: str, versions: str) -> None:
    assert select(parse_releases(text), TENSORFLOW) == tuple(versions.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2.3..1.14", "2.3 is newer than 1.14; swap the ends."),
        ("1.12.3..1.12.0", "1.12.3 is newer than 1.12.0; swap the ends."),
        ("", "no releases given"),
        (" , ", "no releases given"),
        ("1.9...1.14", "'.1.14' is not a release"),
        ("newest", "'newest' is not a release"),
        (">=banana", "'>=banana' is not a condition; write such as >=1.9,<1.15"),
        (">=1.9," * 51, "51 ranges given, more than 50"),
        ("latest..1.9", "latest is newer than 1.9; swap the ends."),
        ("20231301", "no release 20231301;"),
        ("2015-01-01", "no release 2015-01-01;"),
        ("1.9..x", "'x' is not a release"),
        ("3..", "no release in '3..'; there are 1.8.0 to 2.16.1."),
        ("1.13.0", "no release 1.13.0; the nearest are 1.12.3 and 1.13.1."),
        ("1.9.0,1.99.0", "no release 1.99.0; the nearest are 1.14.0 and 2.15.0."),
        ("1.11", "no release 1.11;"),
        ("1." + "9" * 5000, "is not a release"),
        ("1.9..1.14," * 60, "60 ranges given, more than 50"),
        ("1.9.0," * 2000, "12000 characters, more than 10000"),
    ],
)
def test_a_range_that_cannot_be_used_says_why(text: str, words: str) -> None:
    with pytest.raises(RangeError) as error:
        select(parse_releases(text), TENSORFLOW)
    assert words in error.value.message
    assert error.value.field == "releases"


def test_candidates_come_in_by_the_flag() -> None:
    assert select(parse_releases("1.8..1.9"), TENSORFLOW, prereleases=True) == ("1.8.0", "1.9.0rc1", "1.9.0")


def test_what_the_index_dropped_comes_in_only_for_stored_answers() -> None:
    assert select(parse_releases("1.7..1.8"), TENSORFLOW) == ("1.8.0",)
    assert select(parse_releases("1.7..1.8"), TENSORFLOW, keep_gone=True) == ("1.7.0", "1.8.0")


@pytest.mark.parametrize("text", ["20260902..20260903", "2026-09-02..2026-09-03", "20260902,20260903"])
def test_nightlies_are_named_by_date(text: str) -> None:
    assert select(parse_releases(text), NIGHTLIES) == ("2.22.0.dev20260902", "2.22.0.dev20260903")


def test_a_date_means_uploads_where_a_package_has_no_nightlies() -> None:
    days = {"1.0.0": "2018-01-05", "1.1.0": "2018-04-20", "1.2.0": "2018-07-09", "2.0.0": "2018-09-27"}
    dated = [
        replace(release(version), uploaded=datetime.fromisoformat(f"{day}T12:00Z")) for version, day in days.items()
    ]
    for text, versions in [
        ("2018-04-20..2018-08-01", "1.1.0 1.2.0"),
        ("2018-05-01..", "1.2.0 2.0.0"),
        ("1.0..20180420", "1.0.0 1.1.0"),
        ("2018-08-01", "1.2.0"),
    ]:
        assert select(parse_releases(text), dated) == tuple(versions.split())


def test_a_release_may_have_the_number_of_a_date() -> None:
    dated = [release("20231228"), release("20240101")]
    assert select(parse_releases("20231228"), dated) == ("20231228",)
    assert select(parse_releases("20231228..20240101"), dated) == ("20231228", "20240101")


def test_a_prefix_means_releases_of_its_own_epoch() -> None:
    dated = [release("0.2.0"), release("1!0.2.0"), release("1!0.3.0")]
    assert select(parse_releases("0.2"), dated) == ("0.2.0",)
    assert select(parse_releases("1!0.2..1!0.3"), dated) == ("1!0.2.0", "1!0.3.0")


def test_numbers_that_a_package_leaves_out_again_and_again_are_not_listed() -> None:
    uneven = [
        release(f"{year}.{month}.{patch}") for year in range(2018, 2026) for month in (1, 5, 9) for patch in (1, 2)
    ]
    assert absent(parse_releases(".."), uneven) == ()


def test_what_is_on_the_index_as_source_only_is_not_absent() -> None:
    assert absent(parse_releases(".."), [release("0.3.0"), release("0.3.2")], ["0.3.1"]) == ()


def test_a_package_with_nightlies_alone_needs_no_flag() -> None:
    assert len(select(parse_releases("2.22.."), NIGHTLIES)) == len(NIGHTLIES)


@pytest.mark.parametrize(
    ("text", "listed", "missing"),
    [
        ("1.9..1.14", "", "1.12.1 1.12.2 1.13.0"),
        ("1.13..1.14", "", "1.13.0"),
        ("1.14..", "", "2.16.0"),
        ("1.10.1,1.14.0", "", ""),
        ("1.0.49..1.0.50", "1.0.48 1.0.49 1.0.50 1.0.403778684", ""),  # a package on the index does this
        ("..", "2018.1.18 2018.4.16 2018.8.13 2018.8.24", ""),
        ("..", "1.0.0 1.0.1 1.0.3 1.0.99999999999999999999999", ""),
        ("..", "1.0.0 1.0.1 1.0.3 1.0.4", "1.0.2"),
        ("..", "1.0.0.0 1.0 1.0.2", ""),
    ],
)
def test_patches_that_never_came_out_are_named_where_they_are_numbered(text: str, listed: str, missing: str) -> None:
    releases = [release(version) for version in listed.split()] or TENSORFLOW
    assert absent(parse_releases(text), releases) == tuple(missing.split())


def test_a_package_without_any_wheel_says_so() -> None:
    with pytest.raises(RangeError, match="the package has none for Linux"):
        select(parse_releases("1.."), [])
