"""Packages beside TensorFlow: by rules of their own, or by the rule for any."""

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.catalog.environments import Environments
from service.catalog.recipes import Rules, load_rules, recipe_for
from service.catalog.releases import Catalog, CatalogRelease
from service.catalog.snippets import require_keras_package
from service.catalog.targets import Target
from service.catalog.wheels import Wheel
from service.errors import NotInstallable, SnippetError, UnknownName
from service.resources import resource_dir
from service.settings import Settings
from tests.catalog.worlds import MemoryCache, an_index, listed, release, wheel_of


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(resource_dir("images") / "recipes.toml")


def came(day: str, version: str = "1.0", pythons: str = "3", **more: Any) -> CatalogRelease:
    return CatalogRelease(
        version, datetime.fromisoformat(day).replace(tzinfo=UTC), tuple(pythons.split()), 1_000, **more
    )


@pytest.mark.parametrize(
    ("day", "pythons", "requires", "python"),
    [
        ("2014-09-05", "2 3", "", "3.6"),
        ("2019-10-13", "3", "", "3.6"),
        ("2019-10-14", "3", "", "3.8"),
        ("2021-10-03", "3", "", "3.8"),
        ("2021-10-04", "3", "", "3.10"),
        ("2026-01-01", "3", ">=3.12", "3.12"),
        ("2018-01-01", "2.7 3.5", "", "3.5"),
    ],
)
def test_any_package_gets_an_interpreter_of_its_day_that_its_wheels_accept(
    rules: Rules, day: str, pythons: str, requires: str, python: str
) -> None:
    recipe = recipe_for(Target("demo", "1.0"), came(day, pythons=pythons, requires_python=requires), rules)
    assert (recipe.python, recipe.requirement, recipe.module) == (python, "demo==1.0", "")


@pytest.mark.parametrize(
    ("version", "day", "beside", "python"),
    [
        ("2.0.7", "2017-08-21", "tensorflow==1.10.1", "3.6"),
        ("2.2.4", "2018-10-03", "tensorflow==1.12.0", "3.6"),
        ("2.3.1", "2019-10-07", "tensorflow==1.14.0", "3.6"),
        ("2.4.3", "2020-06-24", "tensorflow==2.3.0", "3.8"),
        ("2.7.0", "2021-11-03", "tensorflow-cpu~=2.7.0", "3.8"),
        ("2.15.0", "2023-11-07", "tensorflow-cpu~=2.15.0", "3.10"),
        ("3.3.3", "2024-04-26", "tensorflow-cpu==2.16.1", "3.10"),
    ],
)
def test_keras_runs_on_one_tensorflow_over_a_range(
    rules: Rules, version: str, day: str, beside: str, python: str
) -> None:
    recipe = recipe_for(Target("keras", version), came(day, version), rules)
    assert (recipe.extras, recipe.python, recipe.module) == ((beside,), python, "keras")


def test_what_stands_beside_a_release_may_be_younger_than_it(rules: Rules) -> None:
    recipe = recipe_for(Target("keras", "2.2.4"), came("2018-10-03", "2.2.4"), rules)
    assert recipe.cutoff == datetime(2018, 11, 20, tzinfo=UTC)


def test_torch_and_the_mkl_build_are_imported_by_their_own_names(rules: Rules) -> None:
    assert recipe_for(Target("torch", "1.4.0"), release("1.4.0"), rules).module == "torch"
    assert recipe_for(Target("intel-tensorflow", "1.12.0"), release("1.12.0"), rules).module == "tensorflow"


def test_a_rule_is_found_by_any_spelling_of_the_package(rules: Rules) -> None:
    assert recipe_for(Target("Intel_TensorFlow", "1.12.0"), release("1.12.0"), rules).unpack


@pytest.mark.parametrize("source", ["import keras", "from keras.layers import Dense", "import keras.backend as K"])
def test_a_snippet_that_imports_keras_fits_its_releases(source: str) -> None:
    require_keras_package(source)


@pytest.mark.parametrize("source", ["import tensorflow as tf", "from tensorflow import keras", "from .keras import x"])
def test_a_snippet_on_tf_keras_is_refused_where_releases_of_keras_are_compared(source: str) -> None:
    with pytest.raises(SnippetError, match="does not import it; write `import keras`"):
        require_keras_package(source)


RULES = """
[defaults]
margin_days = 7
platform = "x86_64-manylinux_2_28"
module = ""

[[rule]]
packages = ["*"]
requirement = "{package}=={release}"
only_wheels = true
pythons = ["3.13", "3.12", "3.11", "3.10"]

[[rule]]
packages = ["twofold"]
unpack = true
"""
REFUSED = wheel_of("twofold", "1.0", "helper>=1", beside="other", twofold="import helper")
HELPER = wheel_of("helper", "1.1", helper="")


def environments_of(url: str, folder: Path) -> Environments:
    settings, cache = Settings(index_url=url, data_dir=folder / "data", cache_dir=folder / "cache"), MemoryCache()
    made = Environments(Catalog(cache, settings), cache, settings, interpreter=lambda _: None)
    (folder / "recipes.toml").write_text(RULES)
    made.rules = load_rules(folder / "recipes.toml")
    return made


def test_a_wheel_that_installers_refuse_is_unzipped_with_its_dependencies(tmp_path: Path) -> None:
    packages = {"twofold": [listed(REFUSED)], "helper": [listed(HELPER)]}
    with an_index(packages, dict([REFUSED, HELPER])) as url:
        made = environments_of(url, tmp_path)
        environment = made.resolve(Target("twofold", "1.0"))
        made.install(environment, tmp_path / "packages")
    assert environment.packages == {"helper": "1.1", "twofold": "1.0"}
    assert listed(REFUSED)["hashes"]["sha256"] in environment.lock
    assert {"twofold.py", "helper.py", "twofold-1.0.dist-info"} <= {
        path.name for path in (tmp_path / "packages").iterdir()
    }
    assert not list((tmp_path / "packages").glob("*.data"))


def test_what_a_wheel_spreads_over_two_folders_comes_together(tmp_path: Path) -> None:
    path = tmp_path / "twofold-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("twofold/first.py", "twofold-1.0.data/purelib/twofold/second.py", "twofold-1.0.data/scripts/run"):
            archive.writestr(name, "")
    (tmp_path / "packages").mkdir()
    Wheel(path, "twofold", "1.0", "").unpack(tmp_path / "packages")
    found = {
        str(each.relative_to(tmp_path / "packages")) for each in (tmp_path / "packages").rglob("*") if each.is_file()
    }
    assert found == {"twofold/first.py", "twofold/second.py"}


def test_what_is_unzipped_can_be_read_by_the_user_of_a_run(tmp_path: Path) -> None:
    path, folder = tmp_path / REFUSED[0], tmp_path / "packages"
    path.write_bytes(REFUSED[1])
    folder.mkdir(mode=0o755)
    Wheel(path, "twofold", "1.0", "").unpack(folder)
    assert {each.stat().st_mode & 0o444 for each in (folder, *folder.rglob("*"))} == {0o444}


def test_without_the_rule_such_a_wheel_says_why_it_cannot_be_installed(tmp_path: Path) -> None:
    with an_index({"twofold": [listed(REFUSED)], "helper": [listed(HELPER)]}, dict([REFUSED, HELPER])) as url:
        made = environments_of(url, tmp_path)
        (tmp_path / "recipes.toml").write_text(RULES.replace("unpack = true", "unpack = false"))
        made.rules = load_rules(tmp_path / "recipes.toml")
        with pytest.raises(NotInstallable, match=r"Multiple \.dist-info directories"):
            made.install(made.resolve(Target("twofold", "1.0")), tmp_path / "packages")


def test_a_wheel_with_other_bytes_than_the_index_says_is_not_unzipped(tmp_path: Path) -> None:
    changed = {REFUSED[0]: REFUSED[1] + b"more", HELPER[0]: HELPER[1]}
    with an_index({"twofold": [listed(REFUSED)], "helper": [listed(HELPER)]}, changed) as url:
        made = environments_of(url, tmp_path)
        with pytest.raises(NotInstallable, match=r"has the sha256 .*, but the index lists .*; the file was changed"):
            made.resolve(Target("twofold", "1.0"))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix == ".whl"]


def test_any_package_of_the_index_can_be_installed(tmp_path: Path) -> None:
    with an_index({"helper": [listed(HELPER)]}, dict([HELPER])) as url:
        made = environments_of(url, tmp_path)
        made.install(made.resolve(Target("helper", "1.1")), tmp_path / "packages")
    assert (tmp_path / "packages" / "helper.py").exists()


def test_source_packages_of_any_package_are_not_built_here(tmp_path: Path) -> None:
    needy = wheel_of("needy", "1.0", "helper", needy="")
    packages = {"needy": [listed(needy)], "helper": [listed(("helper-1.1.tar.gz", b"no archive"))]}
    asked: list[str] = []
    with an_index(packages, {**dict([needy]), "helper-1.1.tar.gz": b"no archive"}, asked) as url:
        made = environments_of(url, tmp_path)
        with pytest.raises(NotInstallable, match="helper"):
            made.resolve(Target("needy", "1.0"))
    assert not [path for path in asked if path.endswith(".tar.gz")]


def test_a_service_can_keep_to_the_packages_with_rules(tmp_path: Path) -> None:
    with an_index({"helper": [listed(HELPER)], "torch": [listed(wheel_of("torch", "1.4.0"))]}) as url:
        settings, cache = Settings(index_url=url, data_dir=tmp_path, any_package=False), MemoryCache()
        made = Environments(Catalog(cache, settings), cache, settings)
        assert made.recipe(Target("torch", "1.4.0")).module == "torch"
        with pytest.raises(UnknownName, match=r"no recipe for helper on cpu; .*torch"):
            made.recipe(Target("helper", "1.1"))


NIGHTLY = wheel_of("nightly", "1.0.dev1", nightly="")


def test_a_release_that_the_index_has_dropped_keeps_its_environment_where_it_was_resolved(tmp_path: Path) -> None:
    packages = {"nightly": [listed(NIGHTLY)]}
    with an_index(packages, dict([NIGHTLY])) as url:
        made = environments_of(url, tmp_path)
        before = made.resolve(Target("nightly", "1.0.dev1"))
        packages["nightly"] = [listed(wheel_of("nightly", "1.0.dev2"))]
        cache = made._cache
        assert isinstance(cache, MemoryCache)
        cache.grow_older(made.catalog._max_age)
        after = made.known(Target("nightly", "1.0.dev1"))
        gone = made.catalog.release("nightly", "1.0.dev1")
    assert gone is not None
    assert gone.gone
    assert after is not None
    assert after.digest == before.digest


def test_a_release_that_was_never_resolved_and_is_gone_is_untestable(tmp_path: Path) -> None:
    packages = {"nightly": [listed(NIGHTLY)]}
    with an_index(packages, dict([NIGHTLY])) as url:
        made = environments_of(url, tmp_path)
        made.catalog.releases("nightly")
        packages["nightly"] = [listed(wheel_of("nightly", "1.0.dev2"))]
        cache = made._cache
        assert isinstance(cache, MemoryCache)
        cache.grow_older(made.catalog._max_age)
        with pytest.raises(Exception, match=r"nightly 1\.0\.dev1 was removed from the package index"):
            made.resolve(Target("nightly", "1.0.dev1"))
