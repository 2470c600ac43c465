"""What a bisection says of the packages that stand beside its releases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.catalog.additions import cannot_be_added, not_addable
from service.catalog.environments import Environment
from service.catalog.targets import Target
from service.cli.terminal import verdict_lines
from service.coordination.intake import BisectionRequest
from service.coordination.progress import Silent
from service.errors import BadInput, NotInstallable
from service.reports.readings import Readings
from service.reports.views import Views
from service.storage.records import ADMIN
from tests.web.world import TUTORIAL, MadeUpEnvironments, World

ASKED = {"snippet": "import scipy\n" + TUTORIAL, "releases": "1.9..1.14", "with": ["pandas"]}


class WithoutPandas(MadeUpEnvironments):
    """Environments of days on which there was no pandas before 1.11."""

    def resolve(self, target: Target) -> Environment:
        if target.release < "1.11" and "pandas" in target.additions:
            raise NotInstallable(cannot_be_added(["pandas"], f"tensorflow {target.release}", "no version has a wheel"))
        return super().resolve(target)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.__dict__["environments"] = WithoutPandas()
    yield made
    made.close()


def test_the_verdict_says_what_was_added_and_which_addition_cost_how_many_releases(world: World) -> None:
    finished = world.submission.run(BisectionRequest.model_validate(ASKED), Silent(), ready=lambda: None)
    assert finished.verdict is not None
    assert finished.verdict["additions"] == [
        {"requirement": "pandas", "from": "request", "untestable": 2},
        {"requirement": "scipy", "from": "import", "untestable": 0},
    ]
    reasons = [gap["reason"] for gap in finished.verdict["untestable"] if not_addable(gap["reason"])]
    assert len(reasons) == 2
    said = "Beside each release: pandas; scipy (imported). pandas made 2 releases untestable."
    assert finished.verdict["words"].endswith(said)
    terminal = "\n".join(line.plain for line in verdict_lines(finished.verdict, frozenset({"drops"})))
    assert "Beside each release: pandas; scipy (imported)." in terminal
    assert said in world.markdown(finished.verdict["id"]).replace("\\", "")
    reading = Readings(world).reading(finished.verdict["id"], ADMIN)
    assert Views(world).of(reading, None).additions == said
    assert "--with pandas" in finished.verdict["changes"][0]["reproduce"]["after"]


def test_every_release_is_run_with_what_it_needs(world: World) -> None:
    case = world.intake.case(BisectionRequest.model_validate(ASKED))
    assert case.target("1.14.0") == Target("tensorflow", "1.14.0", "cpu", None, ("pandas",), ("scipy",))
    legacy = "import os\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\n" + TUTORIAL
    case = world.intake.case(BisectionRequest(snippet=legacy))
    old, new = (case.target(release) for release in ("2.15.0", "2.16.1"))
    assert (old.imports, old.variables) == ((), ())
    assert (new.imports, new.variables) == (("tf-keras",), (("TF_USE_LEGACY_KERAS", "1"),))


def test_a_page_never_asks_the_index_for_an_addition(world: World) -> None:
    request = BisectionRequest.model_validate({**ASKED, "with": ["never-looked-up"]})
    assert world.intake.at_rest().case(request).additions


def test_a_service_says_what_may_be_added(tmp_path: Path) -> None:
    with closing(World(tmp_path, additions="pandas", additions_at_most=1)) as strict:
        _is_strict(strict)
    with closing(World(tmp_path / "2", additions_at_most=1)) as short:
        request = BisectionRequest.model_validate({**ASKED, "with": ["pandas", "polars"]})
        with pytest.raises(BadInput, match="at most 1 may be"):
            short.intake.case(request)


def _is_strict(strict: World) -> None:
    case = strict.intake.case(BisectionRequest.model_validate(ASKED))
    assert [each.requirement for each in case.additions] == ["pandas"]
    with pytest.raises(BadInput, match="only these packages: pandas"):
        strict.intake.case(BisectionRequest.model_validate({**ASKED, "with": ["polars"]}))
