"""Checks of images, and the table that they make."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.bisection.outcomes import Lost, Outcome, RunReport, Untestable
from service.catalog.targets import Target
from service.errors import EngineLost
from service.images import disk
from service.images.checks import (
    Check,
    Checker,
    Ledger,
    Libraries,
    check_all,
    image_problem,
    libraries_of,
    question_about,
    table_of,
)
from service.images.engine import BuildFailed
from service.images.progress import BuildProgress
from tests.images.local_index import LocalIndex, served
from tests.images.memory_engine import MemoryEngine
from tests.images.worlds import OfflineHouse, tiny_index
from tests.probes.protocol import PROBES
from tests.web.world import losses

CPU, CUDA = Target("tiny", "1.0"), Target("tiny", "1.0", "cuda")
DROPS = RunReport(
    "answered", result={"kind": "measured", "measurements": losses(broken=False)}, seconds={"import": 1.25}
)
CHECK = Check(
    "tensorflow", "1.12.0", "cpu", "2026-11-24", python="3.6", image="tfbisect/tensorflow:1", bytes=640_400_000,
    build_seconds=12.34, import_seconds=0.61, outcome="drops",
)  # fmt: skip
NO_DEVICE = "untestable: no CUDA device: this machine has none"


def lines(*checks: Check) -> list[str]:
    return table_of(checks).splitlines()[2:]


def test_the_table_has_a_line_for_each_check_in_version_order() -> None:
    newer = replace(CHECK, release="1.2.0"), replace(CHECK, release="1.10.0"), replace(CHECK, hardware="cuda")
    assert [line.split(" | ")[:2] for line in lines(*newer, CHECK)] == [
        ["| 1.2.0", "cpu"], ["| 1.10.0", "cpu"], ["| 1.12.0", "cpu"], ["| 1.12.0", "cuda"]
    ]  # fmt: skip
    assert lines(CHECK) == ["| 1.12.0 | cpu | 3.6 | 640 | 12.3 | 0.6 | drops |"]


def test_the_table_leaves_empty_what_was_not_measured_and_names_other_packages() -> None:
    check = replace(CHECK, package="tf-nightly", release="2.22.0.dev1", build_seconds=None, import_seconds=None)
    assert lines(check) == ["| tf-nightly 2.22.0.dev1 | cpu | 3.6 | 640 |  |  | drops |"]


def test_the_table_says_in_one_cell_why_an_image_failed() -> None:
    check = Check("tensorflow", "9.9.9", "cpu", "2026-11-24", problem="no | wheel\n fits")
    assert lines(check) == ["| 9.9.9 | cpu |  |  |  |  | failed: no / wheel fits |"]


def test_the_table_says_where_the_names_of_the_libraries_came_from() -> None:
    cuda = replace(CHECK, hardware="cuda", libraries=("libcudart.so.12", "libcublasLt.so.12"), outcome=NO_DEVICE)
    assert lines(cuda)[0].endswith(f"| 2 CUDA libraries of its recipe, and each of them loads; {NO_DEVICE} |")
    asked = replace(cuda, asked=("libcudart.so.12",))
    assert lines(asked)[0].endswith(f"| 1 CUDA library that it opens, and each of them loads; {NO_DEVICE} |")


def answer_of_the_image(**changes: object) -> str:
    answer = {"asked": ["libcudart.so.12"], "loaded": ["libcudart.so.12"], "errors": {}, "is_cuda_build": True}
    return f"a warning of the framework\n{json.dumps({**answer, **changes})}\n"


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (answer_of_the_image(), ""),
        (answer_of_the_image(errors={"libcudnn.so.8": "cannot open"}), "libcudnn.so.8: cannot open"),
        (answer_of_the_image(is_cuda_build=False), "the release was built without CUDA"),
    ],
)
def test_a_library_that_does_not_load_is_the_problem(output: str, problem: str) -> None:
    assert libraries_of(output) == Libraries(("libcudart.so.12",), ("libcudart.so.12",), problem)


@pytest.mark.parametrize(
    ("report", "answer", "target", "problem"),
    [
        (DROPS, Outcome("drops"), CPU, ""),
        (DROPS, Outcome("never-drops"), CPU, ""),
        (RunReport("answered"), Untestable("its controls are blind"), CPU, "untestable: its controls are blind"),
        (RunReport("unprepared", "no CUDA device"), Untestable("no CUDA device: none"), CUDA, ""),
        (RunReport("unprepared", "no CUDA device"), Untestable("no CUDA device: none"), CPU, "no CUDA device"),
        (RunReport("lost", "the engine went away"), Lost("the engine went away"), CPU, "the engine went away"),
    ],
)  # fmt: skip
def test_a_behaviour_is_no_fault_of_an_image(
    report: RunReport, answer: Outcome | Untestable | Lost, target: Target, problem: str
) -> None:
    assert image_problem(report, answer, target) == problem


def test_the_ledger_gives_the_last_check_and_the_build_time_of_the_image_that_was_checked(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "checks.jsonl")
    assert ledger.latest() == []
    again = replace(CHECK, checked="2026-11-25", build_seconds=None, import_seconds=0.5, asked=("libcudart.so.12",))
    for check in (CHECK, again):
        ledger.append(check)
    assert ledger.latest() == [replace(again, build_seconds=12.34)]
    other_image = replace(again, image="tfbisect/tensorflow:2")
    ledger.append(other_image)
    assert ledger.latest() == [other_image]


def test_a_ledger_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "checks.jsonl")
    ledger.append(CHECK)
    text = (tmp_path / "checks.jsonl").read_text()
    (tmp_path / "checks.jsonl").write_text(text.replace('"asked": [], ', "").replace('"lost": false, ', ""))
    assert ledger.latest() == [CHECK]


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with served(tiny_index()) as answering:
        yield answering


@pytest.fixture
def house(tmp_path: Path, index: LocalIndex, monkeypatch: pytest.MonkeyPatch) -> Iterator[OfflineHouse]:
    # CUDA wants more room than the machine of a test may have, and nothing of it is written.
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 10**15)
    opened = OfflineHouse(tmp_path, index, MemoryEngine())
    opened.answers.update(dict.fromkeys(("1.0", "1.1", "2.0"), DROPS))
    yield opened
    opened.close()


def checker_of(house: OfflineHouse) -> Checker:
    # The index of these tests has a package of its own, which is to count as one with models.
    dropout = replace(house.probes["dropout"], frameworks={"tiny": "tensorflow"})
    return Checker(house.environments, house.images, house.runner, {**house.probes, "dropout": dropout}, 30)


@pytest.mark.parametrize(
    ("package", "probe", "framework", "said"),
    [
        ("tensorflow", "dropout", "tensorflow", "tf.keras"),
        ("intel-tensorflow", "dropout", "tensorflow", "tf.keras"),
        ("keras", "dropout", "keras", "import keras\n"),
        ("torch", "dropout", "torch", "torch.nn.Dropout"),
        ("six", "script", "", ""),
    ],
)
def test_an_image_is_asked_what_its_package_can_answer(package: str, probe: str, framework: str, said: str) -> None:
    question = question_about(package, PROBES)
    assert (question.probe.name, question.framework) == (probe, framework)
    assert said in question.snippet
    assert "tf." not in question.snippet or framework == "tensorflow"


def quietly(_: BuildProgress) -> None:
    """Tell nobody."""


def test_a_check_builds_runs_the_probe_and_notes_what_it_took(house: OfflineHouse) -> None:
    checker = checker_of(house)
    first, second = (checker.check(CPU, quietly) for _ in range(2))
    assert (first.outcome, first.problem, first.python) == ("drops", "", "3.11")
    assert (first.import_seconds, first.packages) == (1.25, {"helper": "1.0", "tiny": "1.0"})
    assert first.bytes > 0
    assert first.build_seconds is not None
    assert second.build_seconds is None


def test_a_release_that_cannot_be_built_is_a_check_with_its_reason(house: OfflineHouse) -> None:
    told: list[BuildProgress] = []
    check = checker_of(house).check(Target("tiny", "1.7"), told.append)
    assert check.problem == "tiny 1.7 is not on the package index."
    assert [step.step for step in told] == ["failed"]


def test_an_engine_that_goes_away_says_nothing_about_the_image(
    house: OfflineHouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def find(reference: str) -> None:
        raise EngineLost("gone")

    ledger = Ledger(tmp_path / "checks.jsonl")
    ledger.append(checker_of(house).check(CPU, quietly))
    with monkeypatch.context() as broken:
        broken.setattr(house.images.engine, "find", find)
        away = checker_of(house).check(CPU, quietly)
    house.answers["1.0"] = RunReport("lost", "the engine hung up")
    hung = checker_of(house).check(CPU, quietly)
    assert [(check.problem, check.lost) for check in (away, hung)] == [("gone", True), ("the engine hung up", True)]
    for check in (away, hung):
        ledger.append(check)
    assert [check.outcome for check in ledger.latest()] == ["drops"]


def test_an_image_for_cuda_has_its_libraries_loaded(house: OfflineHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(reference: str, command: list[str]) -> str:
        asked.append(command)
        return answer_of_the_image()

    monkeypatch.setattr(house.images.engine, "run", run)
    check = checker_of(house).check(CUDA, quietly)
    assert (check.libraries, check.asked) == (("libcudart.so.12",), ("libcudart.so.12",))
    assert asked[0][:4] == ["env", "LD_DEBUG=files", "LD_DEBUG_OUTPUT=/tmp/tfbisect-loader", "python"]


def test_a_library_check_that_fails_is_the_problem_with_its_last_words(
    house: OfflineHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(reference: str, command: list[str]) -> str:
        raise BuildFailed("ended with 1", "Traceback\nImportError: nothing here")

    monkeypatch.setattr(house.images.engine, "run", run)
    assert checker_of(house).check(CUDA, quietly).problem.endswith("ImportError: nothing here")


def test_many_checks_are_told_as_they_come_and_returned_in_order(house: OfflineHouse) -> None:
    done: list[Check] = []
    targets = [Target("tiny", version) for version in ("2.0", "1.0", "1.1")]
    found = check_all(checker_of(house), targets, 2, done.append, quietly)
    assert [check.release for check in found] == ["2.0", "1.0", "1.1"]
    assert sorted(check.release for check in done) == ["1.0", "1.1", "2.0"]


@pytest.mark.parametrize("torn", ['{"package": "tensorfl', "", "\n", "[]", "{}", "\xe9", '{"package": 1}'])
def test_a_line_that_was_torn_costs_no_other(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "checks.jsonl"
    ledger = Ledger(path)
    ledger.append(CHECK)
    with path.open("a", encoding="latin-1") as file:
        file.write(torn)
    assert ledger.latest() == [CHECK]
    other = replace(CHECK, release="1.99.0")
    ledger.append(other)
    assert ledger.latest() == [CHECK, other]
