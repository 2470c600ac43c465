from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import SnippetError
from tests.probes.protocol import PROBES

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["dropout_tutorial.py", "dropout_tutorial_fixed.py"])
def test_the_examples_pass(name: str) -> None:
    PROBES["dropout"].check((EXAMPLES / name).read_text("utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "from m import Dropout\nmodel = Dropout(0.5)",
        "def build_model():\n    return LSTM(3, recurrent_dropout=0.1)",
        "model = tf.keras.applications.MobileNet()",
        "net.add(GaussianNoise(1))\nnet.fit(x, y)",
    ],
)
def test_what_may_hold_dropout_passes(source: str) -> None:
    PROBES["dropout"].check(source)


@pytest.mark.parametrize(
    ("source", "words", "line"),
    [
        ("", "empty", None),
        (" \n\n", "empty", None),
        ("model = Dropout(1)\nx = = 3", "line 2 is not Python", 2),
        ("%matplotlib inline\nmodel.fit()", "notebook", 1),
        ("model = 'Dropout'\n" + "#" * 65536, "65554 bytes", None),
        ("net = Dropout(0.5)", "no model found", None),
        ("model = Dense(3)\nmodel.fit(x)", "no dropout layer", None),
        ("model = '\0Dropout'", "not Python", None),
    ],
)
def test_a_hopeless_snippet_is_refused_with_what_to_do(source: str, words: str, line: int | None) -> None:
    with pytest.raises(SnippetError, match=words) as caught:
        PROBES["dropout"].check(source)
    assert caught.value.field == "snippet"
    assert caught.value.line == line
