"""Environments, resolved and installed by the real uv from an index on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.catalog.environments import Environments
from service.catalog.recipes import load_rules
from service.catalog.releases import Catalog
from service.catalog.targets import Target
from service.catalog.uv import watched
from service.errors import IndexUnreachable, NoInterpreter, NotInstallable, ReleaseUntestable
from service.settings import Settings
from tests.catalog.worlds import MemoryCache
from tests.images.local_index import LocalIndex, served
from tests.images.worlds import OFFLINE_RULES, tiny_index

Make = Callable[..., Environments]


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with served(tiny_index()) as answering:
        yield answering


@pytest.fixture
def environments(tmp_path: Path, index: LocalIndex) -> Make:
    def make(machine: str = "one", rules: str = OFFLINE_RULES, cache: MemoryCache | None = None) -> Environments:
        folder = tmp_path / machine
        settings = Settings(data_dir=folder, cache_dir=None, index_url=index.url)
        kept = cache or MemoryCache()
        made = Environments(Catalog(kept, settings), kept, settings, interpreter=lambda _: None)
        folder.mkdir(exist_ok=True)
        (folder / "recipes.toml").write_text(rules)
        made.rules = load_rules(folder / "recipes.toml")
        return made

    return make


def test_a_dependency_is_taken_as_of_the_releases_own_days(environments: Make) -> None:
    ours = environments()
    assert ours.resolve(Target("tiny", "1.1")).packages == {"helper": "1.0", "tiny": "1.1"}
    assert ours.resolve(Target("tiny", "2.0")).packages == {"helper": "2.0", "tiny": "2.0"}


def test_an_exempt_package_has_a_cutoff_of_its_own(environments: Make) -> None:
    rules = OFFLINE_RULES + 'exempt = { helper = "2020-12-31" }\n'
    assert environments(rules=rules).resolve(Target("tiny", "1.1")).packages["helper"] == "2.0"


def test_two_machines_resolve_one_recipe_to_the_same_files(environments: Make, index: LocalIndex) -> None:
    first = environments("one").resolve(Target("tiny", "1.1"))
    index.wheel("helper", "3.0", "2024-01-01")
    second = environments("two").resolve(Target("tiny", "1.1"))
    assert first.lock == second.lock
    assert first.lock.count("--hash=sha256:") == 2
    assert first.digest == second.digest


def test_what_was_resolved_once_asks_the_index_no_more(environments: Make, index: LocalIndex) -> None:
    cache = MemoryCache()
    resolved = environments(cache=cache).resolve(Target("tiny", "1.1"))
    index.files.clear()
    assert environments("two", cache=cache).resolve(Target("tiny", "1.1")) == resolved


def test_an_environment_is_installed_without_a_second_download(
    environments: Make, index: LocalIndex, tmp_path: Path
) -> None:
    ours = environments()
    environment = ours.resolve(Target("tiny", "1.1"))
    ours.install(environment, tmp_path / "a")
    downloaded = len(index.asked)
    ours.install(environment, tmp_path / "b")
    assert len(index.asked) == downloaded
    for name in ("a", "b"):
        assert (tmp_path / name / "tiny.py").read_text() == "__version__ = '1.1'\n"
        assert (tmp_path / name / "helper.py").exists()


def test_a_file_that_was_changed_on_the_index_is_not_installed(
    environments: Make, index: LocalIndex, tmp_path: Path
) -> None:
    ours = environments()
    environment = ours.resolve(Target("tiny", "1.1"))
    index.wheel("helper", "1.0", "2020-01-01", code="print('another')\n")
    with pytest.raises(NotInstallable, match=r"tiny 1\.1 cannot be installed: .*(?i:hash)"):
        environments("two", cache=ours._cache).install(environment, tmp_path / "packages")


def test_a_release_that_left_the_index_says_so(environments: Make, index: LocalIndex) -> None:
    with pytest.raises(ReleaseUntestable, match=r"tiny 1\.7 is not on the package index"):
        environments().resolve(Target("tiny", "1.7"))


def test_a_dependency_that_nothing_meets_is_named_with_the_cutoff(environments: Make, index: LocalIndex) -> None:
    index.wheel("tiny", "3.0", "2020-08-01", requires="helper>=9")
    with pytest.raises(NotInstallable, match=r"tiny 3\.0 cannot be resolved as of 2020-08-08: .*helper"):
        environments().resolve(Target("tiny", "3.0"))


def test_a_source_package_without_its_interpreter_says_which_python_to_install(
    environments: Make, index: LocalIndex
) -> None:
    index.source_that_does_not_build("oldstyle", "1.0", "2020-01-01")
    index.wheel("tiny", "3.0", "2020-08-01", requires="oldstyle")
    rules = OFFLINE_RULES.replace("3.11", "3.6")
    with pytest.raises(NoInterpreter, match=r"tiny 3\.0 cannot be resolved .* without Python 3\.6.*pyenv install 3\.6"):
        environments(rules=rules).resolve(Target("tiny", "3.0"))


def test_an_index_that_is_silent_is_no_fault_of_the_release(environments: Make, index: LocalIndex) -> None:
    ours = environments()
    ours.catalog.releases("tiny")
    object.__setattr__(ours.uv.index, "url", "http://127.0.0.1:9/simple/")
    with pytest.raises(IndexUnreachable, match=r"127\.0\.0\.1:9"):
        ours.resolve(Target("tiny", "1.1"))


def test_whoever_waits_for_a_command_is_told_how_much_it_has_written(tmp_path: Path) -> None:
    script = "import time; open('written', 'wb').write(bytes(3_000_000)); time.sleep(1); print('end')"
    seen: list[int] = []
    done = watched([sys.executable, "-c", script], tmp_path, {}, 30, seen.append)
    assert (done.returncode, done.stdout) == (0, "end\n")
    assert max(seen) >= 3_000_000
