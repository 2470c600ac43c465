"""What a change comes from, over a real store; runs and environments are made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from service.bisection.outcomes import RunReport
from service.catalog.environments import Environment, Environments
from service.catalog.targets import Target
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.errors import NotInstallable
from service.execution.runner import RunRequest
from tests.web.world import TUTORIAL, MadeUpEnvironments, MadeUpRuns, World, dropout_report, losses

RELEASES = ("1.9.0", "1.10.0", "1.11.0", "1.12.0")
OF_ITS_DAY = {
    "1.9.0": {"numpy": "1.14.5", "six": "1.11.0"},
    "1.10.0": {"numpy": "1.14.5", "six": "1.11.0"},
    "1.11.0": {"numpy": "1.15.4", "six": "1.12.0"},
    "1.12.0": {"numpy": "1.15.4", "six": "1.12.0"},
}
Breaks = Callable[[str, Mapping[str, str]], bool]


def versions_in(target: Target) -> dict[str, str]:
    """Return what stands beside a release: of its day, or as held."""
    return OF_ITS_DAY[target.release] | dict(pin.split("==") for pin in target.hold.pins)


@dataclass
class HeldEnvironments(MadeUpEnvironments):
    """Resolves every release with what it holds, but for what does not go together."""

    tied: Mapping[str, str] = field(default_factory=dict)
    """Package -> first release that takes its newer version, and no older one."""
    asked: int = 0

    def known(self, target: Target) -> Environment:
        environment = super().known(target)
        held = "".join(f"{pin}\n" for pin in target.hold.pins)
        return replace(environment, lock=environment.lock + held)

    def known_failure(self, target: Target) -> str:
        assert not any(pin.startswith("tensor") for pin in target.hold.pins), "its own family is never held"
        versions, place = versions_in(target), RELEASES.index(target.release)
        needs = {name: first if place >= RELEASES.index(first) else RELEASES[0] for name, first in self.tied.items()}
        wrong = [name for name, like in needs.items() if versions[name] != OF_ITS_DAY[like][name]]
        return f"{wrong[0]} does not go with it" if wrong else ""

    def resolve(self, target: Target) -> Environment:
        self.asked += 1
        if failure := self.known_failure(target):
            raise NotInstallable(failure)
        return self.known(target)


class BridgedWorld(World):
    def __init__(self, folder: Path, breaks: Breaks, tied: Mapping[str, str] | None = None) -> None:
        self.made_up = HeldEnvironments(tied=tied or {})

        def report(request: RunRequest) -> RunReport:
            versions = versions_in(request.target)
            measured = losses(broken=breaks(request.target.release, versions))
            result = {"kind": "measured", "measurements": measured}
            own = request.target.release
            packages = {"tensorflow": own, "tensorboard": own, **versions}
            return replace(dropout_report(request), result=result, python="3.6.15", packages=packages)

        super().__init__(folder, MadeUpRuns(report=report), bridges=True)

    @cached_property
    def environments(self) -> Environments:
        return self.made_up  # type: ignore[return-value]


def is_new(release: str) -> bool:
    return RELEASES.index(release) >= 2


def by_release(release: str, _versions: Mapping[str, str]) -> bool:
    return is_new(release)


def by_numpy(_release: str, versions: Mapping[str, str]) -> bool:
    return versions["numpy"] == "1.15.4"


@pytest.fixture
def world_where(tmp_path: Path) -> Iterator[Callable[..., BridgedWorld]]:
    opened: list[BridgedWorld] = []

    def make(breaks: Breaks, tied: Mapping[str, str] | None = None) -> BridgedWorld:
        opened.append(BridgedWorld(tmp_path, breaks, tied))
        return opened[-1]

    yield make
    for world in opened:
        world.close()


def bisected(world: World, **more: Any) -> Mapping[str, Any]:
    request = BisectionRequest(snippet=TUTORIAL, probe="dropout", releases=",".join(RELEASES), branches="none", **more)
    finished = world.submission.run(request, Silent(), ready=lambda: None)
    assert finished.verdict is not None, finished.error
    return finished.verdict


def test_a_release_that_breaks_in_the_older_environment_too_is_the_cause(
    world_where: Callable[..., BridgedWorld],
) -> None:
    verdict = bisected(world_where(by_release))
    cause = verdict["changes"][0]["cause"]
    assert (cause["axis"], cause["runs"]) == ("release", 2)
    assert cause["package"] == {"name": "tensorflow", "before": "1.10.0", "after": "1.11.0"}
    assert [each["name"] for each in cause["differs"]] == ["numpy", "six", "tensorboard"]
    assert verdict["summary"] == "Introduced in 1.11.0: drops became never-drops."


def test_what_comes_with_a_package_is_never_said_to_be_in_the_release(world_where: Callable[..., BridgedWorld]) -> None:
    verdict = bisected(world_where(by_numpy))
    cause = verdict["changes"][0]["cause"]
    assert (cause["axis"], cause["alike"]) == ("environment", "1.10.0")
    assert cause["package"] == {"name": "numpy", "before": "1.14.5", "after": "1.15.4"}
    assert verdict["summary"] == (
        "Introduced with numpy 1.14.5 to 1.15.4, which came along with 1.11.0 (1.10.0 itself behaves in both ways): "
        "drops became never-drops."
    )


def test_a_second_request_is_answered_from_stored_bridges(world_where: Callable[..., BridgedWorld]) -> None:
    world = world_where(by_numpy)
    first, runs = bisected(world), world.runs.calls
    again = bisected(world)
    assert world.runs.calls == runs
    assert again["changes"] == first["changes"]


def test_what_goes_only_with_its_release_leaves_the_cause_unknown(world_where: Callable[..., BridgedWorld]) -> None:
    world = world_where(by_release, {"six": "1.11.0"})
    verdict = bisected(world)
    cause = verdict["changes"][0]["cause"]
    assert (cause["axis"], [each["name"] for each in cause["named"]]) == ("unknown", ["six"])
    assert verdict["summary"] == (
        "Introduced in 1.11.0 (or with six 1.11.0 to 1.12.0: no environment has one without the other): "
        "drops became never-drops."
    )
    runs = world.runs.calls
    assert bisected(world)["changes"] == verdict["changes"]
    assert world.runs.calls == runs


def test_a_package_is_named_although_another_goes_only_with_its_release(
    world_where: Callable[..., BridgedWorld],
) -> None:
    cause = bisected(world_where(by_numpy, {"six": "1.11.0"}))["changes"][0]["cause"]
    assert (cause["axis"], cause["package"]["name"]) == ("environment", "numpy")


def test_without_why_no_bridge_is_run(world_where: Callable[..., BridgedWorld]) -> None:
    world = world_where(by_numpy)
    verdict = bisected(world, why=False)
    assert "cause" not in verdict["changes"][0]
    assert verdict["runs"]["executed"] == world.runs.calls
