"""The probe behaviour as it really runs: in plain Pythons, and in two releases of TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.probes.interpreters import interpreters
from tests.probes.protocol import PROBES, ask, ask_each

PROBE = PROBES["behaviour"]
RULE = sys.modules[PROBE.judge.__module__]
NEWEST = list(interpreters().values())[-1]


def facts(measured: dict[str, Any], aspect: str) -> dict[str, Any]:
    """Return the fields of one aspect."""
    found = RULE.aspects(measured)
    return dict(found[aspect].values) if aspect in found else {}


def numbers(fields: dict[str, Any]) -> dict[str, float]:
    """Return the fields that are numbers."""
    return {name: value for name, value in fields.items() if isinstance(value, float)}


EVERYTHING = """
import logging, random, sys, warnings
print("loss 0.5")
print(random.random())
warnings.warn("old")
logging.getLogger("x").error("bad %d", 3)
tfbisect_report("values", [1, 0.5, "a"])
sys.stdout.write("\\x1b[1m1/2\\x1b[0m [=====>...] - ETA: 3s\\r2/2 [========] - 0s 2ms/step - loss: 0.3\\n")
sys.exit(3)
"""


@pytest.mark.parametrize("version", sorted(interpreters()))
def test_all_that_a_script_shows_is_seen_in_every_python(version: str) -> None:
    measured = ask(interpreters()[version], PROBE, EVERYTHING).measurements
    assert facts(measured, "ends") == {"exit code": 3}
    assert facts(measured, "reports") == {"values [1]": 1, "values [2]": 0.5, "values [3]": "a"}
    assert facts(measured, "warns") == {"UserWarning: old": True, "ERROR: bad {}": True}
    printed = facts(measured, "prints")
    assert printed.pop("line 2, number 1") > 0
    assert printed == {"line 1": "loss {}", "line 1, number 1": 0.5, "line 2": "{}"}
    assert set(RULE.aspects(measured)) == {"ends", "prints", "reports", "warns", "time", "memory"}


LONG = """
for at in range(20000):
    print('step %d, loss %f, and some more words' % (at, 1.0 / (at + 1)) if at != {odd} else 'odd')
print('FINAL {last}')
"""


def test_the_last_line_of_a_long_log_is_seen() -> None:
    def printed(odd: int, last: int) -> dict[str, Any]:
        return facts(ask(NEWEST, PROBE, LONG.format(odd=odd, last=last)).measurements, "prints")

    one = printed(-1, 1)
    assert {name for name, value in printed(-1, 2).items() if one[name] != value} == {"line 1 from the end, number 1"}
    odd = {name for name, value in printed(9950, 1).items() if one[name] != value}
    assert odd == {"lines 9901 to 10000", "lines 9901 to 10000, mean of their numbers"}


def test_a_script_that_shows_too_much_is_still_answered() -> None:
    source = "import sys, warnings\nfor at in range(900):\n    tfbisect_report(str(at), [['x' * 999] * 99] * 99)\n"
    source += "    warnings.warn('%d %s' % (at, 'x' * 1999))\nprint('\\u2501' * 200000)"
    measured = ask(NEWEST, PROBE, source).measurements
    assert facts(measured, "ends") == {"exit code": 0}
    assert any("were kept" in note for note in measured["notes"])


def test_random_numbers_begin_at_the_seed_that_was_given() -> None:
    source = "import random\nprint(random.random())"
    seen = [ask(NEWEST, PROBE, source, parameters={"seed": seed}).measurements["printed"] for seed in (1, 1, 2)]
    assert seen[0] == seen[1] != seen[2]


def test_a_module_that_no_release_has_is_the_fault_of_the_script() -> None:
    assert ask(NEWEST, PROBE, "import there_is_no_such_package").result["kind"] == "refused"


HEAD = """
import random
import numpy as np
import tensorflow as tf
layers = tf.keras.layers
"""
TRAINING = """
x, y = np.random.rand(3000, 4).astype("float32"), np.random.rand(3000, 1).astype("float32")
model = tf.keras.models.Sequential([layers.Dense(8, input_shape=(4,)), layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])
history = model.fit(x, y, epochs=10)
print(len(history.history["loss"]), len(model.predict(x[:50])), len(model.evaluate(x, y, verbose=0)))
"""
DEFINED = """
def build_model():
    return tf.keras.models.Sequential([layers.Dense(8, input_shape=(4,)), layers.BatchNormalization(), layers.Dense(1)])
"""
WITHOUT_WEIGHTS = "model = tf.keras.models.Sequential([layers.Activation('relu', input_shape=(4,))])"
DRAWN = "print(random.random(), np.random.rand())\ntf.ones(())"
NO_KERAS = "assert tf is None, 'it is %s' % tf.__version__"
EAGER = """
if hasattr(tf, "enable_eager_execution"):
    tf.enable_eager_execution()
print(float(tf.reduce_mean(getattr(tf, "random_uniform", tf.random.uniform)((1000,)))))
"""
QUESTIONS: dict[str, tuple[str, dict[str, object]]] = {
    "training": (HEAD + TRAINING, {"seed": 1}),
    "training again": (HEAD + TRAINING, {"seed": 1}),
    "training, another seed": (HEAD + TRAINING, {"seed": 2}),
    "whole": (HEAD + TRAINING.replace("epochs=10", "epochs=4"), {"whole": True}),
    "defined": (HEAD + DEFINED, {}),
    "without weights": (HEAD + WITHOUT_WEIGHTS, {}),
    "drawn": (HEAD + DRAWN, {}),
    "eager": (HEAD + EAGER, {"seed": 1}),
    "eager again": (HEAD + EAGER, {"seed": 1}),
    "eager, another seed": (HEAD + EAGER, {"seed": 2}),
    "assertion": (HEAD + NO_KERAS, {}),
}


@pytest.mark.local
@pytest.mark.parametrize("version", ["1.12.0", "2.0.0"])
def test_a_release_shows_what_a_script_trains_and_what_its_models_are(
    release: Callable[..., str], version: str
) -> None:
    answers = ask_each(release("tensorflow", version), PROBE, QUESTIONS, "tensorflow")
    assert {name: answer["kind"] for name, answer in answers.items()} == dict.fromkeys(QUESTIONS, "measured")
    seen = {name: answer["measurements"] for name, answer in answers.items()}

    assert facts(seen["training"], "prints") == {
        "line 1": "{} {} {}",
        **{f"line 1, number {at}": number for at, number in enumerate((10, 50, 2), start=1)},
    }
    trained = facts(seen["training"], "trains")
    assert [name for name in trained if name.startswith("fit epoch")] == [
        f"fit epoch {epoch} {name}" for name in ("loss", "mean_absolute_error") for epoch in (1, 2, 3)
    ]
    assert (trained["fit optimizer"], trained["fit steps"]) == ("SGD", 48)
    assert numbers(facts(seen["training again"], "trains")) == pytest.approx(numbers(trained), rel=1e-5)
    assert facts(seen["training, another seed"], "trains")["fit epoch 1 loss"] != trained["fit epoch 1 loss"]
    assert facts(seen["whole"], "trains")["fit steps"] == 4 * 94

    one, other = (facts(seen[name], "predicts") for name in ("training", "training, another seed"))
    fixed = [name for name in one if name.startswith(("predict on fixed", "call in"))]
    assert numbers({name: one[name] for name in fixed}) == pytest.approx(numbers({name: other[name] for name in fixed}))
    assert one["predict on fixed inputs mean"] == pytest.approx(one["call in inference mean"])

    built = facts(seen["defined"], "model")
    assert [built[f"layer {at} class"] for at in (1, 2, 3)] == ["Dense", "BatchNormalization", "Dense"]
    assert built["saved and loaded"] == "answers the same"
    assert facts(seen["defined"], "trains")["fit steps"] == 2
    defined = facts(seen["defined"], "predicts")
    assert defined["call in training mean"] != pytest.approx(defined["call in inference mean"])

    assert facts(seen["without weights"], "predicts")["predict on fixed inputs mean"] > 0
    assert facts(seen["without weights"], "trains") == {}

    eager = [facts(seen[name], "prints")["line 1, number 1"] for name in QUESTIONS if name.startswith("eager")]
    assert eager[0] == eager[1] != eager[2]

    assert facts(seen["assertion"], "ends")["raised by"] == "the script"
    assert facts(seen["drawn"], "prints")["line 1, number 1"] == pytest.approx(0.13436424411240122)
