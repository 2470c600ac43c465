"""`tfbisect images`, from the command to what it prints: a local index, real resolution, an engine in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.bisection.outcomes import RunReport
from service.catalog.targets import Target
from service.cli import images as images_cli
from service.errors import BadInput, EngineLost
from service.images.builder import reference_of
from service.images.engine import LayerOrder, StoredImage
from service.settings import Settings
from tests.images.local_index import LocalIndex, served
from tests.images.memory_engine import MemoryEngine
from tests.images.worlds import OfflineHouse, tiny_index

PASSES = RunReport(
    "answered",
    result={"kind": "measured", "measurements": {"exit_code": 0, "output": "", "parameters": {}}},
    seconds={"import": 1},
)
HEADINGS = ("release", "package", "added", "hardware", "python", "size", "age")
HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)


@dataclass
class Shell:
    """Types `tfbisect images …` in one data folder, as a user would, each call a house of its own."""

    folder: Path
    index: LocalIndex
    engine: MemoryEngine
    answers: dict[str, RunReport]

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(images_cli.app, list(words))

    def open(self, settings: Settings | None = None) -> OfflineHouse:
        parallel = settings.parallel_builds if settings else 1
        opened = OfflineHouse(self.folder, self.index, self.engine, parallel_builds=parallel)
        opened.answers.update(self.answers)
        return opened

    def releases(self) -> list[str]:
        return sorted(row["release"] for row in json.loads(self("list", "--json").stdout))


@pytest.fixture
def tfbisect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    with served(tiny_index()) as index:
        shell = Shell(tmp_path, index, MemoryEngine(), dict.fromkeys(("1.0", "1.1", "2.0"), PASSES))
        monkeypatch.setattr("service.cli.console.House", shell.open)
        yield shell


def build(shell: Shell, releases: str = "1.0..", *words: str) -> Result:
    return shell("build", releases, "--package", "tiny", *words)


def test_build_prints_each_image_and_says_beforehand_what_it_takes(tfbisect: Shell) -> None:
    ended = build(tfbisect)
    assert ended.exit_code == 0
    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["1.0", "1.1", "2.0"]
    assert all(line.split()[1] in tfbisect.engine.images for line in ended.stdout.splitlines())
    assert ended.stderr.startswith("3 of 3 images to build: about 0.0 GB to download, ")


def test_a_second_build_does_nothing(tfbisect: Shell) -> None:
    first = build(tfbisect)
    tfbisect.engine.contents.clear()
    second = build(tfbisect)
    assert second.stdout == first.stdout
    assert tfbisect.engine.contents == {}
    assert second.stderr == "all 3 images exist already\n"


def test_build_goes_on_past_a_release_that_cannot_be_built(tfbisect: Shell) -> None:
    tfbisect.index.wheel("tiny", "1.2", "2020-04-01", requires="helper>=9")
    ended = build(tfbisect, "1.0..", "--json")
    assert ended.exit_code == 0
    rows = json.loads(ended.stdout)
    assert [(row["release"], bool(row["image"])) for row in rows] == [
        ("1.0", True), ("1.1", True), ("1.2", False), ("2.0", True)
    ]  # fmt: skip
    assert "cannot be resolved" in rows[2]["reason"]


def test_build_fails_where_no_release_could_be_built(tfbisect: Shell) -> None:
    tfbisect.index.wheel("tiny", "1.2", "2020-04-01", requires="helper>=9")
    ended = build(tfbisect, "1.2")
    assert ended.exit_code == 3
    assert ended.stdout.startswith("1.2  untestable: tiny 1.2 cannot be resolved")


def test_build_fails_where_the_engine_was_lost_though_others_were_built(
    tfbisect: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    laying = tfbisect.engine.lay

    def lose_the_second(order: LayerOrder) -> StoredImage:
        if "tiny:1.1" in order.result.reference:
            raise EngineLost("the engine went away")
        return laying(order)

    monkeypatch.setattr(tfbisect.engine, "lay", lose_the_second)
    ended = build(tfbisect)
    assert ended.exit_code == 3
    assert ended.stdout.splitlines()[1] == "1.1  not built: the engine went away"
    assert tfbisect.releases() == ["1.0", "2.0"]


def test_list_shows_size_age_and_last_use_and_json_the_whole_provenance(tfbisect: Shell) -> None:
    build(tfbisect, "1.1")
    ended = tfbisect("list")
    assert ended.stdout.split("\n")[0].split() == [
        "release",
        "package",
        "added",
        "hardware",
        "python",
        "size",
        "age",
        "last",
        "used",
        "image",
    ]
    assert ended.stdout.split("\n")[1].split()[:4] == ["1.1", "tiny", "cpu", "3.11"]
    assert ended.stderr.startswith("1 image, 0.0 GB")
    (row,) = json.loads(tfbisect("list", "--json").stdout)
    contract = {"release", "package", "hardware", "image", "bytes", "created", "last_used"}
    assert contract | {"cutoff", "recipe", "environment", "ground", "lock", "packages"} <= row.keys()
    assert row["packages"] == {"helper": "1.0", "tiny": "1.1"}


def age(shell: Shell, release: str, moment: datetime) -> None:
    """Let an image be made and used long ago."""
    (reference,) = [name for name in shell.engine.images if f"tiny:{release}" in name]
    shell.engine.images[reference] = replace(shell.engine.images[reference], created=moment)
    for mark in (shell.folder / "data" / "images").glob(f"*{release}*.used"):
        mark.unlink()


def test_prune_removes_the_least_recently_used_but_none_that_a_container_uses(tfbisect: Shell) -> None:
    build(tfbisect)
    for minutes, release in enumerate(("2.0", "1.1", "1.0")):
        age(tfbisect, release, HOUR_AGO + timedelta(minutes=minutes))
    (used,) = [image for image in tfbisect.engine.images.values() if "tiny:2.0" in image.references[0]]
    tfbisect.engine.used.add(used.id)
    ended = tfbisect("prune", "--budget", "2kB")
    assert [line.split("tiny:")[1][:3] for line in ended.stdout.splitlines()] == ["1.1"]
    assert tfbisect.releases() == ["1.0", "2.0"]
    assert [row["release"] for row in json.loads(tfbisect("prune", "--budget", "0", "--json").stdout)] == ["1.0"]
    assert tfbisect.releases() == ["2.0"]


def test_prune_without_any_budget_says_how_to_give_one(tfbisect: Shell) -> None:
    ended = tfbisect("prune")
    assert isinstance(ended.exception, BadInput)
    assert "--budget 20GB" in ended.exception.message


def verify(shell: Shell, *words: str) -> Result:
    return shell("verify", *words, "--package", "tiny", "--parallel", "1")


def test_verify_checks_every_image_that_is_here(tfbisect: Shell) -> None:
    build(tfbisect, "1.0..1.1")
    ended = verify(tfbisect)
    assert ended.exit_code == 0
    assert [line.split(" | ")[0] for line in ended.stdout.splitlines()[2:]] == ["| tiny 1.0", "| tiny 1.1"]
    assert ended.stdout.count("| passes |") == 2


def test_verify_ends_with_3_where_an_image_fails_so_that_a_timer_tells(tfbisect: Shell) -> None:
    build(tfbisect, "1.0..1.1")
    tfbisect.answers["1.1"] = RunReport("unprepared", "its library is broken")
    ended = verify(tfbisect)
    assert ended.exit_code == 3
    assert "| failed: its library is broken |" in ended.stdout
    assert "1.1 cpu: its library is broken" in ended.stderr


def test_verify_without_images_is_no_success(tfbisect: Shell) -> None:
    ended = verify(tfbisect)
    assert ended.exit_code == 3
    assert "there is no image to check" in ended.stderr


def test_verify_of_a_range_leaves_out_what_is_not_here_unless_it_is_told_to_build(tfbisect: Shell) -> None:
    build(tfbisect, "1.1")
    assert [row["release"] for row in json.loads(verify(tfbisect, "1.0..", "--json").stdout)] == ["1.1"]
    assert tfbisect.releases() == ["1.1"]
    built = json.loads(verify(tfbisect, "1.0..", "--build", "--json").stdout)
    assert [row["release"] for row in built] == ["1.0", "1.1", "2.0"]
    assert [row["build_seconds"] is None for row in built] == [False, True, False]


def test_discard_removes_only_what_the_check_itself_built(tfbisect: Shell) -> None:
    build(tfbisect, "1.1")
    assert verify(tfbisect, "1.0..", "--build", "--discard").exit_code == 0
    assert tfbisect.releases() == ["1.1"]


def test_discard_leaves_what_a_container_has_come_to_use(tfbisect: Shell) -> None:
    tfbisect.engine.used.add("sha256:" + reference(tfbisect, "1.0"))
    verify(tfbisect, "1.0", "--build", "--discard")
    assert tfbisect.releases() == ["1.0"]


def test_report_is_the_table_of_all_that_was_ever_checked(tfbisect: Shell) -> None:
    first = verify(tfbisect, "1.0", "--build", "--discard").stdout.splitlines()
    second = verify(tfbisect, "2.0", "--build", "--discard").stdout.splitlines()
    assert tfbisect("report").stdout.splitlines() == [*first, second[-1]]


def reference(shell: Shell, release: str) -> str:
    """Return the name that an image will have."""
    house = shell.open()
    found = reference_of(house.environments.resolve(Target("tiny", release)))
    house.close()
    return found
