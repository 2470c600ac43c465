from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.bisection.outcomes import Untestable
from service.catalog.probes import load_probes
from service.errors import BadInput
from service.resources import resource_dir
from tests.probes.protocol import PROBES


@pytest.mark.parametrize("name", sorted(PROBES))
def test_every_probe_is_whole(name: str) -> None:
    probe = PROBES[name]
    assert probe.title
    assert probe.question.endswith("?")
    assert probe.digest.startswith("sha256:")
    assert all(parameter.help for parameter in probe.parameters.values())
    compile(probe.probe_source, "probe.py", "exec")


@pytest.mark.parametrize("name", sorted(PROBES))
def test_every_probe_has_its_page(name: str) -> None:
    page = (resource_dir("probes").parent / PROBES[name].docs).read_text("utf-8")
    for label in PROBES[name].outcomes:
        assert f"`{label}`" in page


@pytest.mark.parametrize("name", sorted(PROBES))
@pytest.mark.parametrize("garbage", [{}, {"notes": 3}, {"train_losses": "x", "layers": [1]}], ids=str)
def test_a_judge_answers_whatever_it_is_given(name: str, garbage: dict[str, object]) -> None:
    assert isinstance(PROBES[name].judge(garbage), Untestable)


def test_a_changed_shared_module_is_a_new_question(tmp_path: Path) -> None:
    shutil.copytree(resource_dir("probes"), tmp_path / "probes")
    with (tmp_path / "probes" / "shared" / "tfbisect_losses.py").open("a") as file:
        file.write("# changed\n")
    assert load_probes(tmp_path / "probes")["dropout"].digest != PROBES["dropout"].digest


def test_a_package_without_a_keras_model_is_refused_by_name() -> None:
    assert PROBES["dropout"].framework_for("intel-tensorflow") == "tensorflow"
    with pytest.raises(BadInput, match="not requests"):
        PROBES["dropout"].framework_for("requests")
