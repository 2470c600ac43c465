"""Releases that the index has dropped: what was measured of them stays part of a bisection."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from service.catalog.probes import load_probes
from service.catalog.releases import Catalog
from service.coordination.intake import BisectionRequest, Intake
from service.errors import RangeError, SnippetError, UnknownName
from service.json_text import text_digest
from service.resources import resource_dir
from service.settings import Settings
from tests.catalog.worlds import MemoryCache, an_index, wheel

SNIPPET = "print(1)"
NIGHTS = ["1.0.dev20261001", "1.0.dev20261002", "1.0.dev20261003"]


def nightly(version: str) -> dict[str, object]:
    return wheel(f"nightly-{version}-py3-none-any.whl")


def asked(measured: Sequence[str], releases: str, package: str = "nightly", snippet: str = SNIPPET) -> tuple[str, ...]:
    """Return the releases of a bisection after the index has dropped the first two nights."""

    def known(name: str, gone: Sequence[str], digest: str) -> Sequence[str]:
        assert (name, digest) == ("nightly", text_digest(snippet))
        return [release for release in gone if release in measured]

    cache, packages = MemoryCache(), {"nightly": [nightly(version) for version in NIGHTS]}
    with an_index(packages) as url:
        catalog = Catalog(cache, Settings(index_url=url))
        catalog.releases("nightly")
        packages["nightly"] = [nightly(NIGHTS[2])]
        cache.grow_older(timedelta(days=1))
        intake = Intake(catalog, load_probes(resource_dir("probes")), measured=known)
        case = intake.case(BisectionRequest(snippet=snippet, probe="script", package=package, releases=releases))
        assert case.request.package == "nightly"
        return case.tree.all()


@pytest.mark.parametrize(
    ("measured", "kept"), [([], NIGHTS[2:]), (NIGHTS[:1], [NIGHTS[0], NIGHTS[2]]), (NIGHTS[:2], NIGHTS)]
)
def test_what_was_measured_stays_in_a_range_after_the_wheel_is_gone(measured: list[str], kept: list[str]) -> None:
    assert list(asked(measured, "..")) == kept


def test_a_release_that_is_gone_and_was_never_measured_is_not_there() -> None:
    with pytest.raises(RangeError, match="no release 2026-10-01"):
        asked([], "2026-10-01")


def test_a_night_is_named_by_its_date_after_it_is_gone() -> None:
    assert asked(NIGHTS[:1], "2026-10-01") == (NIGHTS[0],)


def test_a_bisection_is_kept_under_the_package_s_one_spelling() -> None:
    assert asked([], "..", package="Nightly") == (NIGHTS[2],)


def test_a_name_that_can_be_none_is_refused() -> None:
    with pytest.raises(UnknownName, match="is not a package name"):
        asked([], "..", package="no such package")


def test_a_bisection_of_keras_wants_a_snippet_on_keras() -> None:
    with an_index({"keras": [wheel("Keras-2.2.4-py2.py3-none-any.whl")]}) as url:
        intake = Intake(Catalog(MemoryCache(), Settings(index_url=url)), load_probes(resource_dir("probes")))
        snippet = "import tensorflow as tf\nmodel = tf.keras.Sequential([tf.keras.layers.Dropout(0.5)])\n"
        with pytest.raises(SnippetError, match="does not import it"):
            intake.case(BisectionRequest(snippet=snippet, package="keras"))
        request = BisectionRequest(snippet=snippet.replace("import tensorflow as tf", "import keras"), package="keras")
        assert intake.case(request).tracks[0].framework == "keras"
