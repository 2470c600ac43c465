"""What the facts of the probe behaviour are, aspect by aspect."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bisection.facts import Facts
from service.bisection.outcomes import Outcome, Untestable
from tests.fuzzing import unhurried, within_budget
from tests.probes.protocol import PROBES
from tests.probes.test_hostile_results import ANYTHING, HOSTILE_VALUES, places, put, twisted

RULE = sys.modules[PROBES["behaviour"].judge.__module__]
OUTPUT = {"shape": [8, 2], "dtype": "float32", "mean": 0.5, "spread": 0.1, "least": 0.4, "most": 0.6, "first": [0.5]}
HONEST: dict[str, Any] = {
    "parameters": {"seed": 1},
    "exit_code": 0,
    "raised": {"exception": "ValueError", "message": "no\nyes 3", "traceback": "x", "origin": "framework"},
    "printed": {
        "head": "loss 0.5\nTensorFlow 1.12.0",
        "tail": "end",
        "between": [{"lines": 100, "digest": "ab", "mean": 0.5, "numbers": 3}],
        "lines": 103,
        "progress_lines": 3,
    },
    "reported": [["loss", 0.5], ["weights", [1, {"a": None}]]],
    "warned": [["WARNING", "From /a/b.py:12: x is deprecated"]],
    "calls": [
        {"call": "fit", "model": 0, "history": {"loss": [0.5, 0.4]}, "optimizer": "Adam", "learning_rate": 0.1},
        {"call": "evaluate", "model": 0, "values": [0.5, 0.9]},
        {"call": "predict", "outputs": [OUTPUT, OUTPUT]},
        {"call": "fit", "raised": "ValueError"},
    ],
    "models": [
        {
            "kind": "functional",
            "layers": [{"class": "Dense", "parameters": 6, "shape": [None, 2]}],
            "parameters": 6,
            "weights": [[0, "kernel", [2, 2], 0.0, 0.5]],
            "predicted": [OUTPUT],
            "failed": {"called": ["ValueError", "no"]},
            "saved": {".h5": "answers the same"},
        }
    ],
    "cpu_seconds": {"script": 0.5},
    "memory_bytes": 104857600,
}


def facts(aspect: str, **measured: Any) -> dict[str, Any]:
    """Return the fields of one aspect of a run."""
    found = RULE.aspects({"exit_code": 0, **measured})
    return dict(found[aspect].values) if aspect in found else {}


def ending(message: str, **more: Any) -> dict[str, Any]:
    raised = {"exception": "ValueError", "message": message, "traceback": "", "origin": "framework", **more}
    return facts("ends", raised=raised)


def test_every_aspect_of_an_honest_run_has_facts() -> None:
    found = RULE.aspects(HONEST)
    assert list(found) == ["ends", "prints", "reports", "warns", "trains", "predicts", "model", "time", "memory"]
    assert dict(found["trains"].values)["fit epoch 2 loss"] == 0.4
    assert dict(found["trains"].values)["fit 2 raises"] == "ValueError"
    assert dict(found["predicts"].values)["predict, output 2 [1]"] == 0.5
    assert dict(found["model"].values)["layer 1 output shape"] == "(?, 2)"
    assert dict(found["memory"].values) == {"peak memory in MiB": 100.0}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the kernel has the wrong shape\nsee the guide", "the learning rate is negative\nsee the guide"),
        (
            'Exception encountered when calling layer "gate".\n\nNo.\n\nCall arguments received: x=1',
            'Exception encountered when calling layer "gate".\n\nYes.\n\nCall arguments received: x=1',
        ),
        ("module 'tensorflow' has no attribute 'a'", "module 'tensorflow' has no attribute 'b'"),
        ("expected ndim=3, found ndim=2", "expected ndim=4, found ndim=2"),
    ],
)
def test_another_message_is_another_ending(one: str, other: str) -> None:
    assert ending(one) != ending(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Failed, pleasecheck it", "Failed, please check it"),
        ("module 'tensorflow_core.keras.layers' has no 'X'", "module 'tensorflow.keras.layers' has no 'X'"),
        ("module 'tensorflow._api.v2.compat.v2' has no 'X'", "module 'tensorflow.compat.v2' has no 'X'"),
        ("module 'keras.api._v2.keras.layers' has no 'X'", "module 'tensorflow.keras.layers' has no 'X'"),
        (
            (
                'Exception encountered when calling layer "gate" (type Gate).\n\n{{function_node a}} '
                'Bad 6 [Op:Reshape]\n\nCall arguments received by layer "gate" (type Gate):\n  x=tf.Tensor(shape=(2,))'
            ),
            (
                "Exception encountered when calling Gate.call().\n\n\x1b[1mBad 6 [Op:Reshape]\x1b[0m\n\nArguments "
                "received by Gate.call():\n  x=tf.Tensor(shape=(2, 3))"
            ),
        ),
        ("Bad size\n\t [[{{node dense/MatMul}}]]", "Bad size\n\t [[{{node model_1/dense_2/MatMul}}]]"),
        ("In /usr/lib/a.py:12: bad", "In /opt/python/a.py:340: bad"),
    ],
)
def test_another_wording_of_the_same_error_is_the_same_ending(one: str, other: str) -> None:
    assert ending(one) == ending(other)


def test_a_message_reads_as_it_was_written() -> None:
    assert str(ending("Failed, please check\nthe 3 inputs")["message"]) == "Failed, please check the {} inputs"


def test_numbers_in_a_message_are_compared_as_numbers() -> None:
    found = ending("accuracy 0.52 of 10 is below 0.9")
    assert found["message, number 1"] == 0.52
    assert found["message, number 2"] == 10
    assert ending("accuracy 0.53 of 10 is below 0.9")["message"] == found["message"]


@pytest.mark.parametrize(
    ("raised", "who"),
    [
        ({"exception": "ImportError", "message": "No module named 'x'"}, "a missing module"),
        ({"exception": "AssertionError", "origin": "snippet"}, "the script"),
        ({"traceback": 'a\n  File "snippet.py", line 3, in f\n    raise ValueError(1)\nV'}, "the script"),
        ({"traceback": 'a\n  File "snippet.py", line 3, in f\n    tf.x\nAttributeError'}, "the framework"),
        ({"origin": "framework"}, "the framework"),
    ],
)
def test_who_raised_is_told_apart(raised: dict[str, Any], who: str) -> None:
    assert ending(**{"message": "", "origin": "snippet", **raised})["raised by"] == who


def test_a_printed_line_is_its_words_and_its_numbers() -> None:
    found = facts("prints", printed={"head": "loss 0.5 of 3\nTensorFlow 1.12.0 in 0.3s\nconv2d_1"})
    assert found == {
        "line 1": "loss {} of {}",
        "line 1, number 1": 0.5,
        "line 1, number 2": 3,
        "line 2": "TensorFlow <version> in <duration>",
        "line 3": "conv2d_1",
    }


def test_what_lies_between_beginning_and_end_is_compared_by_digest() -> None:
    between = [{"lines": 100, "digest": "ab", "mean": 0.5}]
    found = facts("prints", printed={"head": "a", "tail": "b\nFINAL 1", "between": between})
    assert found == {
        "line 1": "a",
        "lines 2 to 101": "ab",
        "lines 2 to 101, mean of their numbers": 0.5,
        "line 2 from the end": "b",
        "line 1 from the end": "FINAL {}",
        "line 1 from the end, number 1": 1,
    }


def test_lines_are_counted_from_the_beginning_if_all_of_them_are_there() -> None:
    assert list(facts("prints", printed={"head": "a", "tail": "b\nc"})) == ["line 1", "line 2", "line 3"]


def test_a_script_that_prints_nothing_prints_no_lines() -> None:
    assert facts("prints", printed={"head": "", "tail": "", "progress_lines": 3}) == {"lines": 0}


def test_a_warning_is_a_field_wherever_it_comes_from() -> None:
    one = facts("warns", warned=[["WARNING", "From /a/b/c.py:12: tf.x (from tensorflow_core.y) is deprecated"]])
    other = facts("warns", warned=[["WARNING", "From /d/e.py:99: tf.x (from tensorflow.y) is deprecated"]] * 2)
    assert one == other == {"WARNING: From <path> tf.x (from tensorflow.y) is deprecated": True}


def test_metrics_have_one_name_in_every_release() -> None:
    old = {"call": "fit", "history": {"acc": [0.5], "val_acc": [0.5], "auc_3": [1.0]}, "optimizer": "AdamOptimizer"}
    new = {"call": "fit", "history": {"accuracy": [0.5], "val_accuracy": [0.5], "auc": [1.0]}, "optimizer": "Adam"}
    assert facts("trains", calls=[old]) == facts("trains", calls=[new])


def test_how_saving_failed_is_told_by_the_exception() -> None:
    seen = facts("model", models=[{"saved": {".h5": "raises TypeError: a", ".keras": "answers the same"}}])
    assert seen["saved and loaded"] == "raises TypeError as .h5"


def test_a_format_that_only_some_releases_know_is_no_difference() -> None:
    old, new = ({".h5": "answers the same"}, {".h5": "answers the same", ".keras": "answers the same"})
    assert facts("model", models=[{"saved": old}]) == facts("model", models=[{"saved": new}])


def test_a_number_is_compared_with_its_sign_whatever_stands_around_it() -> None:
    one, other = (facts("prints", printed={"head": line}) for line in ("[ 0.5  -1. 2]  x 3-2", "[-0.5   1. 2] x 3-2"))
    assert one["line 1"] == "[{} {} {}]  x {}-{}"
    assert [one[f"line 1, number {at}"] for at in (1, 2, 3, 4, 5)] == [0.5, -1.0, 2, 3, 2]
    assert other["line 1, number 1"] == -0.5


def test_what_only_one_process_can_print_is_compared_by_kind() -> None:
    found = facts("prints", printed={"head": "id 140115947021424\npid: 219\nprocess id 12\nrapid 12"})
    assert [found[f"line {at}"] for at in (1, 2, 3, 4)] == ["id <address>", "pid<pid>", "process<pid>", "rapid {}"]


@pytest.mark.parametrize(
    ("measured", "label"),
    [
        ({"exit_code": 0}, "passes"),
        ({"exit_code": 3}, "exit:3"),
        ({"exit_code": 0, "raised": {"exception": "KeyError", "message": "x"}}, "raises:KeyError"),
    ],
)
def test_the_outcome_of_a_run_is_how_it_ends(measured: dict[str, Any], label: str) -> None:
    assert RULE.judge(measured) == Outcome(label, "x" if "raised" in measured else "")


@pytest.mark.parametrize("measured", [{}, {"exit_code": 125}, {"exit_code": "x"}, {"exit_code": 2**70}])
def test_a_run_without_an_ending_is_untestable(measured: dict[str, Any]) -> None:
    assert isinstance(RULE.judge(measured), Untestable)


def readable(measured: Any) -> None:
    """Check that facts are what they are declared to be, whatever they were read from."""
    found = RULE.aspects(measured)
    for aspect in found.values():
        assert isinstance(aspect, Facts)
        assert len({name for name, _ in aspect.values}) == len(aspect.values) <= 4000
        for name, value in aspect.values:
            assert isinstance(name, str)
            assert value is None or isinstance(value, bool | int | float | str)
            assert not isinstance(value, int) or abs(value) < 2**63
            assert not isinstance(value, float) or abs(value) < float("inf")
    assert isinstance(RULE.judge(measured), Outcome | Untestable)


@unhurried
@given(measured=st.one_of(twisted(HONEST), st.dictionaries(st.sampled_from(sorted(HONEST)), ANYTHING)))
@within_budget
def test_facts_are_read_from_anything(measured: dict[str, Any]) -> None:
    readable(measured)


def test_one_hostile_value_in_any_place_never_breaks_the_reading() -> None:
    for path in places(HONEST)[1:]:
        for value in HOSTILE_VALUES:
            readable(put(HONEST, path, value))
