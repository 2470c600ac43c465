"""A real TensorFlow through each runner: the answer is the release's own, whatever it runs in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bisection.outcomes import Outcome, classify
from service.bootstrap import House
from service.catalog.targets import Target
from service.errors import TfbisectError
from service.execution.runner import RunRequest
from service.settings import Settings

TUTORIAL = Path(__file__).parents[2] / "examples" / "dropout_tutorial.py"
TARGET = Target("tensorflow", "1.12.0")


@pytest.fixture(
    params=[pytest.param("docker", marks=pytest.mark.containers), pytest.param("local", marks=pytest.mark.local)]
)
def house(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[House]:
    opened = House(Settings(data_dir=data_dir / request.param, runner=request.param))
    try:
        opened.runner.prepare(TARGET)
    except TfbisectError as error:
        pytest.skip(error.message)
    yield opened
    opened.close()


@pytest.mark.index
def test_the_tutorial_never_drops_in_1_12_cold_and_warm(house: House) -> None:
    probe = house.probes["dropout"]
    request = RunRequest(
        "run", TARGET, probe.harness_source, probe.probe_source, "tensorflow", TUTORIAL.read_text(encoding="utf-8")
    )
    cold = house.runner.run(request, threading.Event())
    house.runner.warm(TARGET, "tensorflow")
    warm = house.runner.run(request, threading.Event())
    for report in (cold, warm):
        answer = classify(report, probe.judge)
        assert isinstance(answer, Outcome), (answer, report.output)
        assert answer.label == "never-drops"
        assert report.packages["tensorflow"] == "1.12.0"
        assert report.python.startswith("3.6.")
    assert warm.seconds["start"] > 0
