"""Environments, resolved and installed by the real uv from an index on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.catalog.additions import not_addable
from service.catalog.environments import Environments
from service.catalog.recipes import load_rules
from service.catalog.releases import Catalog
from service.catalog.targets import Hold, Target
from service.catalog.uv import watched
from service.errors import IndexUnreachable, NoInterpreter, NotInstallable, ReleaseUntestable
from service.execution.environment_folders import EnvironmentFolders
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


def adding(index: LocalIndex) -> LocalIndex:
    """Put packages on the index that scripts want beside `tiny`."""
    for version, uploaded, requires in (
        ("1.0", "2020-02-10", "helper>=1"),
        ("1.1", "2020-06-20", "helper>=2"),
        ("2.0", "2021-01-01", "helper>=1"),
    ):
        index.wheel("extra", version, uploaded, requires=requires)
    index.source_that_does_not_build("sourced", "1.0", "2020-01-01")
    return index


def test_an_addition_is_taken_as_of_the_releases_own_day_and_changes_nothing_of_it(
    environments: Make, index: LocalIndex
) -> None:
    adding(index)
    ours = environments()
    alone, later = ours.resolve(Target("tiny", "1.1")), ours.resolve(Target("tiny", "2.0"))
    added, later_added = (ours.resolve(Target("tiny", each, additions=("extra",))) for each in ("1.1", "2.0"))
    assert (added.below, later_added.below) == (alone, later)
    assert added.packages == {"extra": "1.0", "helper": "1.0", "tiny": "1.1"}
    assert later_added.packages == {"extra": "1.1", "helper": "2.0", "tiny": "2.0"}
    assert added.digest != alone.digest
    assert "helper" not in added.added


def test_what_a_release_brings_itself_is_no_addition(environments: Make, index: LocalIndex) -> None:
    ours = environments()
    alone = ours.resolve(Target("tiny", "1.1"))
    for named in ("helper", "helper>=1", "helper==1.0"):
        assert ours.resolve(Target("tiny", "1.1", additions=(named,))) == alone
    assert ours.known(Target("tiny", "1.1", imports=("helper",))) == alone


def test_additions_that_were_resolved_once_ask_the_index_no_more(environments: Make, index: LocalIndex) -> None:
    adding(index)
    cache, target = MemoryCache(), Target("tiny", "1.1", additions=("extra",))
    assert environments(cache=cache).known(target) is None
    first = environments(cache=cache).resolve(target)
    index.files.clear()
    assert environments(cache=cache).known(target) == first
    assert environments(cache=cache).resolve(target) == first


def test_another_version_of_what_a_release_brings_is_resolved_with_all_of_it(
    environments: Make, index: LocalIndex
) -> None:
    ours = environments()
    pinned = ours.resolve(Target("tiny", "2.0", additions=("helper==1.0",)))
    assert pinned.packages == {"helper": "1.0", "tiny": "2.0"}
    assert not pinned.added
    assert pinned.digest != ours.resolve(Target("tiny", "2.0")).digest
    assert ours.known(Target("tiny", "2.0", additions=("helper==1.0",))) == pinned


@pytest.mark.parametrize(
    ("named", "at_fault"),
    [
        (("extra", "missing==1"), "missing==1"),
        (("extra==1.1",), "extra==1.1"),
        (("helper==2.0", "extra"), "helper==2.0"),
        (("extra", "sourced"), "sourced"),
    ],
)
def test_an_addition_that_a_day_does_not_have_makes_the_release_untestable_and_is_named(
    environments: Make, index: LocalIndex, named: tuple[str, ...], at_fault: str
) -> None:
    adding(index)
    with pytest.raises(NotInstallable) as caught:
        environments().resolve(Target("tiny", "1.1", additions=named))
    assert caught.value.message.startswith(f"{at_fault} cannot be added to tiny 1.1 (Python 3.11, as of 2020-03-08): ")
    assert not_addable(caught.value.message) == (at_fault,)
    assert "file:" not in caught.value.message


def test_only_the_additions_go_over_an_image_and_all_of_it_into_a_virtual_environment(
    environments: Make, index: LocalIndex, tmp_path: Path
) -> None:
    adding(index)
    ours = environments()
    added = ours.resolve(Target("tiny", "1.1", additions=("extra",)))
    ours.install(added, tmp_path / "over")
    assert {path.name for path in (tmp_path / "over").glob("*.py")} == {"extra.py"}
    folders = EnvironmentFolders(tmp_path / "environments", ours, lambda _: Path(sys.executable))
    folder = folders.ensure(added, "tiny 1.1")
    assert {path.name for path in folder.glob("lib/*/site-packages/*.py")} >= {"extra.py", "helper.py", "tiny.py"}


def test_the_projects_own_image_keeps_what_it_has(environments: Make) -> None:
    rules = OFFLINE_RULES + '[[official]]\npackages = ["tiny"]\ncpu = "tiny:{release}"\ncuda = "tiny:{release}"\n'
    ours = environments(rules=rules)
    ours._official_digest = lambda name: f"sha256:{name}"
    official = Target("tiny", "1.1", source="official")
    assert ours.resolve(replace(official, imports=("extra",))) == ours.resolve(official)
    with pytest.raises(ReleaseUntestable, match="extra cannot be added to tiny"):
        ours.resolve(replace(official, additions=("extra",)))
    assert ours.known(replace(official, additions=("extra",))) is None


def test_a_held_version_stands_beside_a_release_in_place_of_that_of_its_day(environments: Make) -> None:
    ours = environments()
    held = Target("tiny", "1.1", hold=Hold(as_of="2020-12-31T00:00:00+00:00", pins=("helper==2.0",)))
    assert ours.resolve(held).packages == {"helper": "2.0", "tiny": "1.1"}
    assert ours.resolve(Target("tiny", "1.1")).digest != ours.resolve(held).digest
    older = Target("tiny", "2.0", hold=Hold(as_of="2020-03-01T00:00:00+00:00"))
    assert ours.resolve(older).packages == {"helper": "1.0", "tiny": "2.0"}


def test_versions_that_do_not_go_together_are_asked_for_once(environments: Make, index: LocalIndex) -> None:
    index.wheel("tiny", "3.0", "2020-08-01", requires="helper>=2")
    ours = environments()
    held = Target("tiny", "3.0", hold=Hold(pins=("helper==1.0",)))
    assert ours.known_failure(held) == ""
    with pytest.raises(NotInstallable, match="helper"):
        ours.resolve(held)
    assert ours.known(held) is None
    said = ours.known_failure(held)
    index.files.clear()
    with pytest.raises(NotInstallable) as error:
        ours.resolve(held)
    assert error.value.message == said


def test_an_interpreter_that_a_release_has_no_wheel_for_makes_it_untestable(
    environments: Make, index: LocalIndex
) -> None:
    index.wheel("narrow", "1.0", "2020-01-01", tag="cp36-cp36m-manylinux1_x86_64")
    rules = OFFLINE_RULES.replace("tiny", "narrow").replace('"3.11"', '"3.6", "3.8"')
    with pytest.raises(NoInterpreter, match=r"narrow 1\.0 has no wheel for Python 3\.8, only for 3\.6"):
        environments(rules=rules).resolve(Target("narrow", "1.0", hold=Hold(python="3.8")))


def test_a_pure_release_is_tried_under_another_python_if_what_it_needs_is_compiled(
    environments: Make, index: LocalIndex
) -> None:
    index.wheel("compiled", "1.0", "2020-01-01", tag="cp38-cp38-manylinux2014_x86_64")
    index.wheel("pure", "1.0", "2020-02-01", requires="compiled")
    rules = OFFLINE_RULES.replace("tiny", "pure").replace('"3.11"', '"3.11", "3.10", "3.8"') + "only_wheels = true\n"
    cache = MemoryCache()
    ours = environments(rules=rules, cache=cache)
    found = ours.resolve(Target("pure", "1.0"))
    assert (found.python, found.packages) == ("3.8", {"compiled": "1.0", "pure": "1.0"})
    assert ours.known(Target("pure", "1.0")) == found
