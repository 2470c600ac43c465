from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import SnippetError, UnknownName
from service.variants import VARIANTS, apply, cure_in_words

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_cure_makes_the_tutorial_the_fixed_one() -> None:
    tutorial = (EXAMPLES / "dropout_tutorial.py").read_text("utf-8")
    fixed = (EXAMPLES / "dropout_tutorial_fixed.py").read_text("utf-8")
    assert apply("input-shape", tutorial, {})[0] == fixed


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "m = Sequential()\nm.add(Dense(3))\nm.add(Dense(4))",
            "m = Sequential()\nm.add(Dense(3, input_shape=(7,)))\nm.add(Dense(4))",
        ),
        ("m = Sequential(layers=[Flatten()])", "m = Sequential(layers=[Flatten(input_shape=(7,))])"),
        ("m = Sequential([Dense(\n  3,\n)])", "m = Sequential([Dense(\n  3,\ninput_shape=(7,))])"),
        ("'\u00e4'; m = Sequential([Flatten()])", "'\u00e4'; m = Sequential([Flatten(input_shape=(7,))])"),
    ],
)
def test_the_shape_goes_to_the_first_layer(source: str, expected: str) -> None:
    assert apply("input-shape", source, {"input_shape": [7]})[0] == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("model = Model(i, o)", "Sequential"),
        ("m = Sequential([Dense(3, input_dim=4)])", "already"),
        ("m = Sequential([Dense(3)])", "--input-shape"),
    ],
)
def test_a_variant_with_nothing_to_change_says_so(source: str, words: str) -> None:
    with pytest.raises(SnippetError, match=words):
        apply("input-shape", source, {})


def test_other_variants_change_parameters_only() -> None:
    assert apply("eager", "x", {}) == ("x", {"execution": "eager"})
    assert apply("graph", "x", {"a": 1}) == ("x", {"a": 1, "execution": "graph"})
    assert apply("seed", "x", {}) == ("x", {"seed": 1})
    with pytest.raises(UnknownName, match="input-shape, eager"):
        apply("shape", "x", {})
    assert all(cure_in_words(name) for name in VARIANTS)
