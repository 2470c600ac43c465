"""Two lock files and a script, over a real store; runs and environments are made up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from service.bisection.outcomes import RunReport
from service.bisection.upgrades import Upgrades
from service.causes.lock_pairs import LockPair, differing, likeliest_first, package_under_test
from service.cli.why_locks import as_told, common_python, lines
from service.coordination.intake import BisectionRequest
from service.errors import BadInput
from service.execution.runner import RunRequest
from tests.coordination.test_bridging import BridgedWorld, by_numpy, by_release
from tests.web.world import TUTORIAL

OLD = {"tensorflow": "1.10.0", "numpy": "1.14.5", "six": "1.11.0", "black": "18.9"}
NEW = {"tensorflow": "1.11.0", "numpy": "1.15.4", "six": "1.12.0", "black": "19.3"}
Breaks = Callable[[str, Mapping[str, str]], bool]
MakePair = Callable[..., LockPair]


class LockedWorld(BridgedWorld):
    """Installs what a script needs, and not all that a lock pins."""

    def execute(self, request: RunRequest, cancelled: threading.Event) -> RunReport:
        report = super().execute(request, cancelled)
        return replace(report, packages={name: each for name, each in report.packages.items() if name != "black"})


@pytest.fixture
def pair_where(tmp_path: Path) -> Iterator[MakePair]:
    opened: list[LockedWorld] = []

    def make(breaks: Breaks, tied: Mapping[str, str] | None = None, new: Mapping[str, str] = NEW) -> LockPair:
        world = LockedWorld(tmp_path, breaks, tied)
        opened.append(world)
        releases = ",".join(dict.fromkeys([OLD["tensorflow"], new["tensorflow"]]))
        request = BisectionRequest(snippet=TUTORIAL, probe="dropout", releases=releases, why=False)
        case = world.intake.case(request)
        return LockPair(world.laboratory, case, (OLD, new), "tensorflow", "3.6", "2026-11-26T00:00:00+00:00")

    yield make
    for world in opened:
        world.close()


def found_in(pair: LockPair) -> Upgrades:
    parts = pair.look()
    assert parts == ("numpy", "six", "tensorflow"), "black is not installed for this script"
    found = pair.search(likeliest_first(parts, "tensorflow", ["numpy"]), 60)
    assert isinstance(found, Upgrades)
    return found


def test_the_package_that_came_along_is_named_and_not_the_framework(pair_where: MakePair) -> None:
    pair = pair_where(by_numpy)
    found = found_in(pair)
    assert (found.packages, found.along, found.reverting_restores) == (("numpy",), (), True)
    text = "\n".join(lines(found, pair, ("numpy", "six", "tensorflow"), "script.py"))
    assert f"What changes {pair.aspect}: numpy 1.14.5 to 1.15.4." in text
    assert "4 packages differ; 3 of them are installed for this script." in text
    assert "tfbisect run script.py --package numpy --releases 1.14.5..1.15.4 --with tensorflow==1.11.0" in text


def test_the_framework_is_named_where_it_is_the_framework(pair_where: MakePair) -> None:
    found = found_in(pair_where(by_release))
    assert (found.packages, found.along) == (("tensorflow",), ())


def test_what_cannot_be_installed_without_the_framework_is_not_blamed(pair_where: MakePair) -> None:
    found = found_in(pair_where(by_release, {"six": "1.11.0"}))
    assert found.packages in (("tensorflow",), ("tensorflow", "six"))
    assert "numpy" not in (*found.packages, *found.along)


def test_only_packages_may_differ(pair_where: MakePair) -> None:
    pair = pair_where(by_numpy, new={**NEW, "tensorflow": "1.10.0"})
    parts = pair.look()
    assert parts == ("numpy", "six", "tensorflow")[:2]
    found = pair.search(parts, 60)
    assert as_told(found, pair, parts)["packages"] == [{"name": "numpy", "before": "1.14.5", "after": "1.15.4"}]


def test_locks_with_which_the_script_does_the_same_are_refused(pair_where: MakePair) -> None:
    pair = pair_where(lambda _release, _versions: False)
    with pytest.raises(BadInput, match="the same with both locks"):
        pair.look()


def test_the_same_question_again_costs_no_run(pair_where: MakePair) -> None:
    pair = pair_where(by_numpy)
    found_in(pair)
    again = LockPair(pair.laboratory, pair.case, pair.locks, pair.package, pair.python, pair.as_of)
    assert found_in(again).packages == ("numpy",)
    assert (pair.runs > 0, again.runs) == (True, 0)


def test_the_package_that_is_imported_first_is_in_both_locks() -> None:
    assert package_under_test(OLD, NEW, "") == "tensorflow"
    assert package_under_test(OLD, NEW, "NumPy") == "numpy"
    with pytest.raises(BadInput, match="name a package that both pin"):
        package_under_test({"numpy": "1"}, {"numpy": "2"}, "")
    with pytest.raises(BadInput, match="not both locks pin jax"):
        package_under_test(OLD, NEW, "jax")


def test_what_only_one_lock_has_differs() -> None:
    assert differing({"a": "1", "b": "1"}, {"a": "1", "c": "1"}) == ["b", "c"]


def test_one_interpreter_serves_both_or_each_has_its_own() -> None:
    class Wheels:
        def __init__(self, *pythons: str) -> None:
            self.pythons = pythons

        def accepts(self, python: str) -> bool:
            return python in self.pythons

    assert common_python([Wheels("3.8", "3.10"), Wheels("3.10", "3.12")]) == "3.10"
    assert common_python([Wheels("3.6"), Wheels("3.10")]) == ""
    assert common_python([None, Wheels("3.10")]) == ""
