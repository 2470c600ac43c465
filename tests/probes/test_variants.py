"""Variants: what they change in a snippet, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.bisection.outcomes import Answer, Outcome, Untestable
from service.bisection.planner import Policy, current_verdict
from service.bisection.releases import tree_of
from service.bisection.variants import compare_variant, in_words
from service.bisection.verdict import Verdict
from service.coordination.variants import VARIANTS, apply, cure_in_words
from service.errors import SnippetError, UnknownName

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


GONE = "no graph execution"
SUBJECT = ("drops", "never-drops", "drops")


def verdict(*labels: str) -> Verdict:
    """Return the verdict over a history with these outcomes; GONE is none."""
    answers: dict[str, list[Answer]] = {
        f"1.{at}.0": [Untestable(GONE) if label == GONE else Outcome(label)] * 2 for at, label in enumerate(labels)
    }
    return current_verdict(tree_of(tuple(answers)), answers, Policy(expected=frozenset({"drops"})))


@pytest.mark.parametrize(
    ("labels", "effect", "words"),
    [
        (("drops",) * 3, "cures", "there is no change. Workaround: seed it."),
        (SUBJECT, "same", "every release behaves as without it"),
        (("never-drops", "drops", "drops"), "differs", "some releases behave differently: Fixed in 1.1.0"),
        ((GONE,) * 3, "unknown", "nothing can be said. No verdict: none of the 3 releases tried can be tested"),
    ],
)
def test_a_variant_is_compared_with_the_snippet_in_a_sentence(labels: tuple[str, ...], effect: str, words: str) -> None:
    other = verdict(*labels)
    comparison = compare_variant("mine", verdict(*SUBJECT), other)
    assert comparison.effect == effect
    assert in_words(comparison, other, "seed it").startswith(f"With the variant mine {words}")


def test_a_cure_of_ones_own_is_offered_too() -> None:
    other = verdict("drops", "drops", "drops")
    said = in_words(compare_variant("fixed", verdict(*SUBJECT), other), other, "")
    assert said == "With the variant fixed there is no change. Workaround: use the variant."
