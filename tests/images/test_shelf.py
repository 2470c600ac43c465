import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.cli.images import age_in_words, bytes_of
from service.errors import BadInput
from service.images.docker_images import DockerImages
from service.images.shelf import ImageRow, to_prune
from tests.images.worlds import Workshop

FILES = """
import pathlib, six
files = sorted(pathlib.Path(six.__file__).parent.rglob("*"))
print([(str(file), file.stat().st_size) for file in files if file.is_file() and file.suffix != ".pyc"])
"""
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def row(name: str, minutes_ago: float, own_bytes: int = 10) -> ImageRow:
    used = NOW - timedelta(minutes=minutes_ago)
    words = dict.fromkeys(("hardware", "python", "cutoff", "recipe", "environment", "ground", "lock"), "")
    return ImageRow(
        image=name, id=name, package="p", release="1", bytes=own_bytes, own_bytes=own_bytes, created=used,
        last_used=used, packages={}, **words,
    )  # fmt: skip


ROWS = [row("old", 90), row("older", 120, 30), row("now", 0.5), row("recent", 10)]


@pytest.mark.parametrize(
    ("budget", "in_use", "gone"),
    [
        (60, "", []),
        (59, "", ["older"]),
        (30, "", ["older"]),
        (29, "", ["older", "old"]),
        (0, "", ["older", "old", "recent"]),
        (29, "older", ["old", "recent"]),
        (0, "old older recent now", []),
    ],
)
def test_the_least_recently_used_go_first_and_none_in_use(budget: int, in_use: str, gone: list[str]) -> None:
    assert [chosen.image for chosen in to_prune(ROWS, budget, set(in_use.split()), NOW)] == gone


@pytest.mark.parametrize(("text", "size"), [("20GB", 20 * 10**9), ("1.5 GiB", 3 * 2**29), ("0", 0), ("7k", 7_000)])
def test_a_budget_is_read_with_its_unit(text: str, size: int) -> None:
    assert bytes_of(text) == size


def test_a_budget_that_is_no_size_says_how_to_write_one() -> None:
    with pytest.raises(BadInput, match="20GB"):
        bytes_of("much")


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d")])
def test_an_age_is_told_in_its_largest_unit(seconds: int, words: str) -> None:
    assert age_in_words(timedelta(seconds=seconds)) == words


@pytest.mark.containers
@pytest.mark.index
def test_an_image_is_listed_with_its_provenance_and_pruned_when_its_time_comes(workshop: Workshop) -> None:
    environment = workshop.six()
    image = workshop.images.ensure(environment)
    shelf = workshop.images.shelf
    (listed,) = [found for found in shelf.rows() if found.package == "six"]
    assert (listed.image, listed.release, listed.environment) == (image.reference, "1.16.0", environment.digest)
    assert listed.packages == {"six": "1.16.0"}
    assert listed.ground.startswith("sha256:")
    assert 0 < listed.own_bytes < listed.bytes
    assert shelf.remove(listed)
    assert not [found for found in shelf.rows() if found.package == "six"]


@pytest.mark.containers
@pytest.mark.index
def test_an_image_is_not_pruned_while_its_container_runs(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    image = workshop.images.ensure(workshop.six())
    shelf = workshop.images.shelf
    (ours,) = [found for found in shelf.rows() if found.image == image.reference]
    # The engine may hold images of others, which are not ours to prune.
    monkeypatch.setattr(shelf, "rows", lambda: [ours])
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    command = ["docker", "run", "--detach", "--rm", "--network=none", image.reference, "sleep", "100"]
    container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        assert shelf.prune(0, now=tomorrow) == []
        assert not shelf.remove(ours)
    finally:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=True)
    assert shelf.prune(0, now=tomorrow) == [ours]
    assert workshop.engine.find(image.reference) is None


@pytest.mark.containers
@pytest.mark.index
def test_two_builds_of_one_recipe_hold_the_same_packages(tmp_path: Path, engine: DockerImages) -> None:
    listings = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        # Data folders, caches and resolutions of their own; the second build finds no image of the first.
        workshop = Workshop(tmp_path / name, engine)
        image = workshop.images.ensure(workshop.six())
        assert image.build_seconds is not None
        shown = [["cat", "/opt/tfbisect/requirements.lock"], ["python", "-c", FILES]]
        stored = engine.find(image.reference)
        assert stored is not None
        listings.append(([engine.run(image.reference, command) for command in shown], stored.labels))
        assert engine.remove(image.reference)
    assert listings[0] == listings[1]
