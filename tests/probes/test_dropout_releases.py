"""The dropout probe against real releases in real environments."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from service.bisection.outcomes import Answer, RunReport, classify
from tests.probes.environments import cache_folder
from tests.probes.kinds import KINDS, outcomes
from tests.probes.protocol import PROBES, ask

pytestmark = pytest.mark.local
PROBE = PROBES["dropout"]
EXAMPLES = Path(__file__).parents[2] / "examples"
Release = Callable[..., str]


def answer(python: str, snippet: str, **parameters: object) -> Answer:
    answered = ask(python, PROBE, snippet, framework="tensorflow", parameters=parameters)
    return classify(RunReport("answered", result=answered.result), PROBE.judge)


def label(python: str, snippet: str, **parameters: object) -> str:
    found = answer(python, snippet, **parameters)
    return str(getattr(found, "label", found))


TUTORIAL = (EXAMPLES / "dropout_tutorial.py").read_text("utf-8")
FIXED = (EXAMPLES / "dropout_tutorial_fixed.py").read_text("utf-8")


SEEN = {"1.12.0": "never-drops"}
"""Release -> what its users saw."""
if os.environ.get("FULL") == "1":
    # An environment each; tests/main_job asks the same of these releases in containers.
    SEEN |= {"1.7.1": "raises:ValueError", "1.10.1": "drops", "1.13.1": "drops"}


@pytest.mark.parametrize(("version", "tutorial"), SEEN.items())
def test_the_tutorial_answers_as_it_did_for_its_users(release: Release, version: str, tutorial: str) -> None:
    python = release("tensorflow", version)
    assert label(python, TUTORIAL) == tutorial
    assert label(python, FIXED) == "drops"


SOME_KINDS = (
    "Sequential, deferred",
    "Sequential, deferred, Dropout last",
    "Sequential, deferred, BatchNormalization",
    "functional",
    "subclassed, does not pass training on",
    "Sequential inside Sequential, deferred",
    "two inputs, two outputs",
    "LSTM, recurrent_dropout",
    "GaussianNoise",
    "`build_model()`",
    "tf.data",
    "drops in inference too",
)
NEEDING_2 = ("takes the rate for the share to keep", "does not scale what it keeps")


@pytest.mark.parametrize(("version", "names"), [("1.12.0", SOME_KINDS), ("2.0.0", SOME_KINDS + NEEDING_2)])
def test_models_of_every_kind_are_seen_through(release: Release, version: str, names: tuple[str, ...]) -> None:
    kinds = {name: KINDS[name] for name in names}
    seen = {name: label for name, (label, _) in outcomes(release("tensorflow", version), kinds).items()}
    assert seen == {name: kind.expected(version) for name, kind in kinds.items()}


TORCH = (EXAMPLES / "dropout_torch_training.py").read_text("utf-8")
OWN = """class OwnDropout(nn.Dropout):
    def forward(self, inputs):
        return nn.functional.dropout(inputs, {}, {})


class Net"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (TORCH, "drops"),
        (TORCH.replace("nn.CrossEntropyLoss()", "nn.functional.cross_entropy"), "drops"),
        (TORCH.replace("nn.Dropout", "OwnDropout").replace("class Net", OWN.format("self.p", "True")), "always-drops"),
        (
            TORCH.replace("nn.Dropout", "OwnDropout").replace("class Net", OWN.format("1 - self.p", "self.training")),
            "wrong-rate",
        ),
    ],
    ids=["criterion", "function", "always", "wrong"],
)
def test_a_torch_script_is_taken_over_at_its_first_backward(script: str, expected: str) -> None:
    python = cache_folder(Path("/nowhere")) / "torch-1.4.0-3.6"
    if not (python / "made").exists():
        pytest.skip("no torch 1.4.0 in TFBISECT_TEST_CACHE; its wheel has 750 MB")
    answered = ask(str(python / "bin" / "python"), PROBE, script, framework="torch")
    found = classify(RunReport("answered", result=answered.result), PROBE.judge)
    assert getattr(found, "label", found) == expected
    assert answered.measurements["taken_at"] == "backward"
