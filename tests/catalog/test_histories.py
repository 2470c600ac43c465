"""The history of a package comes from what its index knows: which releases came late, and which have nothing to run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from pypi_simple import DistributionPackage

from service.bisection.outcomes import Outcome
from service.bisection.planner import NextRuns, Policy, plan
from service.bisection.releases import ReleaseTree, minor_of
from service.bisection.verdict import Verdict, changes_of
from service.bisection.words import one_line
from service.catalog.histories import history_of, late_releases
from service.catalog.releases import NO_DATE, OTHER_SYSTEMS, SOURCE_ONLY, CatalogRelease, unbuilt_of

JAX = {
    "0.4.34": "2024-10-04",
    "0.4.35": "2024-10-22",
    "0.4.36": "2024-12-05",
    "0.4.37": "2024-12-10",
    "0.4.38": "2024-12-17",
    "0.5.0": "2025-01-17",
}
NUMPY = {"1.21.4": "2021-11-04", "1.21.5": "2021-12-19", "1.22.0": "2021-12-31", "1.21.6": "2022-04-12"}
TENSORFLOW = {
    "1.10.0": "2018-08-08",
    "1.10.1": "2018-08-24",
    "1.11.0": "2018-09-27",
    "1.12.0": "2018-11-05",
    "1.13.1": "2019-02-26",
    "1.12.3": "2019-06-11",
}


def listed(days: Mapping[str, str]) -> list[CatalogRelease]:
    """Return a catalog's rows from the days of the uploads."""
    return [
        CatalogRelease(version, datetime.fromisoformat(day).replace(tzinfo=UTC), ("3",), 1)
        for version, day in days.items()
    ]


def tree_from(package: str, days: Mapping[str, str]) -> ReleaseTree:
    return history_of(package, listed(days), days)


def verdict_on(tree: ReleaseTree, bad: set[str]) -> Verdict:
    """Bisect a history in which some releases misbehave."""
    answers: dict[str, list[Outcome]] = {}
    while isinstance(step := plan(tree, answers, Policy(expected=frozenset({"good"}))), NextRuns):
        for run in step.runs:
            answers.setdefault(run.release, []).append(Outcome("bad" if run.release in bad else "good"))
    return step


def test_a_package_that_goes_straight_on_has_no_branches() -> None:
    tree = tree_from("jax", JAX)
    assert (tree.mainline, dict(tree.branches)) == (tuple(JAX), {})


def test_a_change_in_a_patch_that_stays_is_introduced_there_and_only_there() -> None:
    verdict = verdict_on(tree_from("jax", JAX), {"0.4.36", "0.4.37", "0.4.38", "0.5.0"})
    assert one_line(verdict) == "Introduced in 0.4.36: good became bad."


def test_what_came_after_the_next_minor_hangs_on_a_branch() -> None:
    tree = tree_from("numpy", NUMPY)
    assert tree.mainline == ("1.21.4", "1.21.5", "1.22.0")
    assert dict(tree.branches) == {"1.21": ("1.21.5", "1.21.6")}
    assert tree.all() == ("1.21.4", "1.21.5", "1.21.6", "1.22.0")


def test_the_history_of_tensorflow_has_the_first_release_of_each_minor_and_branches() -> None:
    tree = tree_from("tensorflow", TENSORFLOW)
    assert tree.mainline == ("1.10.0", "1.11.0", "1.12.0", "1.13.1")
    assert dict(tree.branches) == {"1.10": ("1.10.0", "1.10.1"), "1.12": ("1.12.0", "1.12.3")}


def test_what_is_late_does_not_depend_on_the_range_asked() -> None:
    late = history_of("numpy", listed(NUMPY), ["1.21.5", "1.21.6"])
    assert dict(late.branches) == {"1.21": ("1.21.5", "1.21.6")}


def test_wheels_for_a_newer_python_do_not_make_a_release_late() -> None:
    of_2021 = datetime(2021, 11, 4, tzinfo=UTC)
    rows = [CatalogRelease("1.21.4", datetime(2023, 1, 1, tzinfo=UTC), ("3",), 1, began=of_2021), *listed(NUMPY)[1:]]
    assert late_releases(rows) == frozenset({"1.21.6"})


def test_without_dates_every_patch_release_counts_as_a_branch() -> None:
    rows = [CatalogRelease(version, NO_DATE, ("3",), 1) for version in NUMPY]
    assert late_releases(rows) is None
    assert history_of("numpy", rows, NUMPY).mainline == ("1.21.4", "1.22.0")


def test_an_epoch_begins_minors_of_its_own() -> None:
    assert [minor_of(version) for version in ("0.2.0", "1!0.2.0")] == ["0.2", "1!0.2"]
    days = {"0.2.0": "2020-01-01", "0.2.1": "2022-01-01", "1!0.1.0": "2021-01-01", "1!0.2.0": "2023-01-01"}
    tree = tree_from("epochal", days)
    assert tree.mainline == ("0.2.0", "1!0.1.0", "1!0.2.0")
    assert dict(tree.branches) == {"0.2": ("0.2.0", "0.2.1")}


def test_a_minor_with_many_patches_is_searched_along_them() -> None:
    versions = [f"1.26.{patch}" for patch in range(166)]
    first = datetime(2022, 10, 1, tzinfo=UTC)
    rows = [CatalogRelease(each, first + timedelta(days=at), ("3",), 1) for at, each in enumerate(versions)]
    tree = history_of("boto3", rows, versions)
    (change,) = changes_of(verdict_on(tree, set(versions[101:])))
    assert (change.before, change.after) == ("1.26.100", "1.26.101")


def test_a_release_that_is_only_a_source_package_is_a_gap_that_costs_no_run() -> None:
    tree = history_of("jax", listed(JAX), ("0.4.34", "0.4.36", "0.4.37"), {"0.4.35": SOURCE_ONLY})
    verdict = verdict_on(tree, {"0.4.36", "0.4.37"})
    (change,) = changes_of(verdict)
    assert (change.before, change.between, change.after) == ("0.4.34", ("0.4.35",), "0.4.36")
    assert [(gap.release, gap.reason) for gap in verdict.gaps] == [("0.4.35", SOURCE_ONLY)]
    assert verdict.coverage.measured == 3


def test_a_yanked_release_between_the_two_sides_of_a_change_is_named() -> None:
    tree = tree_from("jax", JAX)
    tree = ReleaseTree(tree.mainline, yanked=("0.4.35.1", "0.4.37.1"), late=tree.late)
    verdict = verdict_on(tree, {"0.4.36", "0.4.37", "0.4.38", "0.5.0"})
    assert one_line(verdict) == "Introduced in 0.4.36 (0.4.35.1, yanked, not asked): good became bad."


@pytest.mark.parametrize(
    ("files", "unbuilt"),
    [
        (["thing-1.0.0.tar.gz"], {"1.0.0": SOURCE_ONLY}),
        (["thing-1.0.0-cp39-cp39-win_amd64.whl", "thing-1.0.0.tar.gz"], {"1.0.0": OTHER_SYSTEMS}),
        (["thing-1.0.0.zip", "thing-1.1.0.tar.gz"], {"1.0.0": SOURCE_ONLY, "1.1.0": SOURCE_ONLY}),
        (["thing-2.0.0.tar.gz"], {}),
        (["thing-1.0.0.win32.exe"], {}),
    ],
)
def test_what_the_index_has_without_a_wheel_for_linux_is_known(files: list[str], unbuilt: dict[str, str]) -> None:
    assert (
        unbuilt_of(
            [
                DistributionPackage.from_json_data({"filename": name, "url": f"/{name}", "hashes": {}}, None)
                for name in files
            ],
            {"2.0.0"},
        )
        == unbuilt
    )
