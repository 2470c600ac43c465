from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.catalog.recipes import Rules, load_rules, official_image, recipe_for, slim_package, source_of
from service.catalog.releases import NO_DATE
from service.catalog.targets import Target
from service.errors import BadInput, NoInterpreter, ReleaseUntestable, UnknownName
from service.resources import resource_dir
from tests.catalog.worlds import release

EVERY_PYTHON = "2.7 3.5 3.6 3.7 3.8 3.9 3.10 3.11 3.12"
DEFAULTS = "[defaults]\nmargin_days = 7\nplatform = 'linux'\n"


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(resource_dir("images") / "recipes.toml")


@pytest.mark.parametrize(
    ("version", "pythons", "python"),
    [
        ("1.1.0", "2.7 3.5 3.6", "3.6"),
        ("1.14.0", "2.7 3.6 3.7", "3.6"),
        ("2.1.4", "3.6 3.7", "3.6"),
        ("2.2.0", "3.5 3.6 3.7 3.8", "3.8"),
        ("2.7.4", "3.7 3.8 3.9", "3.8"),
        ("2.8.0rc0", "3.7 3.8 3.9 3.10", "3.10"),
        ("2.21.0", "3.10 3.11 3.12 3.13", "3.10"),
        ("2.30.0", "3.12 3.13", "3.12"),
    ],
)
def test_each_range_has_its_interpreter(rules: Rules, version: str, pythons: str, python: str) -> None:
    assert recipe_for(Target("tensorflow", version), release(version, pythons), rules).python == python


@pytest.mark.parametrize(
    ("version", "constraints"),
    [
        ("2.5.3", ()),
        ("2.6.1", ("keras~=2.6.0",)),
        ("2.6.0rc2", ("keras~=2.6.0rc0",)),
        ("2.15.0.post1", ("keras~=2.15.0",)),
        ("2.16.0rc0", ()),
    ],
)
def test_keras_is_held_to_the_minor_while_it_must_be(rules: Rules, version: str, constraints: tuple[str, ...]) -> None:
    recipe = recipe_for(Target("tensorflow", version), release(version, EVERY_PYTHON), rules)
    assert recipe.constraints == constraints


@pytest.mark.parametrize(
    ("package", "version", "hardware", "slim"),
    [
        ("tensorflow", "1.14.0", "cpu", None),
        ("tensorflow", "1.15.0", "cpu", "tensorflow-cpu"),
        ("tensorflow", "2.0.4", "cpu", None),
        ("tensorflow", "2.1.0", "cpu", "tensorflow-cpu"),
        ("tensorflow", "2.17.0", "cuda", None),
        ("tf-nightly", "2.22.0.dev20260901", "cpu", "tf-nightly-cpu"),
    ],
)
def test_the_slim_wheel_is_looked_for_where_there_may_be_one(
    rules: Rules, package: str, version: str, hardware: str, slim: str | None
) -> None:
    assert slim_package(Target(package, version, hardware), rules) == slim  # type: ignore[arg-type]


def test_the_slim_wheel_is_taken_where_the_index_has_it(rules: Rules) -> None:
    target, full = Target("tensorflow", "2.16.1"), release("2.16.1", "3.10")
    assert recipe_for(target, full, rules, slim=full).requirement == "tensorflow-cpu==2.16.1"
    assert recipe_for(target, full, rules, slim=None).requirement == "tensorflow==2.16.1"


def test_dependencies_are_taken_as_of_the_upload_and_a_margin(rules: Rules) -> None:
    recipe = recipe_for(Target("tensorflow", "1.12.0"), release("1.12.0"), rules)
    assert recipe.cutoff == datetime(2018, 11, 13, tzinfo=UTC)
    assert recipe.exempt == {"setuptools": "2022-01-01", "wheel": "2022-01-01"}


def test_a_recipe_s_digest_changes_with_what_it_says_and_with_nothing_else(rules: Rules) -> None:
    twelve = [recipe_for(Target("tensorflow", "1.12.0"), release("1.12.0"), rules).digest for _ in range(2)]
    other = recipe_for(Target("tensorflow", "1.12.0"), release("1.12.0", "3.7"), rules).digest
    assert twelve[0] == twelve[1] != other
    assert twelve[0].startswith("sha256:")


def test_a_release_for_interpreters_without_a_rule_says_which(rules: Rules) -> None:
    with pytest.raises(NoInterpreter, match=r"wheels for Python 2.7 only"):
        recipe_for(Target("tensorflow", "1.0.0"), release("1.0.0", "2.7"), rules)


def test_a_release_without_a_date_is_untestable_in_plain_words(rules: Rules) -> None:
    undated = replace(release("1.0.0"), uploaded=NO_DATE)
    with pytest.raises(ReleaseUntestable, match=r"the package index gives no upload date for numpy 1.0.0, so"):
        recipe_for(Target("numpy", "1.0.0"), undated, rules)


def test_a_package_without_a_rule_of_its_own_is_run_on_the_cpu_only(rules: Rules) -> None:
    assert recipe_for(Target("numpy", "1.0.0"), release("1.0.0"), rules).requirement == "numpy==1.0.0"
    with pytest.raises(
        UnknownName, match=r"no recipe for numpy on cuda; choose other hardware or another package \(.*keras.*torch\)"
    ):
        recipe_for(Target("numpy", "1.0.0", "cuda"), release("1.0.0"), rules)


def test_setuptools_stands_beside_packages_of_the_days_when_every_environment_had_it(rules: Rules) -> None:
    old = replace(release("1.0", EVERY_PYTHON), uploaded=datetime(2020, 5, 1, tzinfo=UTC))
    new = replace(old, uploaded=datetime(2024, 5, 1, tzinfo=UTC))
    recipe = recipe_for(Target("xgboost", "1.0"), old, rules)
    assert (recipe.extras, recipe.exempt) == (("setuptools",), {"setuptools": "2023-10-02"})
    assert recipe_for(Target("xgboost", "1.0"), new, rules).extras == ()
    for package in ("tensorflow", "intel-tensorflow", "torch"):
        assert "setuptools" not in recipe_for(Target(package, "1.9.0"), replace(old, version="1.9.0"), rules).extras


def test_a_rule_with_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipes.toml"
    path.write_text(DEFAULTS + '[[rule]]\npackages = ["x"]\npyhtons = ["3.6"]\n')
    with pytest.raises(BadInput, match=r"recipes.toml: .*pyhtons"):
        load_rules(path)


def test_no_rule_is_for_one_release(rules: Rules) -> None:
    assert not [rule.releases for rule in rules.rules if "===" in rule.releases or rule.releases.startswith("==")]


@pytest.mark.parametrize(
    ("version", "hardware", "tag"),
    [
        ("1.12.0", "cpu", "tensorflow/tensorflow:1.12.0-py3"),
        ("1.12.0", "cuda", "tensorflow/tensorflow:1.12.0-gpu-py3"),
        ("2.1.0", "cuda", "tensorflow/tensorflow:2.1.0-gpu-py3"),
        ("2.10.1", "cpu", "tensorflow/tensorflow:2.10.1"),
        ("2.17.0", "cuda", "tensorflow/tensorflow:2.17.0-gpu"),
    ],
)
def test_official_images_are_named_by_range(rules: Rules, version: str, hardware: str, tag: str) -> None:
    assert official_image(Target("tensorflow", version, hardware), rules) == tag  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("version", "extra", "library"),
    [
        ("2.5.0", "nvidia-cudnn-cu11==8.6.0.163", "libcudart.so.11.0"),
        ("2.14.0", "nvidia-nccl-cu11==2.16.5", "libcudnn.so.8"),
        ("2.15.0", "nvidia-cublas-cu12==12.2.5.6", "libcudart.so.12"),
    ],
)
def test_cuda_brings_its_libraries_along(rules: Rules, version: str, extra: str, library: str) -> None:
    recipe = recipe_for(Target("tensorflow", version, "cuda"), release(version, "3.8 3.10"), rules)
    assert extra in recipe.extras
    assert library in recipe.libraries


def test_the_newest_releases_name_their_own_cuda(rules: Rules) -> None:
    recipe = recipe_for(Target("tensorflow", "2.17.0", "cuda"), release("2.17.0", "3.10"), rules)
    assert (recipe.requirement, recipe.extras) == ("tensorflow[and-cuda]==2.17.0", ())


@pytest.mark.parametrize(("version", "source"), [("1.15.5", "official"), ("2.3.4", "official"), ("2.4.0", "built")])
def test_cuda_10_and_older_come_from_official_images(rules: Rules, version: str, source: str) -> None:
    assert source_of(Target("tensorflow", version, "cuda"), rules) == source
    assert source_of(Target("tensorflow", version), rules) == "built"
